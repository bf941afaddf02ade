"""serf's RPC port: the stock `serf` command and clients of its wire find at shoal what they find at a stock agent.

One scenario, three members: an agent, a sidecar and a task. What the command says to a person is compared word for word
with what it says at the agent.
"""
import contextlib
import difflib
import functools
import json
import os
import re
import socket
import threading
import time

import both
from both import event
from gossip_wire import ALIVE, DEAD, SERF_EVENT, SERF_LEAVE, USER, pack
from harness import KEY_TEXT, Failure, accepts_tcp, check, free_port, hold_true, resident_kib, serf, test
from harness import wait_until
from rpc import Closed, Rpc, Silence
from rpc import pack as rpc_pack
from test_supervised import SlowRequest, in_flight

KINDS = ("agent", "sidecar", "task")
WORD = "open sesame"
SECOND = 1_000_000_000
MEMBER_KEYS = {"Addr", "DelegateCur", "DelegateMax", "DelegateMin", "Name", "Port", "ProtocolCur", "ProtocolMax",
               "ProtocolMin", "Status", "Tags"}


class Subject(both.Subject):
    """The member whose RPC port is tried. Its name, and the tag `zone`, are the same whatever it is."""

    def __init__(self, scene, kind, auth=None, key=None, companion=False, profile="lan"):
        self.scene, self.kind, self.what, self.name = scene, kind, kind, "subject"
        self.encrypted, self.auth, self._peers = bool(key), auth, []
        self.said = []     # (words, what the command printed), to be compared.
        self.ports = {}   # Port -> what stands for it there.
        self.companion = None
        if companion:      # A stock agent that answers the query `uptime`.
            self.companion = scene.agent("peer", files=f"peer-of-{kind}", profile=profile, key=key, tags={"zone": "b"},
                                         extra=["-event-handler=query:uptime=echo up $(cat)"])
            self.ports[self.companion.port] = "PEER"
        seeds = [self.companion.address] if companion else []
        if kind == "agent":
            tags = {"role": "sidecar", "shoal": "1", "state": "ready", "zone": "a"}  # As a sidecar's.
            self.program = scene.agent(self.name, files="subject-agent", tags=tags, profile=profile, key=key, auth=auth,
                                       join=seeds)
        else:
            rpc = {"bind": f"127.0.0.1:{free_port()}", **({"auth_key": auth} if auth else {})}
            gossip = {"profile": profile, "join": seeds, **({"key": key} if key else {})}
            more = {"node": {"name": self.name}, "node.tags": {"zone": "a"}, "rpc": rpc, "gossip": gossip}
            if kind == "task":
                self.program = scene.task(seeds, f"subject-{kind}", more=more)
            else:
                self.program = scene.member(f"subject-{kind}", more=more)
            wait_until(lambda: accepts_tcp(f"127.0.0.1:{self.program.rpc}") or not self.program.running(), 15,
                       f"the RPC port of the {kind}")
            check(self.program.running(), f"the {kind} has ended")
        self.port, self.rpc = self.program.port, self.program.rpc
        self.ports.update({self.port: "SUBJECT", self.rpc: "RPC"})
        if companion:
            self.companion.wait_status(self.name, "alive", 15)
            self.wait_member("peer", "alive")

    @property
    def is_task(self):
        return self.kind == "task"

    def peer(self, name, **options):
        peer = super().peer(name, **options)
        self.ports[peer.port] = name.upper()
        return peer

    # -- the command

    def serf(self, *words, env=None, auth=None, timeout=30):
        """(exit status, all that it prints)."""
        auth = [f"-rpc-auth={auth or self.auth}"] if auth or self.auth else []
        return serf(words[0], f"-rpc-addr=127.0.0.1:{self.rpc}", *auth, *words[1:], env=env, timeout=timeout)

    def tells(self, *words, status=0, keep=True, **options):
        """What the command prints, with what differs from member to member made the same. `keep`: to be compared."""
        found, text = self.serf(*words, **options)
        check(found == status, f"serf {' '.join(words)[:200]} ends with {found}: {text}")
        text = self.plain(text)
        if keep:
            self.said.append((self.plain(" ".join(words)[:200]), text))
        return text

    def plain(self, text):
        text = re.sub(r"(?m)^(failed: .*)", lambda m: m.group().lower(), text)  # As an older or a newer agent says it.
        text = re.sub(r"(role\"?[=:] ?\"?)(task|sidecar)\b", r"\1ROLE", text)
        text = re.sub(r"(state\"?[=:] ?\"?)(starting|ready|unhealthy)\b", r"\1STATE", text)
        for port, name in self.ports.items():
            text = re.sub(rf"\b{port}\b", name, text)
        text = re.sub(r"\S+=[^\s,]*(,\S+=[^\s,]*)+", lambda m: ",".join(sorted(m.group().split(","))), text)
        return "\n".join(sorted(re.sub(r" +", " ", line).rstrip() for line in text.splitlines()))

    def status_of(self, node):
        found, text = self.serf("members", "-format=json")
        members = json.loads(text)["members"] if found == 0 else []
        return next((m["status"] for m in members or [] if m["name"] == node), None)

    def wait_member(self, node, status, timeout=15):
        wait_until(lambda: self.status_of(node) == status, timeout, f"{self.what} calls {node} {status}", every=0.1)

    # -- the wire

    def client(self, **options):
        return Rpc(self.rpc, **{"auth": self.auth, **options})

    # -- members that fail and leave, at once

    def bury(self, peer, leave=False):
        """The peer has failed, or left."""
        peer.refutes, peer.silent = False, True
        undertaker = next(p for p in self._peers if p is not peer)
        if leave:
            intent = pack({"LTime": self.state(undertaker).serf["LTime"] + 1, "Node": peer.name, "Prune": False})
            undertaker.send(bytes([USER, SERF_LEAVE]) + intent, self.port)
            self.settled(undertaker)
        said_by = peer.name if leave else undertaker.name
        undertaker.send(bytes([DEAD]) + pack({"From": said_by, "Incarnation": peer.incarnation, "Node": peer.name}),
                        self.port)
        self.settled(undertaker)

    def check_size(self, before, mib):
        """It has not grown by more. A sanitized program keeps what it has freed."""
        if self.is_agent or "ASAN_OPTIONS" in os.environ:
            return
        grown = resident_kib(self.program.pid) - before
        check(grown < mib << 10, f"it has grown by {grown} KiB")

    def check_alive(self, peer):
        """Its gossip goes on: an event that a peer sends comes out at a fresh stream."""
        with self.client() as rpc:
            stream = rpc.ok("stream", {"Type": "user:alive"})
            peer.send(event(self.state(peer).serf["EventLTime"], "alive"), self.port)
            check(rpc.record(stream)["Name"] == "alive", "another event came")
        check(self.program.running(), "it has ended")


def on_each_kind(seconds=60, kinds=KINDS, agents_may_say=None, **options):
    """Runs the function with each Subject, all at a time, and compares what the command said of each."""
    def mark(function):
        @functools.wraps(function)
        def run(scene):
            said = {}

            def tried(subject):
                function(subject)
                said[subject.kind] = subject.said
            problems = both.all_at_once(
                {kind: functools.partial(Subject, scene, kind, **options) for kind in kinds}, tried)
            for kind in kinds:
                if kind in said and "agent" in said:
                    problems += [f"{kind}: {words}\n{difference}" for words, difference
                                 in differences(said["agent"], said[kind])]
            check(not problems, "\n".join(problems))
        return test(seconds=seconds, agents_may_say=agents_may_say)(run)
    return mark


def differences(ours, theirs):
    check([words for words, _ in ours] == [words for words, _ in theirs], "other commands were tried")
    for (words, one), (_, other) in zip(ours, theirs):
        if one != other:
            yield words, "\n".join(difflib.unified_diff(one.splitlines(), other.splitlines(), "agent", "shoal",
                                                        lineterm="", n=1))


