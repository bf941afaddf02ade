"""Encrypted gossip beside stock agents: who has no key or a wrong one stays outside and is told why, keys are changed
without a gap from either side, keyring files are serf's."""
import base64
import json
import os
import shutil
import signal
import stat

from gossip_peer import view_of
from harness import KEY, KEY_TEXT, Failure, Say, check, hold_true, test, wait_until

OTHER = bytes(range(32, 64))
OTHER_TEXT = base64.b64encode(OTHER).decode()
THIRD = bytes(range(16))
THIRD_TEXT = base64.b64encode(THIRD).decode()

# What a shoal says once when gossip cannot be read: it names the peer and what to look at.
UNREADABLE = '"level":"(warn|error)".*(key|encrypt)'


def members_of(agent):
    return {name: m["status"] for name, m in agent.members().items()}


@test(seconds=60, agents_may_say="decrypt|not encrypted")
def test_a_shoal_with_a_wrong_key_or_none_stays_outside_and_says_why(scene):
    agent = scene.agent("agent", key=KEY_TEXT, profile="lan")
    insider = scene.member("insider", join=[agent], key=KEY_TEXT)
    agent.wait_status("insider", "alive", 10)
    for name, key in (("wrong", OTHER_TEXT), ("none", None)):
        for number, seed in enumerate((agent, insider)):
            outsider = scene.member(f"{name}-{number}", join=[seed], key=key)
            said = outsider.log.wait_for(UNREADABLE, 10)
            check(seed.gossip in said or "gossip.key" in said, f"{name}: it says neither who nor what: {said}")
    hold_true(lambda: members_of(agent) == {"agent": "alive", "insider": "alive"}, 3, "the two alone", every=0.2)
    view = view_of(insider.gossip, [KEY])
    check(set(view) == {"agent", "insider"}, f"the shoal inside knows {sorted(view)}")
    # Told once a cause, not once a datagram.
    check(1 <= insider.log.count(UNREADABLE) <= 3, f"{insider.log.count(UNREADABLE)} words about what cannot be read")


@test(seconds=60)
def test_an_agent_with_a_wrong_key_or_none_stays_outside_of_our_cluster(scene):
    first = scene.member("first", key=KEY_TEXT)
    second = scene.member("second", join=[first], key=KEY_TEXT)
    first.log.wait_for(Say.of(Say.MEMBER_JOINED, "second"), 10)
    for name, key in (("wrong", OTHER_TEXT), ("none", None)):
        outsider = scene.agent(name, key=key, profile="lan")
        try:
            outsider.command("join", first.gossip, timeout=30)
            raise Failure(f"the agent with the key {key} could join")
        except Failure as failure:
            check("rror" in str(failure), str(failure))
        check(set(outsider.members()) == {name}, f"the agent outside knows {sorted(outsider.members())}")
    check(first.log.find(UNREADABLE), "nothing was said about it")
    for member in (first, second):
        check(set(view_of(member.gossip, [KEY])) == {"first", "second"}, f"{member.name} took somebody in")
        check(member.running() and not member.log.find(r'"event":"member failed"'), f"{member.name} suffered")


def ring_in(path):
    with open(path, encoding="ascii") as f:
        return json.load(f)


@test(seconds=60)
def test_a_keyring_file_is_serfs_and_follows_every_change(scene):
    """An agent's file is read by a shoal; both are rewritten when the keys change; both restart with the new key."""
    files = [scene.path("agent.keyring"), scene.path("shoal.keyring")]
    for path in files:
        with open(path, "w", encoding="ascii") as f:
            json.dump([KEY_TEXT, THIRD_TEXT], f)
        os.chmod(path, 0o600)
    agent = scene.agent("agent", profile="lan", extra=[f"-keyring-file={files[0]}"])
    member = scene.member("member", join=[agent], more={"gossip": {"keyring_file": files[1]}})
    agent.wait_status("member", "alive", 10)
    agent.command("keys", f"-install={OTHER_TEXT}", timeout=30)
    agent.command("keys", f"-use={OTHER_TEXT}", timeout=30)
    agent.command("keys", f"-remove={KEY_TEXT}", timeout=30)
    for path in files:
        wait_until(lambda p=path: sorted(ring_in(p)) == sorted([OTHER_TEXT, THIRD_TEXT]), 3, f"two keys in {path}")
        check(ring_in(path)[0] == OTHER_TEXT, f"{path} holds {ring_in(path)}, the primary key first")
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, f"{path} may be read by others")
    member.kill()
    member.start()
    wait_until(lambda: set(view_of(member.gossip, [OTHER])) == {"agent", "member"}, 10, "the member back, by its key")
    agent.wait_status("member", "alive", 10)


