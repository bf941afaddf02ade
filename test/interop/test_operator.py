"""What an operator sets by hand on HAProxy's own socket stays until the operator undoes it."""
import time

from harness import GRACE_SECONDS, Relay, check, test, wait_until

RECONCILES = 10


def looks(relay):
    return len(relay.when("^show servers state"))


def check_kept(haproxy, wanted):
    for node, (name, admin, weight) in wanted.items():
        row = haproxy.server_of(node)
        check(row and row.name == name and row.admin & 0x0D == admin and row.weight == weight,
              f"{node} should have admin={admin} weight={weight}: {row}")


def wait_reconciles(haproxy, relay, wanted, count=RECONCILES):
    """So many looks of the sidecar at the table, and the rows stay as they are all the while."""
    first, end = looks(relay), time.monotonic() + 60
    while looks(relay) < first + count:
        check(time.monotonic() < end, f"only {looks(relay) - first} reconciles in a minute")
        check_kept(haproxy, wanted)
        time.sleep(0.05)


@test(seconds=120)
def test_an_operators_maintenance_and_drain_outlive_ten_reconciles_and_the_sidecar(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path, more={"node": {"name": None},
                                                                  "haproxy": {"reconcile_interval": "200ms"}})
    tasks = {name: scene.task(proxy, name) for name in ("stay", "out", "draining", "lighter")}
    haproxy.wait_in_rotation(*tasks)
    server = {node: haproxy.server_of(node).name for node in tasks}
    by_hand = {"out": ("state maint", 1, 100), "draining": ("state drain", 8, 100)}
    mark = len(relay.commands())
    for node, (command, _, _) in by_hand.items():
        answer = haproxy.tell(f"set server web/{server[node]} {command}")
        check(answer == "", f"HAProxy says: {answer}")
    wanted = {node: (server[node], admin, weight) for node, (_, admin, weight) in by_hand.items()}
    wait_reconciles(haproxy, relay, wanted)
    proxy.kill()
    check_kept(haproxy, wanted)
    proxy.start()
    wait_until(lambda: all(proxy.status_of(name) == "alive" for name in tasks), 30, "the new sidecar knows the tasks")
    wait_reconciles(haproxy, relay, wanted)
    touched = [line for line in relay.commands()[mark:] if not line.startswith(b"show ") and line != b"prompt"
               and any(server[node].encode() in line for node in by_hand)]
    check(not touched, f"shoal has touched what the operator holds: {touched}")
    for node in by_hand:
        haproxy.tell(f"set server web/{server[node]} state ready")
    haproxy.wait_in_rotation(*tasks)
    check({node: haproxy.server_of(node).name for node in tasks} == server, "a server was replaced")


@test(seconds=120)
def test_a_server_that_an_operator_holds_is_deleted_when_its_task_is_gone(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    scene.task(proxy, "stay")
    go = scene.task(proxy, "go")
    haproxy.wait_in_rotation("stay", "go")
    haproxy.tell(f"set server web/{haproxy.server_of('go').name} state maint")
    check(go.stop(30) == 0, "not 0")
    haproxy.wait_deleted("go", GRACE_SECONDS + 30)
    check(haproxy.in_rotation("stay"), "the other task suffered")


@test(seconds=60)
def test_servers_that_are_not_shoals_are_never_touched(scene):
    haproxy = scene.haproxy()
    by_hand = ["add server web/theirs 127.0.0.1:9 check inter 60s", "enable server web/theirs",
               "add server web/notshoal-1 127.0.0.1:9", "set server web/notshoal-1 state drain",
               "add server web/shoalish 127.0.0.1:9"]
    for command in by_hand:
        haproxy.tell(command)
    foreign = {repr(row) for row in haproxy.servers()}
    check(len(foreign) == 3, f"HAProxy has {foreign}")
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path, more={"haproxy": {"reconcile_interval": "200ms"}})
    task = scene.task(proxy, "task")
    haproxy.wait_in_rotation("task")
    wait_until(lambda: looks(relay) > RECONCILES, 30, "ten reconciles")
    check(task.stop(30) == 0, "not 0")
    haproxy.wait_deleted("task", GRACE_SECONDS + 20)
    check({repr(row) for row in haproxy.servers()} == foreign, f"HAProxy had {foreign}, has {haproxy.servers()}")