# --- the command
# -----------------------------------------------------------------------------------------------------------


@on_each_kind(agents_may_say="non-IPv4 address")
def test_serf_members_lists_details_and_filters_as_at_an_agent(subject):
    subject.peer("peer", tags={"role": "db", "zone": "b", "note": "x" * 40})
    lost, gone = (subject.peer(name, tags={"role": "web", "name": "Jörg-€"}) for name in ("lost", "gone"))
    six = subject.peer("six", tags={}, raw_address=socket.inet_pton(socket.AF_INET6, "fd00::6"))
    for peer in (lost, six):
        subject.bury(peer)
    subject.bury(gone, leave=True)
    for node, status in (("peer", "alive"), ("lost", "failed"), ("gone", "left"), ("six", "failed")):
        subject.wait_member(node, status)
    for words in ([], ["-detailed"], ["-format=json"], ["-format=xml"], ["-status=alive"], ["-status=a"],
                  ["-status=failed|left"], ["-status=fail.*"], ["-name=p.*r"], ["-name=subject"], ["-name=sub|er"],
                  ["-name=nobody"], ["-role=db"], ["-role=d"], ["-tag", "zone=[ab]"], ["-tag", "zone="],
                  ["-tag", "zone=b", "-tag", "role=db"], ["-tag", "zone=a", "-tag", "role=db"], ["-tag", "zone=.*"],
                  ["-tag", "zone=*"], ["-detailed", "-name=lost"], ["-status=alive", "-name=(?i)PEER"]):
        subject.tells("members", *words, status=1 if "-format=xml" in words else 0)
    said = dict(subject.said)
    check(len(said["members"].splitlines()) == 5, f"members: {said['members']}")
    check("gone" in said["members -status=failed|left"] and "lost" in said["members -status=failed|left"],
          "no group is put around the expression")
    check("peer" not in said["members -status=a"], "an expression has to match the whole")
    # Not at an agent's word: it closes the connection, and says why in its log alone.
    for words in (["-name=("], ["-status=["], ["-tag", "zone=a**"]):
        text = subject.tells("members", *words, status=1, keep=False)
        check("Error retrieving members: " in text, f"members {words}: {text}")
    subject.tells("members", "-tag", "zone", status=1)


@on_each_kind()
def test_serf_info_has_the_sections_and_figures_of_an_agent(subject):
    peer, lost, gone = (subject.peer(name) for name in ("peer", "lost", "gone"))
    subject.bury(lost)
    subject.bury(gone, leave=True)
    subject.wait_member("gone", "left")
    info = json.loads(subject.serf("info", "-format=json")[1])
    # An agent counts those that are gone among its members, too.
    for key, value in {"members": "4", "failed": "1", "left": "1", "encrypted": "false", "health_score": "0",
                       "coordinate_resets": "0"}.items():
        check(info["serf"][key] == value, f"{key} is {info['serf'][key]}")
    state = subject.state(peer).serf
    now = json.loads(subject.serf("info", "-format=json")[1])["serf"]
    for key, clock in (("member_time", "LTime"), ("event_time", "EventLTime"), ("query_time", "QueryLTime")):
        check(int(info["serf"][key]) <= state[clock] <= int(now[key]), f"{key} is {now[key]}, {clock} {state[clock]}")
    check(info["agent"]["name"] == "subject" and info["tags"]["zone"] == "a", f"{info['agent']} {info['tags']}")
    runtime = info["runtime"]
    check(runtime["os"] == "linux" and runtime["cpu_count"] == str(os.cpu_count()) and runtime["version"], f"{runtime}")
    check(all(int(runtime[key]) > 0 for key in ("max_procs", "goroutines", "cpu_count")), f"{runtime}")
    for section in ("agent", "runtime", "serf", "tags"):
        subject.said.append((f"the keys of {section}", "\n".join(sorted(info[section]))))
    subject.said.append(("the machine", runtime["arch"]))
    text = subject.serf("info")[1]
    found = re.findall(r"(?m)^(\w+):$|^\t(\w+) = ", text)
    wanted = {section: set(keys) for section, keys in info.items()}
    check({s for s, _ in found if s} == set(wanted) and {k for _, k in found if k} == set().union(*wanted.values()),
          f"the text: {text}")


@on_each_kind()
def test_serf_event_sends_events_and_keeps_serfs_limits(subject):
    peer = subject.peer("peer")
    for words, name, coalesce, payload in ((["deploy", "v1"], b"deploy", True, b"v1"),
                                           (["-coalesce=false", "roll", "v 2"], b"roll", False, b"v 2"),
                                           (["empty"], b"empty", True, b"")):
        subject.tells("event", *words)
        heard = peer.wait_for(USER, SERF_EVENT, where=lambda h, n=name: h.body["Name"] == n)
        check(heard and heard.body["CC"] is coalesce and (heard.body["Payload"] or b"") == payload,
              f"event {words} is sent as {heard and heard.body}")
    # 512 bytes with the field names and the type byte: 477 of payload behind a name of five letters.
    subject.tells("event", "limit", "x" * 477)
    check(peer.wait_for(USER, SERF_EVENT, where=lambda h: h.body["Name"] == b"limit"), "the largest event is not sent")
    for size in (478, 600, 9300):
        check("exceeds" in subject.tells("event", "limit", "x" * size, status=1), f"an event with {size} bytes")


def without_ghosts(text):
    """An agent that is busy at the deadline tells of acks and answers from nobody until it notices. Not so shoal."""
    lines, ghosts = [], {"Ack": 0, "Response": 0}
    for line in text.splitlines():
        if ghost := re.match(r"(Ack|Response) from ''", line):
            ghosts[ghost.group(1)] += 1
        elif not re.fullmatch(r' ?"": .*| ?"",?', line):
            lines.append(line)

    def count(m):
        return f"Total {m.group(1)}s: {int(m.group(2)) - ghosts[m.group(1)]}"
    return re.sub(r"Total (Ack|Response)s: (\d+)", count, "\n".join(lines))


@on_each_kind(companion=True)
def test_serf_query_asks_and_tells_acks_and_answers_until_the_deadline(subject):
    sets = [["uptime"], ["-no-ack", "uptime", "p"], ["-node=peer", "uptime"], ["-node=subject", "uptime"],
            ["-node=peer", "-node=subject", "uptime"], ["-node=nobody", "uptime"], ["-tag", "zone=b", "uptime"],
            ["-tag", "zone=[ab]", "uptime"], ["-relay-factor=1", "uptime"], ["-relay-factor=9", "uptime"],
            ["-format=json", "-node=peer", "uptime"], ["nobody-knows"], ["_serf_ping"]]
    texts = {}

    def asked(*words):
        text = subject.tells("query", *words, keep=False)
        return without_ghosts(text) if subject.is_agent else text

    def ask(words):
        try:
            texts[" ".join(words)] = asked("-timeout=3s", *words)
        except Failure as failure:
            texts[" ".join(words)] = str(failure)
    threads = [threading.Thread(target=ask, args=(words,)) for words in sets]  # Each waits for its deadline.
    with subject.client() as rpc:
        for thread in threads:  # One begins after the other: an agent may give two at a time the same Lamport time.
            before = rpc.ok("stats")["serf"]["query_time"]
            thread.start()
            wait_until(lambda known=before: rpc.ok("stats")["serf"]["query_time"] != known, 15, "the query")
    # The default deadline: 3.2 s.
    texts[""] = asked("uptime")
    for thread in threads:
        thread.join()
    subject.said += sorted(texts.items())
    for words, lines in (("", ["Ack from 'peer'", "Ack from 'subject'", "Response from 'peer': up", "Total Acks: 2"]),
                         ("-no-ack uptime p", ["Response from 'peer': up p", "Total Responses: 1"]),
                         ("-node=nobody uptime", ["Total Acks: 0", "Total Responses: 0"]),
                         ("-node=subject uptime", ["Ack from 'subject'", "Total Acks: 1", "Total Responses: 0"]),
                         ("_serf_ping", ["Ack from 'peer'", "Ack from 'subject'", "Total Responses: 0"])):
        for line in lines:
            check(line in texts[words].splitlines(), f"query {words}: no {line} in\n{texts[words]}")
    check("Ack" not in texts["-no-ack uptime p"], f"acks all the same: {texts['-no-ack uptime p']}")
    for words in (["uptime", "x" * 1100], ["_serf_conflict", "peer"], ["-tag", "zone", "uptime"]):
        subject.tells("query", "-timeout=1s", *words, status=1)


