"""Pools that take no servers at run time: the slots of their server-template are filled instead."""
import re
import time

from harness import Relay, check, hold_true, runtime, test, wait_until
from load import Load

REPLACED = 4


def port_of(task):
    return int(task.worker.wait_for("start")["env"]["SHOAL_PORT"])


def slot_of(haproxy, task):
    return haproxy.slot_at(port_of(task))


def wait_served(haproxy, *tasks, timeout=15):
    for task in tasks:
        wait_until(lambda t=task: (s := slot_of(haproxy, t)) and s.in_rotation, timeout,
                   f"{task.name} in rotation; HAProxy has {haproxy.servers()}")


def free_slots(haproxy):
    return [s for s in haproxy.servers() if s.admin & 1 and (s.weight == 0 or s.port == 1)]


@test(seconds=90)
def test_tasks_come_and_go_in_the_slots_of_a_pool_with_a_static_balance(scene):
    haproxy = scene.haproxy(balance="static-rr", slots=4, bare=True)
    proxy = scene.sidecar(haproxy)
    living = [scene.task(proxy, f"t{i}") for i in range(3)]
    wait_served(haproxy, *living)
    said = [line for line in proxy.log.text().splitlines() if "takes no servers at run time" in line]
    check(len(said) == 1, f"the method was said {len(said)} times: {said}")
    load, pid = Load(haproxy.http_port, seconds=60, clients=8, pause_ms=5), haproxy.pid
    for i in range(REPLACED):
        fresh = scene.task(proxy, f"n{i}")
        wait_served(haproxy, fresh)
        gone = living.pop(0)
        port = port_of(gone)
        check(gone.stop(30) == 0, f"{gone.name} did not stop with 0")
        check(not haproxy.slot_at(port) or not haproxy.slot_at(port).in_rotation, f"{gone.name} is still in rotation")
        living.append(fresh)
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and result["ok"] > 500, f"{result}")
    check(haproxy.pid == pid and len(haproxy.servers()) == 4, f"the slots are not what they were: {haproxy.servers()}")
    wait_until(lambda: len(free_slots(haproxy)) == 1, 10, f"one slot free; HAProxy has {haproxy.servers()}")
    proxy.log.wait_for("slot free again", 5)
    shares = [result["by_worker"].get(task.name, 0) for task in living]
    check(min(shares) > 0, f"{result['by_worker']}")
    scene.say(f"{result['ok']} requests, 0 failed, {REPLACED} of 3 tasks replaced in 4 slots")


@test(seconds=60)
def test_who_finds_no_free_slot_is_told_and_gets_the_next(scene):
    haproxy = scene.haproxy(balance="source", slots=2)
    proxy = scene.sidecar(haproxy)
    first, second = scene.task(proxy, "first"), scene.task(proxy, "second")
    wait_served(haproxy, first, second)
    late = scene.task(proxy, "late")
    late.log.wait_for(r"all 2 slots of the backend `web` are taken", 15)
    hold_true(lambda: slot_of(haproxy, late) is None, 1, "no slot for the third")
    check(first.stop(30) == 0, "not 0")
    begun = time.monotonic()
    wait_served(haproxy, late)
    taken_ms = (time.monotonic() - begun) * 1000
    late.log.wait_for("accepted", 15)
    check(slot_of(haproxy, second).in_rotation, "the other task suffered")
    scene.say(f"in rotation {taken_ms:.0f} ms after the slot's task had ended")


@test(seconds=90)
def test_a_killed_sidecar_finds_its_slots_again_by_their_addresses(scene):
    haproxy = scene.haproxy(balance="static-rr", slots=6)
    proxy = scene.sidecar(haproxy, more={"node": {"name": None}})
    stay, held, gone = (scene.task(proxy, name) for name in ("stay", "held", "gone"))
    wait_served(haproxy, stay, held, gone)
    before = {task.name: slot_of(haproxy, task).name for task in (stay, held)}
    load = Load(haproxy.http_port, seconds=60, clients=4, pause_ms=10)
    answer = haproxy.tell(f"set server web/{before['held']} state maint")
    check(answer == "", answer)
    wait_until(lambda: not slot_of(haproxy, held).in_rotation, 5, "out by hand")
    proxy.kill()
    gone.kill()
    proxy.start()
    proxy.wait_status("stay", "alive", 30)
    # Nobody claims the dead task's slot: it stays out of rotation sooner or later, and no other is touched.
    fresh = scene.task(proxy, "fresh")
    wait_served(haproxy, fresh)
    check({t.name: slot_of(haproxy, t).name for t in (stay, held)} == before, f"{haproxy.servers()} was {before}")
    row = slot_of(haproxy, held)
    check(row.admin & 1 and row.weight > 0, f"the operator's maintenance has become {row}")
    check(slot_of(haproxy, fresh).name not in before.values(), "a slot was given twice")
    haproxy.tell(f"set server web/{before['held']} state ready")
    wait_served(haproxy, held)
    result = load.result(stop_now=True)
    check(result["failed"] <= 3, f"{result}")  # What the killed worker had in hand.


