"""When a worker counts as ready, and what becomes of one that is not well any more."""
import os
import resource
import signal
import socket
import time

from harness import Say, check, free_port, hold_true, http_get, is_running, test, wait_until
from load import Load

UNHEALTHY = r'"event":"the worker is unhealthy"'
HEALTHY = r'"event":"the worker is healthy again"'
# Quick looks, so that a test is short; what they mean together is the same as with the defaults.
QUICK = {"health_interval": "200ms", "health_timeout": "1s"}


def write_status(scene, status, name="status"):
    """What /status of a worker answers from now on; whole at any moment."""
    path = scene.path(name)
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(str(status))
    os.replace(path + ".new", path)
    return path


@test(seconds=30)
def test_a_worker_that_answers_503_is_not_announced_until_it_answers_well(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "warming", worker=["--status-file", write_status(scene, 503)],
                      more={"worker": {"ready": "http:/status", "ready_timeout": "3s"}})
    task.log.wait_for(r'"level":"warn","event":"the worker is not ready yet.*"path":"/status","status":503', 5)
    check(haproxy.servers() == [], f"announced before it was ready: {haproxy.servers()}")
    write_status(scene, 204)
    haproxy.wait_in_rotation("warming", timeout=5)
    check(task.log.find(r'"by":"http"'), "the log does not say by what it was found ready")