@on_each_kind(companion=True)
def test_serf_join_contacts_seeds_and_says_which_it_could_not(subject):
    first, second = (both.Peer(name, free_port(), tags={"role": "x"}) for name in ("first", "second"))
    nobody = free_port()
    subject.ports.update({first.port: "FIRST", second.port: "SECOND", nobody: "NOBODY"})
    with contextlib.closing(first), contextlib.closing(second):
        subject.tells("join", f"127.0.0.1:{first.port}")
        subject.wait_member("first", "alive")
        text = subject.tells("join", f"127.0.0.1:{second.port}", f"127.0.0.1:{nobody}", f"127.0.0.1:{first.port}")
        check("contacting 2 nodes" in text, text)
        subject.wait_member("second", "alive")
        # By gossip, to some of the others at a time.
        wait_until(lambda: subject.companion.status_of("second") == "alive" or
                   first.all(ALIVE, where=lambda h: h.about("second")), 15, "somebody else who hears of it", every=0.1)
    text = subject.tells("join", f"127.0.0.1:{nobody}", status=1, keep=False)
    check("Error joining the cluster: " in text and "NOBODY" in text, text)
    text = subject.tells("join", "nobody.invalid:7", status=1, keep=False)
    check("Error joining the cluster: " in text and "nobody.invalid" in text, text)
    subject.tells("join", status=1)


class Storyteller(both.Peer):
    """Tells of an event in its push/pull."""

    story = None  # (Lamport time, name).

    def state(self, join, entries=None, serf=None):
        time, name = self.story
        told = {"EventLTime": time + 1, "Events": [{"LTime": time, "Events": [{"Name": name, "Payload": b""}]}]}
        return super().state(join, entries, {**told, **(serf or {})})


@on_each_kind()
def test_serf_join_replays_old_events_when_it_is_told_to(subject):
    first, second = (Storyteller(name, free_port()) for name in ("first", "second"))
    first.story, second.story = (5, "wanted"), (20, "unwanted")
    with contextlib.closing(first), contextlib.closing(second), subject.client() as rpc:
        stream = rpc.ok("stream", {"Type": "user"})
        subject.tells("join", "-replay", f"127.0.0.1:{first.port}", keep=False)
        record = rpc.record(stream)
        check((record["Name"], record["LTime"]) == ("wanted", 5), f"{record}")
        subject.tells("join", f"127.0.0.1:{second.port}", keep=False)
        first.send(event(30, "new"), subject.port)
        record = rpc.record(stream)
        check(record["Name"] == "new", f"the old event was told: {record}")


@on_each_kind(companion=True)
def test_serf_tags_sets_and_deletes_tags_but_not_shoals_own(subject):
    def at_the_companion(name):
        return subject.companion.members()["subject"]["tags"].get(name)
    subject.tells("tags", "-set", "build=42", "-set", "note=" + "y" * 100)
    wait_until(lambda: at_the_companion("build") == "42", 10, "the tag at the companion", every=0.1)
    subject.tells("members", "-name=subject")
    subject.tells("tags", "-delete", "build", "-delete", "nobody", "-set", "zone=c", "-set", "build=43")
    wait_until(lambda: (at_the_companion("zone"), at_the_companion("build")) == ("c", "43"), 10, "changed tags",
               every=0.1)
    subject.tells("tags", "-delete", "build", "-delete", "note")
    wait_until(lambda: at_the_companion("build") is None, 10, "no such tag any more", every=0.1)
    subject.tells("members", "-name=subject")
    text = subject.tells("tags", *(f"-set={name}={'x' * 180}" for name in "abc"), status=1, keep=False)
    check(text.lstrip().startswith("Error setting tags: ") and "512 bytes" in text, text)
    text = subject.tells("tags", "-set", "big=" + "x" * 600, status=1, keep=False)
    check(text.lstrip().startswith("Error setting tags: "), text)
    subject.tells("tags", "-set", "build", status=1)
    subject.tells("members", "-name=subject")
    if subject.is_agent:
        return
    before = subject.companion.members()["subject"]["tags"]
    for words, tag in ((["-set", "role=x"], "role"), (["-set", "zone=d", "-set", "state=ready"], "state"),
                       (["-delete", "shoal"], "shoal"), (["-set", "wish=drain"], "wish"), (["-delete", "wish"], "wish"),
                       (["-set", "shoal=2"], "shoal"), (["-delete", "role"], "role")):
        text = subject.tells("tags", *words, status=1, keep=False)
        check(text.lstrip().startswith("Error setting tags: ") and tag in text, f"tags {words}: {text}")
    subject.tells("tags", "-set", "last=1", keep=False)
    wait_until(lambda: at_the_companion("last") == "1", 10, "a tag after those that were refused", every=0.1)
    after = subject.companion.members()["subject"]["tags"]
    check(after == {**before, "last": "1"}, f"what was refused has changed {before} to {after}")


OTHER_TEXT = "/" * 42 + "8="
NO_KEY_OF_THAT_SIZE = "AAECAwQ="


@on_each_kind(companion=True, key=KEY_TEXT, agents_may_say="[kK]ey")
def test_serf_keys_lists_and_changes_the_keys_of_all(subject):
    subject.tells("keys", "-list")
    subject.tells("keys", f"-install={OTHER_TEXT}")
    subject.tells("keys", "-list")
    subject.tells("keys", f"-remove={KEY_TEXT}", status=1)   # The primary one.
    subject.tells("keys", f"-use={OTHER_TEXT}")
    subject.tells("keys", f"-remove={KEY_TEXT}")
    check(OTHER_TEXT in subject.tells("keys", "-list"), "the new key is not there")
    subject.tells("keys", f"-use={KEY_TEXT}", status=1)      # Not there any more.
    for what in ("install", "use", "remove"):
        subject.tells("keys", f"-{what}=?", status=1)
    text = subject.tells("keys", f"-install={NO_KEY_OF_THAT_SIZE}", status=1, keep=False)
    check("key size must be 16, 24 or 32 bytes" in text, text)
    subject.tells("keys", "-list")
    check(subject.companion.status_of("subject") == "alive", "the two have parted")
    check(json.loads(subject.serf("info", "-format=json")[1])["serf"]["encrypted"] == "true", "not encrypted?")


@on_each_kind(companion=True, agents_may_say="[kK]ey")
def test_serf_keys_says_that_nothing_is_encrypted(subject):
    text = subject.tells("keys", "-list", status=1)
    check("2/2 nodes reported failure" in text, text)
    for what in ("install", "use", "remove"):
        subject.tells("keys", f"-{what}={KEY_TEXT}", status=1)
    subject.tells("keys", "-install=?", status=1)


LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(TRACE|DEBUG|INFO|WARN|ERR)\] \S")


