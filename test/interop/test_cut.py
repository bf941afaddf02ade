"""The sidecar's host is cut off. What the sidecar does not hear says nothing of what HAProxy can reach: the pool is
kept, and whole again at once afterwards."""
import os
import time

from harness import POOL, check, test, wait_until
from load import Load
from test_network import Hosts, haproxy_on, no_namespaces, shoal_on, task_on

SECONDS = float(os.environ.get("SHOAL_TEST_CUT_SECONDS", "15"))  # 60 for docs/measurements.md.
GOSSIP = ("meta l4proto udp", "tcp dport 7946-7999", "tcp sport 7946-7999")
EVERYTHING = ("",)
TASKS = 4
FLOOR = TASKS // 2  # haproxy.removal_floor is 50 %.


def not_taken_out(haproxy):
    """Servers that shoal has left in rotation, whatever HAProxy's own check says of them."""
    return [row for row in haproxy.servers() or [] if not row.admin & 0x0D and row.weight > 0]


def cut_off(scene, hosts, what):
    """(haproxy, load, the fewest servers left in rotation, seconds from the heal to the whole pool)."""
    haproxy = haproxy_on(scene, hosts, 1)
    proxy = shoal_on(scene, hosts, 1, "proxy", {
        "role": "sidecar", "node": {"name": "proxy"}, "gossip": {"profile": "local"},
        # All fail within seconds: a node that hears nobody otherwise gets slow to call others failed.
        "gossip.timing": {"probe_interval": "200ms", "awareness_max": 1},
        "haproxy": {"socket": haproxy.socket, "backend": POOL, "grace": "10s"}}).start()
    names = [f"t{i}" for i in range(TASKS)]
    for i, name in enumerate(names):
        task_on(scene, hosts, 2 + i % 2, name)
    haproxy.wait_in_rotation(*names)
    load = Load(8080, seconds=SECONDS + 60, clients=6, pause_ms=20, inside=hosts.on(1))
    hosts.drop(1, *what)
    fewest, failed, end = TASKS, set(), time.monotonic() + SECONDS
    while time.monotonic() < end:
        fewest = min(fewest, len(not_taken_out(haproxy)))
        failed |= {name for name, m in proxy.members().items() if m["status"] == "failed"}
        time.sleep(0.1)
    hosts.heal(1)
    begun = time.monotonic()
    haproxy.wait_in_rotation(*names, timeout=60)
    scene.say(f"{SECONDS:g} s: the sidecar held {len(failed)} of {TASKS} for failed, at least {fewest} servers stayed "
              f"in rotation; all back {time.monotonic() - begun:.1f} s after the heal")
    check(len(failed) >= TASKS - 1, f"the cut was no cut: only {failed} were held for failed")
    check(fewest >= FLOOR, f"only {fewest} of {TASKS} servers stayed in rotation, the floor is {FLOOR}")
    return haproxy, load


@test(seconds=120 + SECONDS)
def test_no_request_fails_while_the_sidecar_is_cut_off_from_gossip_alone(scene):
    if no_namespaces(scene):
        return
    with Hosts(3) as hosts:
        _, load = cut_off(scene, hosts, GOSSIP)
        result = load.result(stop_now=True)
        scene.say(f"{result['ok']} requests, {result['failed']} failed")
        check(result["failed"] == 0 and result["ok"] > 20 * SECONDS,
              f"{result['failed']} of {result['ok']} failed: {result['errors']}")


@test(seconds=120 + SECONDS)
def test_the_pool_is_kept_while_the_proxys_host_is_cut_off_and_serves_at_once_afterwards(scene):
    if no_namespaces(scene):
        return
    with Hosts(3) as hosts:
        haproxy, load = cut_off(scene, hosts, EVERYTHING)
        load.result(stop_now=True)  # Nobody was reachable; what failed then failed.
        again = Load(8080, seconds=2, clients=6, inside=hosts.on(1)).result()
        check(again["failed"] == 0 and again["ok"] > 50, f"after the heal: {again}")
        check(len(haproxy.servers()) == TASKS, f"after the heal HAProxy has {haproxy.servers()}")