@test(seconds=30)
def test_a_worker_that_accepts_before_it_is_ready_is_announced_when_it_says_so_or_after_a_delay(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    notify = scene.task(proxy, "says", worker=["--notify-after", "1.5"], more={"worker": {"ready": "notify"}})
    delay = scene.task(proxy, "waits", more={"worker": {"ready": "delay:1500ms"}})
    seen = {}
    def look():
        for row in haproxy.servers():
            for task in (notify, delay):
                if row.belongs_to(task.name):
                    seen.setdefault(task.name, time.time())
        return len(seen) == 2
    wait_until(look, 10, "both announced")
    said = notify.worker.first("notified")
    check(said and seen["says"] >= said["t"], "announced before READY=1")
    started = delay.worker.first("start")["t"]
    check(seen["waits"] - started > 1.2, f"announced {seen['waits'] - started:.2f} s after its start, not 1.5 s")
    haproxy.wait_in_rotation("says", "waits")


@test(seconds=30)
def test_a_worker_that_is_not_ready_in_time_ends_the_task_with_75_in_each_mode(scene):
    nobody = [f"127.0.0.1:{free_port()}"]
    status = write_status(scene, 500)
    tasks = [scene.task(nobody, name, worker=worker, more={"worker": {"ready": ready, "ready_timeout": "1s"}})
             for name, ready, worker in (("http", "http:/status", ["--status-file", status]),
                                         ("deaf", "http:/status", ["--never-accept"]),
                                         ("mute", "notify", []))]
    for task in tasks:
        worker = task.worker.pid
        check(task.wait(20) == 75, f"{task.name}: not 75")
        check(not is_running(worker), f"{task.name}: the worker lives on")
        check(task.log.find(Say.NOT_READY), f"{task.name}: the log does not say why")


@test(seconds=30)
def test_a_worker_that_listens_elsewhere_is_told_what_to_set(scene):
    nobody = [f"127.0.0.1:{free_port()}"]
    port = free_port()
    task = scene.task(nobody, "stray", worker=["--listen-elsewhere", port], more={"worker": {"ready_timeout": "2s"}})
    line = rf'"level":"warn".*worker\.socket = .*reserve.*"listens_on":"127\.0\.0\.1:{port}"'
    task.log.wait_for(line, 10)
    check(task.wait(20) == 75, "not 75")
    reserved = scene.task(nobody, "astray", worker=["--listen-elsewhere", free_port()],
                          more={"worker": {"ready_timeout": "2s", "socket": "reserve"}})
    reserved.log.wait_for(r'"level":"warn".*another port than SHOAL_PORT', 10)


def connections_to(port):
    """How many connections the worker at this port has accepted, or the kernel for it."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


@test(seconds=30)
def test_tcp_is_ready_and_healthy_while_the_worker_listens_at_its_own_port(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "own", worker=["--bind", "reuse"],
                      more={"worker": {"socket": "reserve", "ready": "tcp", "health": "tcp", **QUICK}})
    haproxy.wait_in_rotation("own")
    port, looks = task.worker.first("start")["port"], []
    hold_true(lambda: looks.append(connections_to(port)) or True, 1, "looks at the worker's connections")
    check(sum(looks) < len(looks) / 2, "a look's connection is kept open: a worker with one thread waits for it")
    check(http_get(haproxy.http_port)[0] == 200, "no answer")
    # Its listener alone is closed: SIGTERM to the worker alone, which waits for a request that is under way.
    with socket.create_connection(("127.0.0.1", task.worker.first("start")["port"])) as s:
        s.sendall(b"GET /slow?ms=4000 HTTP/1.1\r\nHost: x\r\n\r\n")
        hold_true(lambda: not task.log.find(UNHEALTHY), 1, "the worker healthy")
        os.kill(task.worker.pid, signal.SIGTERM)
        task.log.wait_for(UNHEALTHY + r'.*nobody listens', 5)
        haproxy.wait_out_of_rotation("own", timeout=3)


@test(seconds=40)
def test_an_unhealthy_worker_leaves_rotation_lives_on_and_returns(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    status = write_status(scene, 200)
    sick = scene.task(proxy, "sick", worker=["--status-file", status],
                      more={"task": {"listen": "0.0.0.0:0"}, "worker": {"health": "http:/status", **QUICK}})
    well = scene.task(proxy, "well")
    haproxy.wait_in_rotation("sick", "well")
    worker = sick.worker.pid
    load = Load(haproxy.http_port, seconds=30, clients=4)
    for fall, successes in ((1, 2), (2, 4)):
        mark, begun = sick.log.mark(), time.monotonic()
        write_status(scene, 500)
        haproxy.wait_out_of_rotation("sick", timeout=5)
        scene.say(f"out of rotation {(time.monotonic() - begun) * 1000:.0f} ms after its first 500")
        check(sick.log.find(UNHEALTHY + rf'.*"status":500.*"failures":3.*"successes_needed":{successes}', mark),
              f"fall {fall}: the log does not say why: {sick.log.tail(5)}")
        hold_true(lambda: not haproxy.in_rotation("sick"), 0.5, "out of rotation while it answers 500")
        write_status(scene, 200)
        haproxy.wait_in_rotation("sick", timeout=10)
        check(sick.log.find(HEALTHY + rf'.*"successes":{successes}', mark), f"fall {fall}: not damped")
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and result["ok"] > 100, f"{result['failed']} of {result['ok']}: {result['errors']}")
    check(sick.worker.pid == worker and is_running(worker), "the worker was restarted")
    check(sick.stop() == 0 and well.stop() == 0, "not 0")


@test(seconds=40)
def test_a_worker_that_stops_accepting_leaves_rotation_and_returns(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    stuck = scene.task(proxy, "stuck", more={"task": {"listen": "[::]:0"}, "worker": {"health": "queue", **QUICK}})
    well = scene.task(proxy, "well")
    haproxy.wait_in_rotation("stuck", "well")
    os.kill(stuck.worker.pid, signal.SIGSTOP)
    begun = time.monotonic()
    # HAProxy's own check goes on succeeding: the kernel takes its connections.
    hold_true(lambda: haproxy.in_rotation("stuck"), 1, "in rotation while nobody waits")
    client = socket.create_connection(("127.0.0.1", stuck.worker.first("start")["port"]))
    haproxy.wait_out_of_rotation("stuck", timeout=8)
    scene.say(f"out of rotation {time.monotonic() - begun:.1f} s after it had stopped accepting")
    check(stuck.log.find(UNHEALTHY + ".*a connection waits to be accepted"), "the log does not say why")
    check(haproxy.in_rotation("well") and http_get(haproxy.http_port)[0] == 200, "the other one suffered")
    os.kill(stuck.worker.pid, signal.SIGCONT)
    client.close()
    haproxy.wait_in_rotation("stuck", timeout=8)
    check(stuck.log.find(HEALTHY), "the log does not say that it is healthy")
    check(stuck.stop() == 0, "not 0")


@test(seconds=40)
def test_a_busy_worker_with_a_queue_that_is_never_empty_is_healthy(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "busy", worker=["--one-at-a-time", "--slow", "20"],
                      more={"worker": {"health": "queue", "health_interval": "1s", "health_fall": 2}})
    haproxy.wait_in_rotation("busy")
    load = Load(haproxy.http_port, seconds=4, clients=8, kind="close")
    result = load.result()
    check(result["failed"] == 0 and result["ok"] > 50, f"{result['failed']} of {result['ok']}: {result['errors']}")
    check(not task.log.find(UNHEALTHY), "withdrawn although it served")


@test(seconds=30)
def test_a_task_without_a_descriptor_left_does_not_call_its_worker_unhealthy(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    status = write_status(scene, 200)
    task = scene.task(proxy, "poor", worker=["--status-file", status],
                      more={"worker": {"health": "http:/status", **QUICK}})
    haproxy.wait_in_rotation("poor")
    limit = resource.prlimit(task.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(task.pid, resource.RLIMIT_NOFILE, (3, limit[1]))
    task.log.wait_for("the worker's health cannot be looked at", 5)
    hold_true(lambda: haproxy.in_rotation("poor"), 2, "in rotation without a descriptor for the look")
    check(not task.log.find(UNHEALTHY), "the worker was blamed")
    resource.prlimit(task.pid, resource.RLIMIT_NOFILE, limit)
    write_status(scene, 500)
    task.log.wait_for(UNHEALTHY, 5)


def answered(haproxy):
    """Requests that each task has finished, by HAProxy's count."""
    rows = [line.split(",") for line in haproxy.tell("show stat").splitlines()]
    total, name = rows[0].index("stot"), 1
    return {row[name].split("-")[1]: int(row[total]) for row in rows[1:]
            if len(row) > total and row[name].startswith("shoal-")}


@test(seconds=60, alone=True)
def test_a_saturated_task_asks_for_less_and_the_pool_gets_faster(scene):
    haproxy = scene.haproxy(balance="roundrobin")
    proxy = scene.sidecar(haproxy)
    tasks = [scene.task(proxy, name, worker=["--one-at-a-time", "--slow", str(slow)],
                        more={"task": {"adaptive_weight": True}})
             for name, slow in (("lame", 100), ("quick1", 2), ("quick2", 2))]
    haproxy.wait_in_rotation(*(t.name for t in tasks))
    load = Load(haproxy.http_port, seconds=40, clients=10, kind="close")

    def rates(seconds):
        before, begun = answered(haproxy), time.monotonic()
        time.sleep(seconds)
        after, took = answered(haproxy), time.monotonic() - begun
        return {name: (after[name] - before[name]) / took for name in after}
    wait_until(lambda: answered(haproxy)["lame"] >= 3, 5, "the load")
    first = rates(1)
    wait_until(lambda: haproxy.server_of("lame").weight <= 25, 20, "a lower weight of the slow one")
    last = rates(2)
    result = load.result(stop_now=True)
    low = haproxy.server_of("lame").weight
    share = [r["lame"] / sum(r.values()) for r in (first, last)]
    scene.say(f"{sum(first.values()):.0f} requests a second with equal weights, {sum(last.values()):.0f} with {low} "
              f"for the slow one; its share {share[0]:.0%}, then {share[1]:.0%}")
    check(result["failed"] == 0, f"{result['failed']} of {result['ok']} failed: {result['errors']}")
    check(share[1] < share[0] / 1.5, f"the slow one's share went from {share[0]:.0%} to {share[1]:.0%}")
    check(sum(last.values()) > 1.5 * sum(first.values()), "the pool got no faster")
    check(all(haproxy.server_of(t).weight == 100 for t in ("quick1", "quick2")), f"{haproxy.servers()}")
    wait_until(lambda: haproxy.server_of("lame").weight > low, 15, "a higher weight after the load")


@test(seconds=40)
def test_an_unhealthy_worker_is_started_anew_where_that_is_wanted(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    status = write_status(scene, 200)
    sick = scene.task(proxy, "sick", worker=["--status-file", status],
                      more={"worker": {"health": "http:/status", "health_action": "restart", **QUICK}})
    well = scene.task(proxy, "well")
    haproxy.wait_in_rotation("sick", "well")
    worker = sick.worker.pid
    load = Load(haproxy.http_port, seconds=30, clients=4)
    write_status(scene, 500)
    sick.log.wait_for(UNHEALTHY, 5)
    haproxy.wait_out_of_rotation("sick", timeout=5)
    write_status(scene, 200)
    wait_until(lambda: len(sick.worker.lines("start")) == 2, 10, "another worker")
    check(not is_running(worker), "the unhealthy worker lives on")
    check(sick.worker.first("end")["why"] == "sigterm", "it was not asked to stop")
    haproxy.wait_in_rotation("sick", timeout=5)
    result = load.result(stop_now=True)
    check(result["failed"] == 0 and result["ok"] > 100, f"{result['failed']} of {result['ok']}: {result['errors']}")
    check(well.running() and sick.stop() == 0, "not 0")