@on_each_kind(companion=True)
def test_serf_monitor_shows_the_log_as_it_was_and_as_it_grows(subject):
    programs = {}
    for level in ("debug", "warn"):
        argv = ["serf", "monitor", f"-rpc-addr=127.0.0.1:{subject.rpc}", f"-log-level={level}"]
        programs[level] = subject.scene.run(f"monitor-{level}-{subject.kind}", argv)
    log = programs["debug"].log
    log.wait_for("peer", 15)  # Older than the monitor.
    subject.tells("event", "-coalesce=false", "hear-hear", keep=False)
    log.wait_for("hear-hear", 15)
    block = r"Event Info:\n(?:\t.*\n)+"

    def shown():
        """The command asks for the events as well, and shows all that is in them."""
        whole = [one for one in re.findall(block, log.text()) if len(one.splitlines()) == 6 and "hear-hear" in one]
        return whole[0] if whole else None
    subject.said.append(("monitor and the event", subject.plain(wait_until(shown, 15, "the event as it came"))))
    lines = [line for line in re.sub(block, "", log.text()).splitlines() if line]
    bad = [line for line in lines if not LINE.match(line)]
    check(not bad, f"not as serf's lines: {bad[:5]}")
    seen = {LINE.match(line).group(1) for line in lines}
    check(seen >= {"DEBUG", "INFO"} or (not subject.is_agent and seen & {"DEBUG", "INFO"}), f"levels {seen}")
    text = programs["warn"].log.text()
    check(not re.search(r"\[(TRACE|DEBUG|INFO)\]", text), f"the levels from warn on: {text}")
    subject.tells("monitor", "-log-level=loud", status=1)
    for program in programs.values():
        check(program.running(), "a monitor has ended")
        program.kill()


@on_each_kind(companion=True)
def test_serf_reachability_and_rtt_reach_every_member(subject):
    reached = []

    def reach():
        for _ in range(3 if subject.is_agent else 1):  # An agent may count acks from nobody: see without_ghosts().
            reached.append(subject.serf("reachability"))
            if reached[-1][0] == 0:
                return
    asker = threading.Thread(target=reach)  # It takes seconds.
    asker.start()
    wait_until(lambda: subject.serf("rtt", "peer")[0] == 0, 15, "the companion's coordinate", every=0.2)
    for words, nodes in ((["peer"], "peer <-> subject"), (["subject", "peer"], "subject <-> peer"),
                         (["subject"], "subject <-> subject")):
        text = subject.tells("rtt", *words, keep=False).strip()
        check(re.fullmatch(rf"Estimated {nodes} rtt: \d+\.\d+ ms", text), f"rtt {words}: {text}")
    for words in (["nobody"], ["subject", "nobody"], ["nobody", "peer"], []):
        subject.tells("rtt", *words, status=1)
    asker.join()
    status, text = reached[-1]
    check(status == 0 and "Successfully contacted all live nodes" in text, f"reachability: {status} {text}")
    subject.said.append(("reachability", subject.plain(text)))


@on_each_kind()
def test_serf_force_leave_makes_failed_members_leave_and_prunes_them(subject):
    there, also, lost, pruned = (subject.peer(name) for name in ("there", "also", "lost", "pruned"))

    def wait_told_of(node, prune):
        """By gossip, to three of the four at a time: so to one of the two that live."""
        def is_it(heard):
            return heard.about(node) and bool(heard.body.get("Prune")) is prune
        wait_until(lambda: any(peer.all(USER, SERF_LEAVE, where=is_it) for peer in (there, also)), 15,
                   f"the leave intent for {node}")
    for peer in (lost, pruned):
        subject.bury(peer)
        subject.wait_member(peer.name, "failed")
    subject.tells("force-leave", "lost")
    subject.wait_member("lost", "left")
    wait_told_of("lost", False)
    subject.tells("force-leave", "-prune", "pruned")
    subject.wait_member("pruned", None)
    wait_told_of("pruned", True)
    subject.tells("force-leave", "-prune", "lost")
    subject.wait_member("lost", None)
    subject.tells("force-leave", "nobody")
    subject.tells("force-leave", status=1)
    check(subject.status_of("there") == "alive", "somebody else suffered")


@on_each_kind(companion=True)
def test_serf_leave_ends_the_member_in_order(subject):
    if subject.is_task:
        subject.program.worker.wait_for("start")
    with subject.client() as rpc:
        stream = rpc.ok("stream", {"Type": "user:never"})
        subject.tells("leave", timeout=40)
        check(subject.program.program.wait(20) == 0, "not 0")
        rpc.wait_closed()
        check(not rpc.records.get(stream), "an event that nobody sent")
    subject.companion.wait_status("subject", "left", 10)
    if subject.is_task:
        check(subject.program.worker.first("sigterm"), "the worker was not told to stop")
    text = subject.tells("members", status=1)
    check("connection refused" in text, text)


@test(seconds=90)
def test_a_second_serf_leave_hurries_nobody_and_each_is_answered(scene):
    def leave_thrice(shoal, under_way):
        clients = [Rpc(shoal.rpc) for _ in range(3)]
        asked = [(client, client.send("leave")) for client in clients]
        shoal.log.wait_for(under_way, 10)
        hold_true(lambda: shoal.program.running(), 1.5, "the shoal goes on")
        return asked

    def all_answered(asked):
        for client, seq in asked:
            check(client.answer(seq, 40) == ("", None), "another answer")
            client.close()

    haproxy = scene.haproxy()
    rpc = [{"rpc": {"bind": f"127.0.0.1:{free_port()}"}} for _ in range(2)]
    proxy = scene.sidecar(haproxy, more=rpc[0])
    task = scene.task(proxy, "task", worker=["--slow", "100"], more=rpc[1])
    haproxy.wait_in_rotation("task")
    slow = SlowRequest(haproxy.http_port, 4)  # The task drains as long.
    wait_until(lambda: in_flight(haproxy) >= 1, 5, "the request in flight")
    asked = leave_thrice(task, '"event":"stop requested')
    all_answered(asked)
    slow.join()
    check(slow.result == 200 and task.wait(20) == 0, f"the request was cut: {slow.result}")
    # A sidecar serves until HAProxy has gone.
    asked = leave_thrice(proxy, '"event":"serving until HAProxy is gone')
    haproxy.kill()
    all_answered(asked)
    check(proxy.wait(20) == 0 and proxy.log.count('"event":"stop requested') == 1, "it was hurried")


@on_each_kind(auth=WORD)
def test_serf_needs_the_word_of_the_rpc_port(subject):
    where = f"-rpc-addr=127.0.0.1:{subject.rpc}"
    for words, env, status in (([where, f"-rpc-auth={WORD}"], {}, 0), ([where, "-rpc-auth=wrong"], {}, 1),
                               ([where], {}, 1), ([where, f"-rpc-auth={WORD} "], {}, 1),
                               ([where], {"SERF_RPC_AUTH": WORD}, 0), ([where], {"SERF_RPC_AUTH": "wrong"}, 1),
                               ([], {"SERF_RPC_ADDR": f"127.0.0.1:{subject.rpc}", "SERF_RPC_AUTH": WORD}, 0)):
        for command in (["members"], ["info", "-format=json"], ["event", "hello"], ["keys", "-list"]):
            if command[0] == "keys" and status == 0:
                continue  # Nothing is encrypted.
            found, text = serf(command[0], *words, *command[1:], env=env)
            check(found == status, f"serf {command} {words} {env} ends with {found}: {text}")
            text = "" if command[0] == "info" and status == 0 else subject.plain(text)
            subject.said.append((f"{command} with {words[1:]} and {sorted(env)}", text))
    check(subject.status_of("subject") == "alive", "it has suffered")
    check(WORD not in subject.program.log.text() or subject.is_agent, "the word stands in the log")


# --- the wire
# --------------------------------------------------------------------------------------------------------------


@on_each_kind()
def test_an_rpc_session_begins_with_one_handshake(subject):
    with subject.client() as rpc:
        check(rpc.refused("handshake", {"Version": 1}) == "Handshake already performed", "a second handshake")
        check(rpc.refused("handshake", {"Version": 7}) == "Unsupported IPC version", "a second, with a wrong version")
        check([m["Name"] for m in rpc.ok("members")["Members"]] == ["subject"], "the connection has suffered")
    with subject.client(hello=False) as rpc:
        for version in (0, 2, -1, 99):
            check(rpc.refused("handshake", {"Version": version}) == "Unsupported IPC version", f"version {version}")
        rpc.ok("handshake", {"Version": 1})
        rpc.ok("stats")
    for command, body in (("members", None), ("event", {"Name": "x"}), ("auth", {"AuthKey": "x"}), ("nonsense", None)):
        with subject.client(hello=False) as rpc:
            rpc.send(command, body)
            rest = rpc.wait_closed()
            check(rest == rpc_pack({"Error": "Handshake required", "Seq": 1}), f"{command} is answered by {rest}")
    with subject.client() as rpc:  # No word is asked for: none is right.
        check(rpc.refused("auth", {"AuthKey": "x"}) == "Invalid authentication token", "a word that is not asked for")
        rpc.ok("members")


