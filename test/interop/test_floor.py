"""Members that are called failed while their workers serve, and hosts that really die: what the sidecar takes out of
rotation, and what the floor holds there."""
import re
import time

from harness import POOL, check, hold_true, test, wait_until
from load import Load
from test_network import Hosts, haproxy_on, no_namespaces, shoal_on, task_on

GOSSIP_ALONE = "meta l4proto { tcp, udp } th dport 7946-7999"


def sidecar_on(scene, hosts, haproxy, **settings):
    return shoal_on(scene, hosts, 1, "proxy", {
        "role": "sidecar", "node": {"name": "proxy"}, "gossip": {"profile": "local"},
        "haproxy": {"socket": haproxy.socket, "backend": POOL, "grace": "10s", **settings}}).start()


def serving(haproxy):
    return {s.name for s in haproxy.servers() or [] if s.in_rotation}


def seconds_of(line):
    """The time in a line of shoal's log, in seconds of that day."""
    hours, minutes, seconds = re.search(r"T(\d+):(\d+):([\d.]+)", line).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def cut_off(scene, size, stays):
    """The sidecar loses gossip alone. All its members fail, one by one, while their workers serve."""
    with Hosts(2) as hosts:
        haproxy = haproxy_on(scene, hosts, 1)
        sidecar = sidecar_on(scene, hosts, haproxy)
        names = [f"t{i}" for i in range(1, size + 1)]
        for name in names:
            task_on(scene, hosts, 2, name)
        haproxy.wait_in_rotation(*names, timeout=30)
        pid = haproxy.pid
        load = Load(8080, 300, clients=6, pause_ms=10, inside=hosts.on(1))
        begun = time.monotonic()
        hosts.drop(1, GOSSIP_ALONE)
        wait_until(lambda: sidecar.log.count('"event":"member failed"') >= size, 120, f"{size} failed members",
                   every=0.2)
        took = time.monotonic() - begun
        # Past the grace of the first ones: the pool may not shrink with their servers.
        hold_true(lambda: len(serving(haproxy)) >= stays, 15, f"{stays} of {size} in rotation", every=0.1)
        check(len(serving(haproxy)) == stays, f"{len(serving(haproxy))} of {size} stayed, not {stays}")
        held = sidecar.log.count('"event":"server held in rotation')
        check(held == stays, f"{held} are said to be held, not {stays}")
        hosts.heal(1)
        begun = time.monotonic()
        haproxy.wait_in_rotation(*names, timeout=60)
        healed = time.monotonic() - begun
        wait_until(lambda: sidecar.log.count('"event":"server no longer held') >= held, 30, "the end of the holds")
        result = load.result(stop_now=True)
        check(result["failed"] == 0, f"{result['failed']} requests failed: {result['errors']}")
        check(result["ok"] > 500, f"only {result['ok']} requests")
        check(haproxy.running() and haproxy.pid == pid, "HAProxy was restarted")
        scene.say(f"gossip alone cut, a pool of {size}: all failed within {took:.0f} s, {stays} stayed in rotation, "
                  f"{result['ok']} requests, 0 failed, all back {healed:.1f} s after the heal")


@test(seconds=260)
def test_a_pool_of_twelve_serves_while_gossip_alone_is_cut(scene):
    if not no_namespaces(scene):
        cut_off(scene, 12, 6)


@test(seconds=120)
def test_a_pool_of_two_serves_while_gossip_alone_is_cut(scene):
    if not no_namespaces(scene):
        cut_off(scene, 2, 1)


@test(seconds=120)
def test_a_pool_of_one_serves_while_gossip_alone_is_cut(scene):
    if not no_namespaces(scene):
        cut_off(scene, 1, 1)


@test(seconds=180)
def test_a_dead_host_that_is_silent_leaves_a_second_after_its_member_and_the_floor_holds_the_next(scene):
    if no_namespaces(scene):
        return
    with Hosts(4) as hosts:
        haproxy = haproxy_on(scene, hosts, 1)
        sidecar = sidecar_on(scene, hosts, haproxy)
        for host, name in ((2, "a"), (3, "b"), (4, "c")):
            task_on(scene, hosts, host, name)
        haproxy.wait_in_rotation("a", "b", "c")
        hosts.drop(3, "")
        failed = sidecar.log.wait_for(r'"event":"member failed".*"node":"b"', 30)
        out = sidecar.log.wait_for(r'"event":"server out of rotation".*"node":"b"', 5)
        took = seconds_of(out) - seconds_of(failed)
        check(0 <= took < 1.5, f"out of rotation {took:.2f} s after its member failed")
        # Two of three have to stay: the next one is held, and HAProxy's own check keeps requests from it.
        hosts.drop(4, "")
        sidecar.log.wait_for(r'"event":"server held in rotation.*"node":"c"', 40)
        check(haproxy.server_of("c").admin == 0, f"the held one is {haproxy.server_of('c')}")
        wait_until(lambda: not haproxy.in_rotation("c"), 20, "HAProxy's own check to see it down")
        load = Load(8080, 3, clients=4, pause_ms=10, inside=hosts.on(1))
        result = load.result()
        check(result["failed"] == 0 and set(result["by_worker"]) == {"a"}, f"{result}")
        hosts.heal(3)
        hosts.heal(4)
        haproxy.wait_in_rotation("a", "b", "c", timeout=60)
        scene.say(f"a silent host's server was out {took:.2f} s after its member failed")


@test(seconds=120)
def test_a_host_that_is_alive_refuses_for_its_killed_task_the_last_of_its_pool_too(scene):
    if no_namespaces(scene):
        return
    with Hosts(2) as hosts:
        haproxy = haproxy_on(scene, hosts, 1)
        sidecar = sidecar_on(scene, hosts, haproxy)
        task = task_on(scene, hosts, 2, "a")
        haproxy.wait_in_rotation("a")
        task.kill()
        failed = sidecar.log.wait_for(r'"event":"member failed".*"node":"a"', 30)
        out = sidecar.log.wait_for(r'"event":"server out of rotation".*"node":"a"', 5)
        took = seconds_of(out) - seconds_of(failed)
        check(0 <= took < 0.3, f"out of rotation {took:.3f} s after its member failed")
        check(not sidecar.log.find("server held"), "it was held")
        haproxy.wait_deleted("a", 25)
        scene.say(f"a refusing place was out {took * 1000:.0f} ms after its member failed")


@test(seconds=120)
def test_a_restarted_sidecar_that_cannot_join_takes_nothing_out_that_answers(scene):
    """It adopts what stands; whoever never speaks is asked, and the floor holds half of them."""
    if no_namespaces(scene):
        return
    with Hosts(2) as hosts:
        haproxy = haproxy_on(scene, hosts, 1)
        sidecar = sidecar_on(scene, hosts, haproxy)
        for name in ("a", "b"):
            task_on(scene, hosts, 2, name)
        haproxy.wait_in_rotation("a", "b")
        hosts.drop(1, GOSSIP_ALONE)
        sidecar.kill()
        sidecar.start()
        load = Load(8080, 300, clients=4, pause_ms=10, inside=hosts.on(1))
        hold_true(lambda: len(serving(haproxy)) == 2, 20, "both in rotation", every=0.1)
        hosts.heal(1)
        hold_true(lambda: len(serving(haproxy)) == 2, 20, "both in rotation", every=0.1)
        result = load.result(stop_now=True)
        check(result["failed"] == 0, f"{result}")