@test(seconds=60)
def test_a_keyring_file_is_read_anew_on_sighup_and_a_broken_one_changes_nothing(scene):
    """What no query can tell: an operator's tool puts another file in place and sends SIGHUP."""
    agent_ring = scene.path("agent.keyring")
    with open(agent_ring, "w", encoding="ascii") as f:
        json.dump([KEY_TEXT, OTHER_TEXT], f)
    os.chmod(agent_ring, 0o600)
    agent = scene.agent("agent", profile="lan", extra=[f"-keyring-file={agent_ring}"])
    rings = [scene.path("sidecar.keyring"), scene.path("task.keyring")]

    def put(*lines):
        for path in rings:
            with open(f"{path}.new", "w", encoding="ascii") as f:
                f.writelines(lines)
            os.chmod(f"{path}.new", 0o600)
            os.rename(f"{path}.new", path)
    put(json.dumps([KEY_TEXT]))
    lan = {"gossip": {"profile": "lan", "keyring_file": rings[1]}, "worker": {"on_hup": "forward"}}
    shoals = [scene.member("sidecar", join=[agent], more={"gossip": {"keyring_file": rings[0]}}),
              scene.task([agent.gossip], "task", more=lan)]
    names = {"agent", "sidecar", "task"}

    def read_by(key):
        """Whether each takes what is sealed with this key, and answers with it as the first of its ring."""
        try:
            return all(set(view_of(shoal.gossip, [key])) == names for shoal in shoals)
        except (OSError, IndexError, ValueError):
            return False
    wait_until(lambda: read_by(KEY), 10, "all three there")
    shoals[1].worker.wait_for("start")
    check(not read_by(OTHER), "the other key is known already")

    def reload(said):
        marks = [shoal.log.mark() for shoal in shoals]
        for shoal in shoals:
            shoal.signal(signal.SIGHUP)
        for shoal, mark in zip(shoals, marks):
            shoal.log.wait_for(said, 5, since=mark)
    put(json.dumps([OTHER_TEXT, KEY_TEXT]))
    reload('"level":"info","event":"SIGHUP: gossip keys read anew","keys":2')
    check(read_by(OTHER) and not read_by(KEY), "they do not write with the new key, or still with the old one")
    for broken in ("", "[]", '["short"]', "{"):
        put(broken)
        reload('"level":"error","event":"SIGHUP: the keys stay as they are","reason":".*keyring')
    check(read_by(OTHER), "a broken file has changed the keys")
    hold_true(lambda: members_of(agent) == dict.fromkeys(names, "alive"), 3, "all alive to the agent", every=0.2)
    check(shoals[1].worker.lines("signal"), "the worker was not told of any SIGHUP")


@test(seconds=60)
def test_a_keyring_file_that_cannot_be_written_is_an_error_and_the_new_key_counts(scene):
    agent = scene.agent("agent", key=KEY_TEXT, profile="lan")
    folder = scene.path("keys")
    os.mkdir(folder)
    with open(f"{folder}/shoal.keyring", "w", encoding="ascii") as f:
        json.dump([KEY_TEXT], f)
    member = scene.member("member", join=[agent], more={"gossip": {"keyring_file": f"{folder}/shoal.keyring"}})
    agent.wait_status("member", "alive", 10)
    shutil.rmtree(folder)
    for what in ("install", "use"):
        try:
            answer = agent.command("keys", f"-{what}={OTHER_TEXT}", timeout=30)
        except Failure:
            continue  # The agent was told that a restart undoes it.
        raise Failure(f"{what} is called done: {answer}")
    said = member.log.wait_for('"level":"error".*keys', 10)
    check("written" in said or "keyring" in said, f"it says {said}")
    wait_until(lambda: set(view_of(member.gossip, [OTHER])) == {"agent", "member"}, 5, "the new key in use")
    check(members_of(agent) == {"agent": "alive", "member": "alive"}, f"the agent sees {members_of(agent)}")