@on_each_kind(auth=WORD)
def test_an_rpc_session_needs_the_word_once(subject):
    for words in (["", "wrong"], [WORD + " ", WORD[:-1]], [WORD.upper(), "x" * 5000]):
        with subject.client(auth=None) as rpc:
            for word in words:
                check(rpc.refused("auth", {"AuthKey": word}) == "Invalid authentication token", f"the word {word[:20]}")
            rpc.ok("auth", {"AuthKey": WORD})
            rpc.ok("members")
            rpc.ok("auth", {"AuthKey": WORD})
    for command, body in (("members", None), ("stream", {"Type": "*"}), ("leave", None), ("list-keys", None),
                          ("event", {"Name": "sneaked", "Payload": b"", "Coalesce": False}), ("nonsense", None),
                          ("monitor", {"LogLevel": "DEBUG"}), ("stats", None)):
        with subject.client(auth=None) as rpc:
            rpc.send(command, body)
            refusal = rpc_pack({"Error": "Authentication required", "Seq": 1 + 1})
            got = b""
            with contextlib.suppress(TimeoutError):
                while len(got) < len(refusal) and (part := rpc.socket.recv(4096)):
                    got += part
            # Serf takes the body for another request, and says it twice.
            check(got[:len(refusal)] == refusal, f"{command} is answered by {got}")
    with subject.client() as rpc:
        stats = rpc.ok("stats")
        check(stats["serf"]["event_time"] == "1", "the event was sent all the same")


@on_each_kind()
def test_rpc_requests_are_read_in_any_pieces_and_answered_in_order(subject):
    with subject.client(hello=False) as rpc:  # Byte by byte.
        for command, body in (("handshake", {"Version": 1}),
                              ("members-filtered", {"Status": "alive", "Name": "sub.*"})):
            seq, data = rpc.request(command, body)
            for at in range(len(data)):
                rpc.raw(data[at:at + 1])
            error, answer = rpc.answer(seq)
            check(error == "" and (not answer or [m["Name"] for m in answer["Members"]] == ["subject"]), f"{answer}")
    with subject.client() as rpc:  # Many in one write; those that are refused stand among them.
        requests = []
        for n in range(40):
            requests += [("event", {"Name": f"many-{n}", "Payload": b"x", "Coalesce": False}), ("stats", None),
                         ("members-filtered", {"Name": "nobody"}), ("respond", {"ID": 7 + n, "Payload": b""}),
                         ("get-coordinate", {"Node": "nobody"}), ("stop", {"Stop": 900 + n}), ("members", None)]
        sent = [rpc.request(command, body) for command, body in requests]
        rpc.raw(b"".join(data for _, data in sent))
        for (seq, _), (command, _) in zip(sent, requests):  # `answer` fails where another one comes first.
            error, body = rpc.answer(seq)
            check(error == ("No pending queries matching ID" if command == "respond" else ""), f"{command}: {error!r}")
            check(command != "members" or len(body["Members"]) == 1, f"{body}")
            check(command != "get-coordinate" or body["Ok"] is False, f"{body}")
    with subject.client() as rpc:  # Who says that nothing more will come is answered all the same.
        sent = [rpc.request("members") for _ in range(20)]
        rpc.raw(b"".join(data for _, data in sent))
        rpc.socket.shutdown(socket.SHUT_WR)
        for seq, _ in sent:
            check(rpc.answer(seq)[0] == "", "not answered")
        check(rpc.wait_closed() == b"", "more than the answers")
    with subject.client() as rpc:  # A write that ends within the next request.
        one, other = rpc.request("stats"), rpc.request("members")
        rpc.raw(one[1] + other[1][:7])
        check(rpc.answer(one[0])[0] == "", "not answered before the next one is whole")
        rpc.raw(other[1][7:])
        check(rpc.answer(other[0])[0] == "", "not answered")


@on_each_kind()
def test_rpc_answers_of_a_large_cluster_are_whole_however_slowly_they_are_read(subject):
    peer, count, times = subject.peer("peer"), 1000, 12
    vast = [peer.entry(Name=f"member-{n}", Port=9, Meta=b"\xff" + pack({"note": "x" * 100})) for n in range(count)]
    peer.exchange(subject.port, entries=[peer.entry(), *vast])
    names = {"subject", "peer", *(f"member-{n}" for n in range(count))}
    with subject.client(receive_buffer=16384) as slow, subject.client() as rpc:
        wait_until(lambda: len(rpc.ok("members")["Members"]) == len(names), 10, "all members", every=0.1)
        sent = [slow.request("members") for _ in range(times)]
        slow.raw(b"".join(data for _, data in sent))  # Some megabytes of answers.
        subject.check_alive(peer)
        for seq, _ in sent:
            error, answer = slow.answer(seq)
            check(error == "" and {m["Name"] for m in answer["Members"]} == names, f"{error} {len(answer['Members'])}")
            check(all(set(m) == MEMBER_KEYS for m in answer["Members"]), "a member in pieces")


@on_each_kind()
def test_rpc_takes_text_and_bytes_in_every_form(subject):
    for form in ("new", "str", "raw") if subject.is_agent else ("new", "str", "raw", "bin"):  # Serf 0.9 knows no bin.
        with subject.client(hello=False) as rpc:
            rpc.ok("handshake", {"Version": 1}, form=form)
            stream = rpc.ok("stream", {"Type": f"user:{form}{'n' * 40}"}, form=form)
            rpc.ok("event", {"Name": form + "n" * 40, "Payload": b"p" * 40, "Coalesce": False}, form=form)
            record = rpc.record(stream)
            check(record == {"Coalesce": False, "Event": "user", "LTime": record["LTime"], "Name": form + "n" * 40,
                             "Payload": b"p" * 40}, f"{form}: {record}")
            members = rpc.ok("members-filtered", {"Name": "s?ubject" + "x?" * 20, "Tags": {"zone": "a" + "x?" * 20}},
                             form=form)
            check(len(members["Members"]) == 1, f"{form}: {members}")
            numbers = [1, b"\xcc\x01", b"\xcd\x00\x01", b"\xce\x00\x00\x00\x01", b"\xcf" + b"\0" * 7 + b"\1",
                       b"\xd0\x01", b"\xd1\x00\x01", b"\xd2\x00\x00\x00\x01", b"\xd3" + b"\0" * 7 + b"\1"]
            for number in numbers[1:]:  # Every width of a number, as Seq and in a body.
                rpc._expects[1] = "stop"
                head = b"\x82" + rpc_pack("Command", form) + rpc_pack("stop", form) + rpc_pack("Seq", form) + number
                rpc.raw(head + b"\x81" + rpc_pack("Stop", form) + number)
                check(rpc.answer(1)[0] == "", f"{number}")
    with subject.client() as rpc:
        stream = rpc.ok("stream", {"Type": "user"})
        # Other fields are passed over, whatever is in them; missing ones and nil are nothing; the last of two counts.
        for body in ({"Name": "a", "Payload": b"", "Coalesce": False, "Zebra": {"x": [1, 2.5, None, {"y": b"z"}]}},
                     {"Name": "a"}, {"Name": "a", "Payload": None, "Coalesce": None}):
            rpc.ok("event", body)
            record = rpc.record(stream)
            check(record["Name"] == "a" and record["Payload"] in (None, b"") and record["Coalesce"] is False,
                  f"{body}: {record}")
        head = rpc_pack({"Command": "event", "Seq": 99})
        rpc._expects[99] = "event"
        rpc.raw(head + b"\x82" + rpc_pack("Name") + rpc_pack("first") + rpc_pack("Name") + rpc_pack("second"))
        check(rpc.answer(99)[0] == "" and rpc.record(stream)["Name"] == "second", "of two equal keys the last counts")
        _, data = rpc.request("stop", {"Stop": 1})
        rpc.raw(rpc_pack({"Zebra": [1], "Command": "stop", "More": {"a": "b"}, "Seq": rpc.seq}) + data[-7:])
        check(rpc.answer(rpc.seq)[0] == "", "a header with more fields")


