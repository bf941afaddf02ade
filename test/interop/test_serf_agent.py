"""shoal is a serf member like any other: what a stock agent sees of it, and what it sees of a stock agent."""
import re
import signal
import time

from gossip_wire import fields
from harness import Say, check, test, wait_until


def real_errors(agent, killed=()):
    """Error lines of the agent's log, less those that say that a killed peer cannot be connected to."""
    dead = [f":{task.gossip.rsplit(':', 1)[1]}" for task in killed]
    return [line for line in agent.errors()
            if not ("connection refused" in line and any(port in line for port in dead))]


# Where every member has to hear something at once: `local` sends each message twice in a small cluster, and by chance
# both can miss a member until its next push/pull, among stock agents as well. `lan` sends it four times.
LAN = {"gossip": {"profile": "lan"}}


@test(seconds=90, also_encrypted=True)
def test_a_stock_agent_sees_every_member_and_how_each_went(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more=LAN)
    first = scene.task(proxy, "first", more=LAN)
    second = scene.task(proxy, "second", more={"node.tags": {"zone": "b"}, **LAN})
    haproxy.wait_in_rotation("first", "second")
    agent = scene.agent("watcher", join=[proxy.gossip], tags={"role": "watcher"}, profile="lan")
    for node in ("proxy", "first", "second"):
        agent.wait_status(node, "alive", 10)
    for node, tags in (("proxy", {"role": "sidecar"}), ("first", {"role": "task", "state": "ready"}),
                       ("second", {"role": "task", "state": "ready", "zone": "b"})):
        wait_until(lambda n=node, t=tags: t.items() <= agent.members()[n]["tags"].items(), 25,
                   f"{node} with the tags {tags}", every=0.1)
    members = agent.members()
    check(members["first"]["addr"] == first.gossip, f"the task's address: {members['first']}")

    check(first.stop() == 0, "not 0")
    agent.wait_status("first", "left", 10)
    second.kill()
    killed = time.monotonic()
    agent.wait_status("second", "failed", 30)
    scene.say(f"the agent saw the killed task as failed after {time.monotonic() - killed:.1f} s")
    check(agent.program.running(), "the agent has died")
    check(not real_errors(agent, [second]), "errors in the agent's log: " + "\n".join(real_errors(agent, [second])))


@test(seconds=60)
def test_a_stock_agent_sees_the_sidecar_leave(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task")
    haproxy.wait_in_rotation("task")
    agent = scene.agent("watcher", join=[proxy.gossip])
    agent.wait_status("task", "alive", 10)
    haproxy.kill()  # A sidecar serves as long as its HAProxy does.
    check(proxy.stop(10) == 0, "not 0")
    agent.wait_status("proxy", "left", 10)
    check(agent.status_of("task") == "alive" and task.running(), "the task suffered")
    check(not real_errors(agent, [proxy]), "errors in the agent's log: " + "\n".join(real_errors(agent, [proxy])))


@test(seconds=60, also_encrypted=True)
def test_a_stock_agent_can_ask_the_tasks_itself(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more=LAN)
    tasks = [scene.task(proxy, name, more=LAN) for name in ("first", "second")]
    haproxy.wait_in_rotation("first", "second")
    agent = scene.agent("watcher", join=[proxy.gossip], tags={"role": "watcher"}, profile="lan")
    for node in ("proxy", "first", "second"):
        agent.wait_status(node, "alive", 10)
    answers = agent.query("solicit", tags={"role": "task"}, timeout="3s")
    check(set(answers) == {"first", "second"}, f"answers to solicit from {sorted(answers)}")
    for task in tasks:
        told = fields(answers[task.name])
        check(told.get(1) == task.worker.first("start")["port"] and told.get(2) == b"web" and told.get(3) == b"ready",
              f"{task.name} answered {told}")
    check(agent.query("solicit", tags={"role": "sidecar"}, timeout="1s") == {}, "the sidecar answered a task's query")
    reached = agent.command("reachability", timeout=30)
    check("Successfully contacted all live nodes" in reached, f"serf reachability: {reached}")
    check(not real_errors(agent), "errors in the agent's log: " + "\n".join(real_errors(agent)))


@test(seconds=90, also_encrypted=True)
def test_shoal_sees_a_stock_agent_join_leave_and_fail(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    task = scene.task(proxy, "task")
    haproxy.wait_in_rotation("task")
    leaver, victim = (scene.agent(name, join=[proxy.gossip], profile="lan") for name in ("leaver", "victim"))
    for name in ("leaver", "victim"):
        for shoal in (proxy, task):
            shoal.log.wait_for(Say.of(Say.MEMBER_JOINED, name), 10)
    leaver.command("leave")
    for shoal in (proxy, task):
        shoal.log.wait_for(Say.of(Say.MEMBER_LEFT, "leaver"), 10)
    victim.program.kill()
    for shoal in (proxy, task):
        shoal.log.wait_for(Say.of(Say.MEMBER_FAILED, "victim"), 30)
        # The leave's two messages may come in either order (an agent passes through failed then as well): the
        # last word counts.
        last = [line for line in shoal.log.text().splitlines() if '"node":"leaver"' in line][-1]
        check(re.search(Say.of(Say.MEMBER_LEFT, "leaver"), last), f"{shoal.name}'s last word on the leaver: {last}")
    check(haproxy.in_rotation("task"), "the task left rotation")


@test(seconds=60)
def test_members_meet_through_a_stock_agent(scene):
    """Neither the sidecar nor the task knows the other: both know the agent."""
    agent = scene.agent("seed")
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"gossip": {"join": [agent.address]}})
    task = scene.task([agent.address], "task")
    haproxy.wait_in_rotation("task", timeout=20)
    task.signal(signal.SIGTERM)
    haproxy.wait_out_of_rotation("task")
    check(task.wait(25) == 0, "not 0")
    agent.wait_status("task", "left", 10)
    agent.wait_status("proxy", "alive", 5)
    check(proxy.running() and not real_errors(agent), "errors in the agent's log: " + "\n".join(real_errors(agent)))


@test(seconds=90)
def test_a_quiet_cluster_stays_whole_with_stock_agents_in_it(scene):
    """Twenty seconds over many probe rounds and push/pulls: nobody suspects anybody."""
    haproxy = scene.haproxy()
    often = {**LAN, "gossip.timing": {"push_pull_interval": "3s"}}
    proxy = scene.sidecar(haproxy, more=often)
    tasks = [scene.task(proxy, name, more=often) for name in ("first", "second")]
    agents = [scene.agent(name, join=[proxy.gossip], profile="lan") for name in ("left-agent", "right-agent")]
    haproxy.wait_in_rotation("first", "second")
    names = ("proxy", "first", "second", "left-agent", "right-agent")
    for agent in agents:
        for name in names:
            agent.wait_status(name, "alive", 10)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for agent in agents:
            members = agent.members()
            check(all(members[name]["status"] == "alive" for name in names),
                  f"{agent.name}: {[(n, m['status']) for n, m in members.items()]}")
        time.sleep(0.5)
    for agent in agents:
        check(not agent.log.find(r"Suspect|Refuting|failed ping|Failed ping"), f"{agent.name} has suspected somebody")
        check(not real_errors(agent), "errors in the agent's log: " + "\n".join(real_errors(agent)))
    for shoal in (proxy, *tasks):
        check(not any(shoal.log.find(Say.of(Say.MEMBER_FAILED, name)) for name in names), f"{shoal.name} saw a failure")
