"""Tasks started and stopped again and again leave nothing behind."""
import collections
import os
import signal
import time

from harness import check, children_of, own_network, test, wait_until
from test_pid1 import compiled_worker

CYCLES = int(os.environ.get("SHOAL_TEST_CYCLES", "50"))  # docs/measurements.md has the figures for 1000.
AT_ONCE = 16


def descriptors(pid):
    """What they are, sorted; a number behind "socket:" says nothing."""
    out = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            out.append(os.readlink(f"/proc/{pid}/fd/{fd}").split("[")[0].split(":")[0])
        except OSError:
            pass  # Closed meanwhile.
    return sorted(out)


def abstract_names():
    with open("/proc/net/unix", encoding="ascii", errors="replace") as f:
        return collections.Counter(line.split()[-1] for line in f if "@shoal/" in line)


def cycle(scene, proxy, haproxy, total):
    """Each is told to stop when it is in rotation; every fifth has a worker that ends by itself."""
    worker, alive, begun = compiled_worker(scene), [], 0
    while begun < total or alive:
        if begun < total and len(alive) < AT_ONCE:
            brief = begun % 5 == 4
            words = ["orphans=2", "tree", *(["status=0"] if brief else [])]
            alive.append(scene.task(proxy, f"c{begun}", more={"worker": {"command": [worker, *words]},
                                                              "task": {"drain_timeout": "2s"}}))  # The tree is deaf.
            alive[-1].told = brief
            begun += 1
        rows = {row.name for row in haproxy.servers() or [] if row.in_rotation}
        for task in list(alive):
            if not task.told and any(row.startswith(f"shoal-{task.name}-") for row in rows):
                task.signal(signal.SIGTERM)
                task.told = True
            if not task.running():
                check(task.wait(1) == 0, f"{task.name} did not end with 0")
                scene.programs.remove(task.program)
                task.program._out.close()
                alive.remove(task)
        time.sleep(0.005)


@test(seconds=60 + 2 * CYCLES, alone=True)
def test_start_and_stop_leave_no_process_descriptor_or_zombie(scene):
    mine = own_network()  # Nobody else's abstract sockets.
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    names = abstract_names()
    cycle(scene, proxy, haproxy, AT_ONCE)  # What is opened once and kept is open now.
    stay = {haproxy.pid, proxy.pid}
    wait_until(lambda: set(children_of(os.getpid())) == stay, 5, "the first round to be gone")
    before, begun = descriptors(proxy.pid), time.monotonic()
    cycle(scene, proxy, haproxy, CYCLES)
    took = time.monotonic() - begun
    # Zombies are children too, and what a task leaves behind becomes ours.
    left = set(children_of(os.getpid())) - stay
    check(not left, f"left behind: {[open(f'/proc/{pid}/stat', encoding='utf-8').read() for pid in left]}")
    wait_until(lambda: descriptors(proxy.pid) == before, 10,
               f"the sidecar's descriptors to be {before}; they are {descriptors(proxy.pid)}")
    files = [name for name in os.listdir(scene.dir) if name.startswith("c") and name.endswith(".control")]
    left = abstract_names() - names if mine else None
    check(not files and not left, f"sockets are left: {files} {left}")
    scene.say(f"{CYCLES} tasks in {took:.0f} s: no process, zombie, descriptor or socket is left")
