"""The snapshot file: serf's format, written and read by either program. A node whose seeds have all gone finds its
cluster again by it."""
import os
import re
import shutil

from harness import Say, check, free_port, hold_true, test, wait_until

LINE = re.compile(r"(alive: \S.* (\d+\.){3}\d+:\d+|not-alive: \S.*|clock: \d+|event-clock: \d+|query-clock: \d+|leave)")
ATTEMPT = "[Aa]ttempting re-join|[Rr]e-?joined"


def snapshot_of(member):
    return os.path.join(member.settings["gossip"]["snapshot_dir"], "sidecar.snapshot")


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def alive_in(path):
    """Names that the file ends with, by its own rules."""
    names = set()
    for line in lines_of(path):
        kind, _, rest = line.partition(": ")
        if kind == "alive":
            names.add(rest.rsplit(" ", 1)[0])
        elif kind == "not-alive":
            names.discard(rest)
        elif line == "leave":
            names.clear()
    return names


@test(seconds=60, also_encrypted=True)
def test_a_stock_agent_finds_the_cluster_by_our_snapshot(scene):
    first = scene.agent("the first", profile="lan", files="first")  # With a space in it.
    writer = scene.member("writer", join=[first])
    second = scene.agent("second", join=[first.gossip], profile="lan")
    writer.log.wait_for(Say.of(Say.MEMBER_JOINED, "second"), 10)
    first.command("event", "deploy", "v1")
    second.command("leave", timeout=30)
    wait_until(lambda: any(line.startswith("event-clock: ") for line in lines_of(snapshot_of(writer)))
               and alive_in(snapshot_of(writer)) >= {"the first"} and "second" not in alive_in(snapshot_of(writer)), 10,
               "the event and the leave in the snapshot")
    writer.kill()
    bad = [line for line in lines_of(snapshot_of(writer)) if not LINE.fullmatch(line)]
    check(not bad, f"lines that serf does not write: {bad}")
    copy = scene.path("reader.snapshot")
    shutil.copy(snapshot_of(writer), copy)
    reader = scene.agent("reader", profile="lan", extra=[f"-snapshot={copy}"])  # No seed.
    first.wait_status("reader", "alive", 10)
    check(reader.log.find(ATTEMPT), "the agent did not take it from the snapshot")
    check(int(reader.stats()["event_time"]) >= 2, f"its event clock: {reader.stats()}")
    problem = reader.log.find("(?i)snapshot.*(fail|unrecog|error)|fail.*snapshot")
    check(not problem, f"the agent says: {problem}")


@test(seconds=60, also_encrypted=True)
def test_we_find_the_cluster_by_a_stock_agents_snapshot(scene):
    first = scene.agent("first", profile="lan")
    path = scene.path("writer.snapshot")
    writer = scene.agent("writer", join=[first.gossip], profile="lan", extra=[f"-snapshot={path}"])

    def written():  # An agent flushes its file with a later line only.
        first.command("event", "deploy", "v1")
        return "first" in alive_in(path) and any(line.startswith("event-clock: ") for line in lines_of(path))
    wait_until(written, 10, "the agent's snapshot", every=0.3)
    writer.kill()
    reader = scene.member("reader", start=False)
    os.mkdir(os.path.dirname(snapshot_of(reader)))
    shutil.copy(path, snapshot_of(reader))
    reader.start()  # Without a seed.
    first.wait_status("reader", "alive", 10)
    reader.log.wait_for(Say.of(Say.MEMBER_JOINED, "first"), 5)
    check(not reader.log.find('"level":"(warn|error)".*snapshot'), "a warning about the snapshot")


