"""One thread, little memory."""
from harness import check, children_of, resident_kib, test, threads_of
from load import Load


@test(seconds=60, alone=True)
def test_one_thread_in_both_roles_under_load_and_less_memory_than_a_serf_agent(scene):
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy)
    tasks = [scene.task(proxy, f"t{i}") for i in range(3)]
    haproxy.wait_in_rotation(*(t.name for t in tasks))
    agent = scene.agent("watcher", join=[proxy.gossip])
    agent.wait_status("proxy", "alive", 10)
    load = Load(haproxy.http_port, seconds=6)
    most = {shoal.name: 0 for shoal in (proxy, *tasks)}
    while load.running():
        for shoal in (proxy, *tasks):
            most[shoal.name] = max(most[shoal.name], threads_of(shoal.pid))
        if sum(1 for t in tasks if t.running()) == 3 and load.running():
            agent.members()  # Something to do for the agent, and a pause for us.
    check(load.result()["ok"] > 500, "the load was no load")
    check(all(count == 1 for count in most.values()), f"threads seen: {most}")
    figures = {"sidecar": resident_kib(proxy.pid), "task": resident_kib(tasks[0].pid),
               "serf agent": resident_kib(agent.pid)}
    scene.say("resident: " + ", ".join(f"{name} {kib / 1024:.1f} MiB" for name, kib in figures.items()))
    check(figures["sidecar"] < figures["serf agent"] and figures["task"] < figures["serf agent"],
          f"resident KiB: {figures}")
    for task in tasks:
        check(len(children_of(task.pid)) == 1, f"{task.name} has the children {children_of(task.pid)}")
    check(children_of(proxy.pid) == [], f"the sidecar has the children {children_of(proxy.pid)}")