@test(seconds=60)
def test_a_haproxy_that_starts_again_gets_the_whole_pool_into_its_slots(scene):
    haproxy = scene.haproxy(balance="static-rr", slots=5)
    proxy = scene.sidecar(haproxy)
    tasks = [scene.task(proxy, f"t{i}") for i in range(4)]
    wait_served(haproxy, *tasks)
    haproxy.kill()
    haproxy.start()
    begun = time.monotonic()
    wait_served(haproxy, *tasks)
    check(len({slot_of(haproxy, t).name for t in tasks}) == 4, f"{haproxy.servers()}")
    scene.say(f"4 tasks back in their slots {(time.monotonic() - begun) * 1000:.0f} ms after HAProxy's start")


@test(seconds=60)
def test_slots_on_demand_take_the_weights_where_the_balance_takes_them(scene):
    haproxy = scene.haproxy(slots=3)
    proxy = scene.sidecar(haproxy, more={"haproxy": {"method": "slots"}})
    light = scene.task(proxy, "light", more={"task": {"weight": 37}})
    heavy = scene.task(proxy, "heavy", more={"task": {"weight": 200}})
    wait_served(haproxy, light, heavy)
    check([slot_of(haproxy, t).weight for t in (light, heavy)] == [37, 200], f"{haproxy.servers()}")
    check(all(s.name in ("shoal-1", "shoal-2", "shoal-3") for s in haproxy.servers()), f"{haproxy.servers()}")
    light.log.wait_for(r'"accepted".*"server":"shoal-\d"|"server":"shoal-\d".*accepted', 5)


@test(seconds=60)
def test_the_method_is_the_operators_where_it_is_given(scene):
    haproxy = scene.haproxy(balance="static-rr", slots=2)
    proxy = scene.sidecar(haproxy, more={"haproxy": {"method": "dynamic"}})
    task = scene.task(proxy, "task")
    task.log.wait_for("takes no servers at run time", 15)
    check(all(s.admin & 1 and s.port == 1 for s in haproxy.servers()), f"a slot was touched: {haproxy.servers()}")


@test(seconds=60)
def test_a_pool_without_slots_is_told_what_to_write(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"haproxy": {"method": "slots"}})
    task = scene.task(proxy, "task")
    task.log.wait_for(r"the backend `web` has no slots .*server-template shoal- 1-50", 15)
    check(not haproxy.servers(), f"{haproxy.servers()}")


@test(seconds=60)
def test_slots_that_haproxy_restores_from_its_state_file_are_taken_as_they_stand(scene):
    haproxy = scene.haproxy(balance="static-rr", slots=4)
    state = scene.path("haproxy.state")
    with open(haproxy.config, encoding="utf-8") as f:
        text = f.read()
    text, found = re.subn(r"(?m)^global\b.*$", f"\\g<0>\n    server-state-file {state}", text)
    text, also = re.subn(r"(?m)^defaults\b.*$", "\\g<0>\n    load-server-state-from-file global", text)
    check(found == 1 and also == 1, "packaging/haproxy.cfg has another form than this test knows")
    with open(haproxy.config, "w", encoding="utf-8") as f:
        f.write(text)
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path)
    tasks = [scene.task(proxy, f"t{i}") for i in range(3)]
    wait_served(haproxy, *tasks)
    before = {t.name: slot_of(haproxy, t).name for t in tasks}
    with open(state, "w", encoding="utf-8") as f:
        f.write(runtime(haproxy.socket, "show servers state"))
    mark = len(relay.commands())
    haproxy.kill()
    haproxy.start()
    wait_served(haproxy, *tasks)
    check({t.name: slot_of(haproxy, t).name for t in tasks} == before, f"{haproxy.servers()} was {before}")
    proxy.log.wait_for("HAProxy was replaced", 10)
    looks = len(relay.when("^show servers state"))
    wait_until(lambda: len(relay.when("^show servers state")) > looks + 1, 10, "two more looks")
    # A weight may be tried: that this process has a static balance too is what its refusal says.
    touched = [line for line in relay.commands()[mark:] if line.startswith((b"add ", b"del ", b"enable "))
               or b" addr " in line or b" state " in line and line.startswith(b"set ")]
    check(not touched, f"what stood as it should was touched: {touched}")