@test(seconds=60)
def test_a_snapshot_that_has_grown_is_written_anew_and_serf_reads_what_is_left(scene):
    first = scene.agent("first", profile="lan")
    writer = scene.member("writer", join=[first], start=False)
    path = snapshot_of(writer)
    os.mkdir(os.path.dirname(path))
    with open(path, "w", encoding="ascii") as f:
        f.writelines(f"alive: ghost 127.0.0.1:9\nclock: {n}\nnot-alive: ghost\n" for n in range(1, 4000))
    old = os.stat(path)
    writer.start()
    wait_until(lambda: "first" in alive_in(path) and os.stat(path).st_size < 1000, 10, "the file written anew")
    check(os.stat(path).st_ino != old.st_ino, "it was not put in the old one's place but cut")
    check(os.listdir(os.path.dirname(path)) == ["sidecar.snapshot"], f"left: {os.listdir(os.path.dirname(path))}")
    writer.kill()
    bad = [line for line in lines_of(path) if not LINE.fullmatch(line)]
    check(not bad and alive_in(path) == {"first"}, f"the file is {lines_of(path)}")
    copy = scene.path("reader.snapshot")
    shutil.copy(path, copy)
    reader = scene.agent("reader", profile="lan", extra=[f"-snapshot={copy}"])  # No seed.
    first.wait_status("reader", "alive", 10)
    check(int(reader.stats()["member_time"]) >= 4000, f"its member clock: {reader.stats()}")


@test(seconds=60)
def test_without_a_place_for_its_snapshot_a_member_warns_once_and_works(scene):
    with open(scene.path("a-file"), "w", encoding="ascii"):
        pass
    agent = scene.agent("agent", profile="lan")
    member = scene.member("member", join=[agent],
                          more={"gossip": {"snapshot_dir": scene.path("a-file") + "/snapshots"}})
    member.log.wait_for('"level":"warn".*snapshot', 10)
    agent.wait_status("member", "alive", 10)
    for name in ("one", "two"):  # More news that there is no place for.
        other = scene.member(name, join=[agent])
        member.log.wait_for(Say.of(Say.MEMBER_JOINED, name), 10)
        check(other.stop(30) == 0, "not 0")
        member.log.wait_for(Say.of(Say.MEMBER_LEFT, name), 10)
    check(member.stop(30) == 0, "not 0")
    warnings = member.log.count('"level":"(warn|error)".*snapshot')
    check(warnings == 1, f"{warnings} warnings about the snapshot")


@test(seconds=90)
def test_a_sidecar_whose_seeds_have_gone_finds_its_cluster_by_its_snapshot(scene):
    haproxy = scene.haproxy()
    seed = scene.agent("seed")
    proxy = scene.sidecar(haproxy, more={"gossip": {"join": [seed.address]}})
    # The task's only seed is the agent as well: nobody knows the sidecar's address but by gossip.
    task = scene.task([seed.address], "task")
    haproxy.wait_in_rotation("task", timeout=20)
    wait_until(lambda: "task" in alive_in(snapshot_of(proxy)), 10, "the task in the snapshot")
    proxy.kill()
    seed.kill()
    haproxy.kill()
    haproxy.start()  # An empty table: only the task's own word brings it back.
    # Not before the task has given it up: until then the task's own pings would lead it back.
    mark = task.log.mark()
    task.log.wait_for(Say.of(Say.MEMBER_FAILED, "proxy"), 40, since=mark)
    mark = proxy.log.mark()
    proxy.start()
    proxy.log.wait_for(Say.of(Say.MEMBER_JOINED, "task"), 5, since=mark)
    haproxy.wait_in_rotation("task", timeout=15)
    check(task.running(), "the task has died")


@test(seconds=60)
def test_after_a_leave_neither_goes_back_by_its_snapshot(scene):
    first = scene.agent("first", profile="lan")
    leaver = scene.member("leaver", join=[first])
    leaver.log.wait_for(Say.of(Say.MEMBER_JOINED, "first"), 10)
    check(leaver.stop(30) == 0, "not 0")
    check("leave" in lines_of(snapshot_of(leaver)), f"the snapshot is {lines_of(snapshot_of(leaver))}")
    first.wait_status("leaver", "left", 5)
    copy = scene.path("copy.snapshot")
    shutil.copy(snapshot_of(leaver), copy)
    again = scene.member("leaver-2", start=False, more={"gossip": {"bind": f"127.0.0.1:{free_port()}"}})
    os.mkdir(os.path.dirname(snapshot_of(again)))
    shutil.copy(copy, snapshot_of(again))
    again.start()
    again.log.wait_for(Say.SIDECAR_STARTED, 10)
    scene.agent("reader", profile="lan", extra=[f"-snapshot={copy}"])
    hold_true(lambda: set(first.members()) == {"first", "leaver"}, 3, "nobody came back", every=0.2)