@on_each_kind(agents_may_say="agent.ipc")
def test_rpc_closes_what_it_cannot_understand(subject):
    peer = subject.peer("peer")
    before = resident_kib(subject.program.pid)
    with subject.client() as rpc:
        rpc.send("nonsense")
        rpc.send("members")
        check(rpc.wait_closed() == rpc_pack({"Error": "Unsupported command", "Seq": 2}), "an unknown command")
    with subject.client() as rpc:
        rpc.send("")
        check(rpc.wait_closed() == rpc_pack({"Error": "Unsupported command", "Seq": 2}), "no command")
    head = rpc_pack({"Command": "event", "Seq": 9})
    bodies = [rpc_pack([1, 2]), rpc_pack("text"), b"\x07", b"\xc1", rpc_pack({"Name": 5}), rpc_pack({"Name": ["a"]}),
              rpc_pack({"Coalesce": "yes"}), b"\x81\x05\x05", rpc_pack({"Name": {"a": 1}})]
    for data in [head + body for body in bodies] + [
            rpc_pack({"Command": "stop", "Seq": 9}) + rpc_pack({"Stop": -1}),
            rpc_pack({"Command": "stop", "Seq": 9}) + rpc_pack({"Stop": "x"}),
            rpc_pack({"Command": "query", "Seq": 9}) + rpc_pack({"Name": "x", "RelayFactor": 256}),
            rpc_pack({"Command": "join", "Seq": 9}) + rpc_pack({"Existing": {"127.0.0.1": 1}}),
            rpc_pack({"Command": 5, "Seq": 9}), rpc_pack({"Command": "members", "Seq": "x"}),
            rpc_pack({"Command": "members", "Seq": -1}), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xc1\xc1\xc1\xc1",
            b"\xff" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]:
        for hello in (True, False) if not data.startswith(b"\x82\xa7Command") else (True,):
            with subject.client(hello=hello) as rpc:
                with contextlib.suppress(Closed):
                    rpc.raw(data)
                rest = rpc.wait_closed()
                check(rest == b"", f"{data[:60]} is answered by {rest}")
    most = b"\xff" * 4
    huge = [b"\xdf" + most, b"\xdd" + most, b"\xdb" + most, b"\xc6" + most, b"\x91" * 200_000, b"\x81\xa1x" * 200_000,
            b"\x82\xa7Command\xdb" + most, b"\x82\xa7Command\xc6\x7f\xff\xff\xff", head + b"\x81\xa1x" * 200_000,
            head + b"\x81\xa7Payload\xc6" + most, head + b"\xdf" + most,
            head + b"\x81\xa4Name\xdb" + most + b"x" * 1000,
            rpc_pack({"Command": "join", "Seq": 9}) + b"\x81\xa8Existing\xdd" + most]
    for body in ({"Name": "("}, {"Tags": {"a": "["}}, {"Status": "a**"}):
        with subject.client() as rpc:
            if subject.is_agent:  # Its client has to guess why.
                rpc.send("members-filtered", body)
                rpc.wait_closed()
            else:
                error, answer = rpc.ask("members-filtered", body)
                check("regular expression" in error and not answer["Members"], f"{body}: {error!r} {answer}")
                rpc.ok("members")
    if not subject.is_agent:  # It waits for all of it, or gets itself that much memory.
        for data in huge:
            with subject.client() as rpc:
                with contextlib.suppress(Closed):
                    rpc.raw(data)
                try:
                    rpc.wait_closed(10)
                except Failure as failure:
                    raise Failure(f"{data[:60]}: {failure}") from None
        with subject.client() as rpc:  # No end is in sight.
            with contextlib.suppress(Closed):
                rpc.raw(head + b"\x81\xa7Payload\xc6\x7f\xff\xff\xff")
                for _ in range(1000):
                    rpc.raw(b"x" * 100_000)
            rpc.wait_closed()
        subject.check_size(before, 16)
    for size in range(1, len(head) + 2, 3):  # Given up in the middle of a request.
        with subject.client() as rpc:
            rpc.raw((head + b"\x81\xa4Name\xa1x")[:size])
    subject.check_alive(peer)


@on_each_kind()
def test_an_rpc_stream_brings_the_events_that_it_asks_for(subject):
    peer, lost, gone = (subject.peer(name) for name in ("peer", "lost", "gone"))
    with subject.client() as rpc:
        for bad in ("nonsense", "member-join,nonsense", "members", "user,", "member-join,,user", "user-event",
                    "member-join:x"):
            error = rpc.refused("stream", {"Type": bad})
            check(error == "Invalid event filter", f"stream {bad}: {error!r}")
        some = rpc.ok("stream", {"Type": "member-join,user:deploy,query:uptime"}, seq=500)
        check(rpc.refused("stream", {"Type": "*"}, seq=500) == "Stream with given sequence exists", "the same Seq")
        # All, said in two ways, and single kinds.
        star, empty = rpc.ok("stream", {"Type": "*"}, seq=501), rpc.ok("stream", {"Type": ""})
        kinds = {kind: rpc.ok("stream", {"Type": kind}) for kind in
                 ("member-join", "member-leave", "member-failed", "member-update", "member-reap", "user", "query")}

        def names_until(stream, kind, wanted):
            """Members told of on the stream until `wanted` is among them."""
            out = []
            for record in rpc.until(stream, lambda r: wanted in [m["Name"] for m in r.get("Members") or []]):
                check(set(record) == {"Event", "Members"} and record["Event"] == kind, f"{record}")
                out += record["Members"]
            return {m["Name"]: m for m in out}
        subject.peer("late", tags={"role": "x", "zone": "z"})
        late = names_until(kinds["member-join"], "member-join", "late")["late"]
        port = late.pop("Port")
        check(late == {"Addr": b"\x7f\0\0\1", "DelegateCur": 5, "DelegateMax": 5, "DelegateMin": 2, "Name": "late",
                       "ProtocolCur": 2, "ProtocolMax": 5, "ProtocolMin": 1, "Status": "alive",
                       "Tags": {"role": "x", "zone": "z"}} and port == subject._peers[-1].port, f"{late} {port}")
        peer.incarnation, peer.tags = 2, {"role": "y", "new": "1"}
        peer.send(bytes([ALIVE]) + pack(peer.alive()), subject.port)
        subject.bury(lost)
        subject.bury(gone, leave=True)
        updated = names_until(kinds["member-update"], "member-update", "peer")["peer"]
        check(updated["Tags"] == peer.tags and updated["Status"] == "alive", f"{updated}")
        check(names_until(kinds["member-failed"], "member-failed", "lost")["lost"]["Status"] == "failed", "failed")
        check(names_until(kinds["member-leave"], "member-leave", "gone")["gone"]["Status"] == "left", "left")
        rpc.ok("force-leave", {"Node": "lost", "Prune": True})
        check("lost" in names_until(kinds["member-reap"], "member-reap", "lost"), "reaped")
        for name in ("deploy", "other", "deploy-more"):
            rpc.ok("event", {"Name": name, "Payload": b"v\0\xff", "Coalesce": False})
        for name in ("uptime", "other"):
            number, data = peer.query_message(name, b"asked", LTime=subject.state(peer).serf["QueryLTime"])
            peer.send(data, subject.port)
        rpc.ok("event", {"Name": "deploy", "Payload": b"", "Coalesce": True})
        last = lambda r: r["Event"] == "user" and r["Name"] == "deploy" and not r["Payload"]  # noqa: E731
        users = [r for r in rpc.until(kinds["user"], last) if r["Name"] != "settled"]
        check([(r["Name"], r["Payload"] or b"", r["Coalesce"]) for r in users] == [
            ("deploy", b"v\0\xff", False), ("other", b"v\0\xff", False), ("deploy-more", b"v\0\xff", False),
            ("deploy", b"", True)], f"{users}")
        times = [r["LTime"] for r in users]
        check(times == sorted(set(times)), f"times of the events: {times}")
        check(all(set(r) == {"Coalesce", "Event", "LTime", "Name", "Payload"} for r in users), f"{users}")
        queries = [r for r in rpc.until(kinds["query"], lambda r: r["Name"] == "other")]
        check([(r["Name"], r["Payload"]) for r in queries] == [("uptime", b"asked"), ("other", b"asked")], f"{queries}")
        check(all(set(r) == {"Event", "ID", "LTime", "Name", "Payload"} and r["ID"] > 0 for r in queries), f"{queries}")
        few = rpc.until(some, last)
        check({r["Event"] for r in few} == {"member-join", "user", "query"} and
              {r["Name"] for r in few if "Name" in r} == {"deploy", "uptime"}, f"the filter let pass {few}")
        wanted = {"member-join", "member-update", "member-failed", "member-leave", "member-reap", "user", "query"}
        for stream in (star, empty):
            seen = {r["Event"] for r in rpc.until(stream, last)}
            check(seen >= wanted, f"of all kinds {seen} came")
        # After a stop nothing comes of that stream, and its Seq is free; the others go on.
        check(rpc.ask("stop", {"Stop": some}) == ("", None), "stop")
        rpc.ok("event", {"Name": "deploy", "Payload": b"", "Coalesce": False})
        rpc.until(star, last)
        check(not rpc.records.get(some), "a record after the stop")
        rpc.ok("stream", {"Type": "user"}, seq=some)
        check(rpc.ask("stop", {"Stop": 12345}) == ("", None), "to stop what is not there is no error")


