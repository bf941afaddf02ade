"""One scenario, four members: a stock serf agent and shoal, each without and with encryption. What holds for the agent
shows that the test tells the truth about memberlist; what holds for shoal as well shows that nobody can tell the two
apart."""
import functools
import threading
import traceback

from gossip_peer import Peer
from gossip_wire import SERF_EVENT, USER, pack
from harness import KEY, KEY_TEXT, Failure, check, free_port, test, wait_until


class Subject:
    """The member under test, alone in its cluster but for the peers that the scenario makes."""

    def __init__(self, scene, kind, encrypted, name="subject", profile="lan", tags=None):
        self.scene, self.kind, self.encrypted = scene, kind, encrypted
        self.what = kind + (", encrypted" if encrypted else "")
        self.name = name
        key = KEY_TEXT if encrypted else None
        files = f"{name[:12]}-{kind}{'-key' if encrypted else ''}"
        tags = {"role": "sidecar", **(tags or {})}
        if kind == "agent":
            self.program = scene.agent(name, tags=tags, profile=profile, key=key, files=files)
        else:
            own = {k: v for k, v in tags.items() if k != "role"}
            self.program = scene.member(files, key=key, profile=profile,
                                        more={"node": {"name": name}, "node.tags": own})
        self.port = self.program.port
        self._peers = []

    @property
    def is_agent(self):
        return self.kind == "agent"

    def peer(self, name, join=True, **options):
        keys = options.pop("keys", [KEY] if self.encrypted else [])
        peer = Peer(name, free_port(), keys=keys, **options)
        self._peers.append(peer)
        if join:
            peer.exchange(self.port, timeout=10)
        return peer

    def state(self, peer):
        """All that it knows, by a push/pull that tells it nothing new."""
        return peer.exchange(self.port, join=False)

    def settled(self, peer):
        """Its state once all that was sent to it by datagram has been taken: a user event is sent after it, and seen
        to arrive."""
        now = self.state(peer).serf["EventLTime"]
        peer.send(event(now, "settled"), self.port)
        wait_until(lambda: self.state(peer).serf["EventLTime"] > now, 5, f"{self.what}: an event taken")
        return self.state(peer)

    def close(self):
        for peer in self._peers:
            peer.close()


def event(ltime, name, payload=b"", cc=False):
    return bytes([USER, SERF_EVENT]) + pack({"CC": cc, "LTime": ltime, "Name": name, "Payload": payload})


def all_at_once(makers, function):
    """Runs the function with what each of `makers` makes, a Subject, all at a time. What went wrong, each with the
    maker's name."""
    problems = []

    def one(what, make):
        subject = None
        try:
            subject = make()
            function(subject)
        except Failure as failure:
            problems.append(f"{what}: {failure} [{where(failure)}]")
        except Exception:  # noqa: BLE001  Told below, with who it was.
            problems.append(f"{what}: {traceback.format_exc()}")
        finally:
            if subject is not None:
                subject.close()
    threads = [threading.Thread(target=one, args=maker) for maker in makers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def on_every_member(seconds=60, kinds=("agent", "shoal"), encrypted=(False, True), agents_may_say=None, **options):
    """Runs the function with each Subject, all four at a time."""
    def mark(function):
        @functools.wraps(function)
        def run(scene):
            problems = all_at_once({
                kind + (", encrypted" if with_key else ""): functools.partial(Subject, scene, kind, with_key, **options)
                for kind in kinds for with_key in encrypted}, function)
            check(not problems, "\n".join(problems))
        return test(seconds=seconds, agents_may_say=agents_may_say)(run)
    return mark


def where(failure):
    frames = [f for f in traceback.extract_tb(failure.__traceback__) if "/test_" in f.filename]
    return ", ".join(f"line {f.lineno}" for f in frames)