@test(seconds=60, agents_may_say="Removing the primary key")
def test_a_shoal_lists_and_changes_the_keys_of_a_cluster_of_agents(scene):
    agents = [scene.agent("agent-0", key=KEY_TEXT, profile="lan")]
    agents.append(scene.agent("agent-1", key=KEY_TEXT, profile="lan", join=[agents[0].gossip]))
    member = scene.member("member", join=[agents[0]], key=KEY_TEXT)
    for agent in agents:
        agent.wait_status("member", "alive", 10)

    def listed():
        answer = json.loads(member.command("keys", "list", "-o", "json"))
        check(answer["nodes"] == answer["answered"] == 3 and not answer["errors"], f"the list is {answer}")
        return {k["key"]: (k["nodes"], k["primary_nodes"]) for k in answer["keys"]}
    check(listed() == {KEY_TEXT: (3, 3)}, f"before: {listed()}")
    member.command("keys", "install", OTHER_TEXT)
    check(listed() == {KEY_TEXT: (3, 3), OTHER_TEXT: (3, 0)}, f"after install: {listed()}")
    member.command("keys", "use", OTHER_TEXT)
    check(listed() == {KEY_TEXT: (3, 0), OTHER_TEXT: (3, 3)}, f"after use: {listed()}")
    # What the ring refuses comes back in words, from the agents too: the primary key cannot be removed.
    try:
        member.command("keys", "remove", OTHER_TEXT)
        raise AssertionError("the primary key could be removed")
    except Failure as failure:
        check("primary" in str(failure), str(failure))
    member.command("keys", "remove", KEY_TEXT)
    check(listed() == {OTHER_TEXT: (3, 3)}, f"after remove: {listed()}")
    told = agents[1].command("keys", "-list", timeout=30)
    check("[3/3]" in told and OTHER_TEXT in told and KEY_TEXT not in told, f"serf keys -list: {told}")
    check(members_of(agents[1]) == {n: "alive" for n in ("agent-0", "agent-1", "member")}, "somebody was lost")


@test(seconds=60, agents_may_say="No keyring to modify")
def test_without_encryption_keys_cannot_be_changed_and_both_say_so(scene):
    agent = scene.agent("agent", profile="lan")
    member = scene.member("member", join=[agent])
    agent.wait_status("member", "alive", 10)
    for what, command in (("serf", lambda: agent.command("keys", f"-install={OTHER_TEXT}", timeout=30)),
                          ("shoal", lambda: member.command("keys", "install", OTHER_TEXT))):
        try:
            command()
            raise AssertionError(f"{what}: a key could be installed without encryption")
        except Failure as failure:
            check("encrypt" in str(failure), f"{what}: {failure}")
    agent.wait_status("member", "alive", 3)


@test(seconds=60)
def test_members_with_a_label_are_a_cluster_of_their_own(scene):
    """Stock 0.9.4 knows no labels: it has to stay outside, and nobody may be harmed by it."""
    label = {"gossip": {"label": "blue"}}
    for key in (None, KEY_TEXT):
        tag = "keyed" if key else "plain"
        first = scene.member(f"{tag}-first", more=label, key=key)
        second = scene.member(f"{tag}-second", join=[first], more=label, key=key)
        first.log.wait_for(Say.of(Say.MEMBER_JOINED, f"{tag}-second"), 10)
        agent = scene.agent(f"{tag}-agent", profile="lan", key=key)
        try:
            agent.command("join", first.gossip, timeout=30)
            raise AssertionError("an agent without the label could join")
        except Failure:
            pass
        other = scene.member(f"{tag}-other", join=[first], key=key, more={"gossip": {"label": "green"}})
        first.log.wait_for('"level":"warn".*bad_label', 10)
        hold_true(lambda a=agent, t=tag: set(a.members()) == {f"{t}-agent"}, 1, "the agent alone")
        check(set(first.members()) == set(second.members()) == {f"{tag}-first", f"{tag}-second"}, "somebody came in")
        check(set(other.members()) == {f"{tag}-other"}, f"the other label sees {sorted(other.members())}")
        check(agent.program.running() and not any("panic" in line for line in agent.errors()), "the agent suffered")