@on_each_kind(companion=True)
def test_an_rpc_query_brings_acks_answers_and_done_at_the_deadline(subject):
    with subject.client() as rpc, subject.client() as other:
        begun = time.monotonic()
        seconds = 3
        quiet = rpc.ok("query", {"Name": "uptime", "Payload": b"x", "RequestAck": False, "Timeout": seconds * SECOND})
        loud = rpc.ok("query", {"Name": "uptime", "Payload": None, "RequestAck": True, "Timeout": seconds * SECOND,
                                "FilterNodes": ["peer", "subject"], "FilterTags": {"zone": "[ab]"}, "RelayFactor": 2})
        one = rpc.ok("query", {"Name": "uptime", "RequestAck": True, "Timeout": seconds * SECOND,
                               "FilterNodes": None, "FilterTags": {"zone": "^a$"}})
        none = rpc.ok("query", {"Name": "uptime", "RequestAck": True, "Timeout": seconds * SECOND,
                                "FilterTags": {"zone": "["}})  # No expression: it matches nobody.
        normal = other.ok("query", {"Name": "nobody-knows"})
        is_done = lambda r: r["Type"] == "done"  # noqa: E731
        done = {"From": "", "Payload": None, "Type": "done"}
        found = {}
        for name, seq in (("quiet", quiet), ("loud", loud), ("one", one), ("none", none)):
            *records, last = rpc.until(seq, is_done)
            found[name] = [r for r in records if r["From"] or not subject.is_agent]
            check(last == done, f"{last}")
            check(time.monotonic() - begun > seconds * 0.95, f"done after {time.monotonic() - begun:.2f} s")
        check(found["quiet"] == [{"From": "peer", "Payload": b"up x\n", "Type": "response"}], f"{found['quiet']}")
        acks = sorted(r["From"] for r in found["loud"] if r["Type"] == "ack")
        answers = [(r["From"], r["Payload"]) for r in found["loud"] if r["Type"] == "response"]
        check(acks == ["peer", "subject"] and answers == [("peer", b"up\n")], f"{found['loud']}")
        check(found["one"] == [{"From": "subject", "Payload": None, "Type": "ack"}], f"{found['one']}")
        check(found["none"] == [], f"{found['none']}")
        records = [r for r in other.until(normal, is_done) if r["From"] or not subject.is_agent]
        check(records in ([], [done]), "a query with the default deadline")
        for name, body, error in (
                ("too long", {"Name": "x", "Payload": b"x" * 1100}, "query exceeds limit of 1024 bytes"),
                ("inner", {"Name": "_serf_list-keys"}, "Queries cannot contain the '_serf_' prefix"),
                ("inner", {"Name": "_serf_ping", "Payload": b"x"}, "Queries cannot contain the '_serf_' prefix")):
            said = rpc.refused("query", body)
            check(said == error, f"a query that is {name}: {said!r}")
        rpc.ok("members")


@on_each_kind()
def test_an_rpc_client_answers_queries_once_and_in_time(subject):
    peer = subject.peer("peer")
    is_done = lambda r: r["Type"] == "done"  # noqa: E731
    with subject.client() as rpc, subject.client() as other:
        stream = rpc.ok("stream", {"Type": "query:uptime"})

        def asked(seconds, payload=b"how long?"):
            number, data = peer.query_message("uptime", payload, Timeout=int(seconds * SECOND),
                                              LTime=subject.state(peer).serf["QueryLTime"])
            peer.send(data, subject.port)
            return number, rpc.record(stream)["ID"]

        def answered(number, payload):
            wait_until(lambda: number in peer.answers, 10, "the answer at who asked")
            check(peer.answers[number] == payload, f"{peer.answers[number]}")
        number, own = asked(60)
        check(own == 1, f"the first query's ID is {own}")
        for bad in (0, 7, 1 << 40):
            error = rpc.refused("respond", {"ID": bad, "Payload": b"x"})
            check(error == "No pending queries matching ID", f"ID {bad}: {error!r}")
        check(other.refused("respond", {"ID": own, "Payload": b"x"}) == "No pending queries matching ID",
              "another connection can answer it")
        rpc.ok("respond", {"ID": own, "Payload": b"ages"})
        answered(number, b"ages")
        error = rpc.refused("respond", {"ID": own, "Payload": b"again"})
        check(error == "failed to respond to key query: response already sent", f"twice: {error!r}")
        number, own = asked(60)
        error = rpc.refused("respond", {"ID": own, "Payload": b"x" * 1100})
        check(error == "failed to respond to key query: response exceeds limit of 1024 bytes", f"too long: {error!r}")
        rpc.ok("respond", {"ID": own, "Payload": b""})
        answered(number, b"")
        number, late = asked(0.3)
        # What came after it, and takes longer, is over.
        rpc.until(rpc.ok("query", {"Name": "clock", "Timeout": SECOND}), is_done)
        error = rpc.refused("respond", {"ID": late, "Payload": b"late"})
        check(error in ("No pending queries matching ID",
                        "failed to respond to key query: response is past the deadline"), f"late: {error!r}")
        # Of its own query, too.
        own_query = rpc.ok("query", {"Name": "uptime", "Timeout": 2 * SECOND})
        rpc.ok("respond", {"ID": rpc.record(stream)["ID"], "Payload": b"me"})
        check(rpc.record(own_query) == {"From": "subject", "Payload": b"me", "Type": "response"}, "its own answer")
        # One that is not answered by who goes away harms nobody.
        number, own = asked(60)
    subject.check_alive(peer)
    check(number not in peer.answers, "an answer that nobody gave")


@on_each_kind(agents_may_say="[kK]ey")
def test_rpc_answers_have_their_body_also_beside_an_error(subject):
    with subject.client() as rpc:
        keys = {"Keys", "Messages", "NumErr", "NumNodes", "NumResp"}
        for command, body in (("install-key", {"Key": "?"}), ("use-key", {"Key": "?"}), ("remove-key", {"Key": "?"})):
            error, told = rpc.ask(command, body)
            check(error == "illegal base64 data at input byte 0", f"{command}: {error!r}")
            check(set(told) == keys and not told["Messages"] and not told["Keys"] and told["NumNodes"] == 0, f"{told}")
        for command, body in (("list-keys", None), ("use-key", {"Key": KEY_TEXT})):
            error, told = rpc.ask(command, body)
            check(error == "1/1 nodes reported failure", f"{command}: {error!r}")
            check(set(told) == keys and not told["Keys"] and set(told["Messages"]) == {"subject"}, f"{told}")
            check((told["NumErr"], told["NumNodes"], told["NumResp"]) == (1, 1, 1), f"{told}")
            check("encryption not enabled" in told["Messages"]["subject"], f"{told}")
        peer = subject.peer("peer")
        nobody = f"127.0.0.1:{free_port()}"
        error, told = rpc.ask("join", {"Existing": [nobody], "Replay": False})
        check(nobody in error and told == {"Num": 0}, f"{error!r} {told}")
        check(rpc.ask("join", {"Existing": [], "Replay": False}) == ("", {"Num": 0}), "a join of nobody")
        check(rpc.ok("join", {"Existing": [nobody, f"127.0.0.1:{peer.port}"], "Replay": True}) == {"Num": 1}, "a join")
        zeros = {"Adjustment": 0.0, "Error": 0.0, "Height": 0.0, "Vec": None}
        check(rpc.ok("get-coordinate", {"Node": "nobody"}) == {"Coord": zeros, "Ok": False}, "nobody's coordinate")
        told = rpc.ok("get-coordinate", {"Node": "subject"})
        check(told["Ok"] is True and set(told["Coord"]) == set(zeros) and len(told["Coord"].pop("Vec")) == 8 and
              all(isinstance(value, float) for value in told["Coord"].values()), f"its own coordinate: {told}")
        rpc.ok("tags", {"Tags": None, "DeleteTags": None})
        rpc.ok("force-leave", {"Node": "nobody", "Prune": False})
        members = {m["Name"]: m for m in rpc.ok("members")["Members"]}
        check(set(members) == {"peer", "subject"}, f"{members}")
        check(all(set(m) == MEMBER_KEYS for m in members.values()), f"{members}")
        check(all(isinstance(v, str) for section in rpc.ok("stats").values() for v in section.values()), "not all text")


@on_each_kind()
def test_an_rpc_monitor_brings_the_log(subject):
    with subject.client() as rpc:
        error = rpc.refused("monitor", {"LogLevel": "loud"})
        check(error == "Unknown log level: LOUD", f"a bad level: {error!r}")
        monitor = rpc.ok("monitor", {"LogLevel": "debug"})
        check(rpc.refused("monitor", {"LogLevel": "INFO"}) == "Monitor already exists", "a second monitor")
        first = rpc.record(monitor)
        check(set(first) == {"Log"} and LINE.match(first["Log"]), f"{first}")
        rpc.ok("event", {"Name": "hear-hear", "Coalesce": False})
        lines = [r["Log"] for r in rpc.until(monitor, lambda r: "hear-hear" in r["Log"])]
        bad = [line for line in lines if not LINE.match(line) or "\n" in line]
        check(not bad, f"not as serf's lines: {bad[:5]}")
        with subject.client() as other:
            monitor = other.ok("monitor", {"LogLevel": "WARN"})
            other.ok("event", {"Name": "hear-two", "Coalesce": False})
            rpc.until(2 + 1, lambda r: "hear-two" in r["Log"])
            other.ok("members")
            lines = [r["Log"] for r in other.records.get(monitor, [])]
            check(not [line for line in lines if re.search(r"\[(TRACE|DEBUG|INFO)\]", line)], f"from WARN on: {lines}")
        check(rpc.ask("stop", {"Stop": 3}) == ("", None), "stop")
        rpc.ok("members")
        count = len(rpc.records.get(3, []))
        rpc.ok("event", {"Name": "hear-three", "Coalesce": False})
        with subject.client() as other:
            other.until(other.ok("monitor", {"LogLevel": "DEBUG"}), lambda r: "hear-three" in r["Log"])
        rpc.ok("members")
        check(len(rpc.records.get(3, [])) == count, "a line after the stop")


@on_each_kind()
def test_a_slow_reader_of_an_rpc_stream_loses_records_and_nobody_else_anything(subject):
    peer = subject.peer("peer")
    before = resident_kib(subject.program.pid)
    events, streams = 1500, 12
    with subject.client(receive_buffer=4096) as slow, subject.client() as quick, subject.client() as sender:
        for n in range(streams):
            slow.ok("stream", {"Type": "user"})
        stream = quick.ok("stream", {"Type": "user"})
        got = []
        reader = threading.Thread(target=lambda: got.extend(quick.until(stream, lambda r: r["Name"] == "last", 40)))
        reader.start()
        for n in range(events):
            sender.ok("event", {"Name": f"e{n}", "Payload": b"x" * 400, "Coalesce": False})
        sender.ok("event", {"Name": "last", "Payload": b"", "Coalesce": False})
        reader.join()
        names = [r["Name"] for r in got]
        check(names == [f"e{n}" for n in range(events)] + ["last"], f"of {events + 1} events {len(got)} came")
        subject.check_size(before, 24)
        # It reads again: records are missing, but none is in pieces, and new ones come.
        counts = {}

        def read(timeout=None):
            seq, _, body = slow.message(timeout)
            slow.records[seq].clear()
            counts[seq] = counts.get(seq, 0) + 1
            return body
        try:
            with contextlib.suppress(Silence):  # All is read.
                while True:
                    read(0.5)
            sender.ok("event", {"Name": "newest", "Payload": b"", "Coalesce": False})
            while read()["Name"] != "newest":
                pass
        except Closed:
            raise Failure("the slow reader's connection was closed") from None
        total = sum(counts.values())
        check(total < streams * events, f"{total} records were kept for it: the test is too small")
        subject.check_alive(peer)


@on_each_kind(kinds=("sidecar", "task"))
def test_more_rpc_connections_than_allowed_are_closed_and_the_others_live(subject):
    peer = subject.peer("peer")
    first = subject.client()
    stream = first.ok("stream", {"Type": "user"})
    held, refused = [first], None
    try:
        for _ in range(600):
            try:
                held.append(subject.client())
            except (Closed, ConnectionResetError):
                refused = len(held)
                break
        check(refused and refused >= 8, f"so many connections were taken: {len(held)}")
        for rpc in held:
            rpc.ok("members")
        for _ in range(20):  # As before, each is closed at once.
            with contextlib.suppress(Closed, ConnectionResetError):
                subject.client().close()
                raise Failure("one more was taken")
        peer.send(event(subject.state(peer).serf["EventLTime"], "through"), subject.port)
        check(first.record(stream)["Name"] == "through", "no event at the first connection")
        held.pop().close()
        wait_until(lambda: subject.serf("members")[0] == 0, 10, "a place after one has gone", every=0.1)
    finally:
        for rpc in held:
            rpc.close()
    subject.check_alive(peer)


@on_each_kind(seconds=90, kinds=("sidecar",), auth=WORD)
def test_rpc_connections_that_never_say_the_word_give_way(subject):
    with contextlib.ExitStack() as held:
        for n in range(60):  # All places; some say the handshake.
            with contextlib.suppress(Closed, ConnectionResetError):
                held.enter_context(subject.client(hello=n % 2 == 0, auth=None))
        begun = time.monotonic()
        check(subject.serf("members")[0] != 0, "there was a place left: the test is too small")
        wait_until(lambda: subject.serf("members")[0] == 0, 30, "a place for who says the word", every=0.2)
        subject.scene.say(f"places are free again after {time.monotonic() - begun:.0f} s")
