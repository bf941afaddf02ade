"""The sidecar is killed at any moment, again and again, while tasks come and go."""
import os
import random
import statistics
import time

from harness import Failure, Relay, check, test, wait_until
from load import Load

ALL_ROUNDS = int(os.environ.get("SHOAL_TEST_KILL_ROUNDS", "20"))  # 200 for docs/measurements.md.
ROUNDS = ALL_ROUNDS // 2  # Of each of the two tests.
LIVING = 3


class Stage:
    """Three tasks that come and go, one that an operator has taken out by hand, and a sidecar that dies."""

    def __init__(self, scene, seed):
        self.scene, self.random, self.number = scene, random.Random(seed), 0
        self.haproxy = scene.haproxy()
        self.relay = Relay(scene, self.haproxy)
        # Without a name of its own: each start is another member, as in real life.
        self.proxy = scene.sidecar(self.haproxy, socket_path=self.relay.path, more={"node": {"name": None}})
        self.living, self.leaving, self.cuts, self.took = [self.come() for _ in range(LIVING)], [], 0, []
        held = scene.task(self.proxy, "held")
        self.haproxy.wait_in_rotation(held.name, *(t.name for t in self.living))
        self.held = self.haproxy.server_of("held").name
        self.haproxy.tell(f"set server web/{self.held} state maint")
        self.load = Load(self.haproxy.http_port, seconds=60 + 20 * ROUNDS, clients=8, pause_ms=10)

    def come(self):
        self.number += 1
        return self.scene.task(self.proxy, f"t{self.number}", more={"task": {"drain_timeout": "25s"}})

    def go(self):
        task = self.living.pop(0)
        task.signal(15)
        self.leaving.append(task)

    def upset(self, what):
        """What the sidecar will have half done when it is killed."""
        if what != "go":
            self.living.append(self.come())
        if what != "come":
            if len(self.living) < 2:
                self.living.append(self.come())
            self.go()

    def wrong(self):
        """What is not true of HAProxy's table; empty when all is."""
        rows = self.haproxy.servers()
        if rows is None:
            return "HAProxy does not answer"
        out = [f"{task.name} is not in rotation" for task in self.living
               if not any(row.belongs_to(task.name) and row.in_rotation for row in rows)]
        out += [f"{task.name} is in rotation" for task in self.leaving
                if any(row.belongs_to(task.name) and row.in_rotation for row in rows)]
        held = [row for row in rows if row.belongs_to("held")]
        if len(held) != 1 or held[0].name != self.held or not held[0].admin & 1 or held[0].weight == 0:
            out.append(f"the operator's maintenance has become {held}")
        return "; ".join(out)

    def wait_true(self, what):
        begun = time.monotonic()
        try:
            wait_until(lambda: not self.wrong(), 40, "a true table", every=0.02)
            self.took.append(time.monotonic() - begun)
        except Failure:
            raise Failure(f"{what}: 40 s later {self.wrong()}; HAProxy has {self.haproxy.servers()}") from None

    def collect(self, most):
        while len(self.leaving) > most:
            task = self.leaving.pop(0)
            check(task.wait(30) == 0, f"{task.name} did not stop with 0")
            check(task.worker.first("end")["after_term"] == 0, f"{task.name}'s worker got requests after its SIGTERM")

    def finish(self, wait_deleted):
        """A server whose task ended while no sidecar lived is kept a minute, out of rotation, before it is deleted."""
        self.collect(0)
        result = self.load.result(stop_now=True)
        if wait_deleted:
            wait_until(lambda: len(self.haproxy.servers() or []) == len(self.living) + 1, 90,
                       "the deletion of every server that no task has", every=0.1)
        check(not self.wrong(), self.wrong())
        adds = [line.split()[2] for line in self.relay.commands() if line.startswith(b"add server")]
        self.scene.say(f"{ROUNDS} kills, {self.cuts} of them between two commands; {self.number + 1} tasks, "
                       f"{len(adds)} adds; the table true {statistics.median(self.took):.1f} s after the start, "
                       f"at most {max(self.took):.1f} s; {result['ok']} requests, {result['failed']} failed")
        check(result["failed"] == 0, f"{result['failed']} of {result['ok']} failed: {result['errors']}")
        check(result["ok"] > 50 * ROUNDS, f"no load: {result}")


@test(seconds=90 + 25 * ROUNDS)
def test_the_table_is_true_again_after_the_sidecar_was_killed_at_any_time(scene):
    stage = Stage(scene, int(os.environ.get("SHOAL_TEST_SEED", "1")))
    for number in range(ROUNDS):
        what = stage.random.choice(["come", "go", "both"])
        stage.upset(what)
        delay = stage.random.choice([0, 0.005, 0.05, 0.2, 0.4]) * stage.random.random()
        time.sleep(delay)  # The random moment, not a wait for anything.
        stage.proxy.kill()
        stage.proxy.start()
        stage.wait_true(f"round {number}: {what}, killed after {delay * 1000:.0f} ms")
        stage.collect(4)
    stage.finish(wait_deleted=True)


@test(seconds=90 + 25 * ROUNDS)
def test_an_add_or_a_drain_that_was_half_done_when_the_sidecar_was_killed_is_continued(scene):
    stage = Stage(scene, int(os.environ.get("SHOAL_TEST_SEED", "1")))
    for number in range(ROUNDS):
        dead = []

        def kill():
            stage.proxy.kill()
            dead.append(True)
        what = stage.random.choice(["come", "go", "both"])
        # An add takes four commands, a way out two.
        stage.relay.cut_after(stage.random.randrange({"come": 4, "go": 2, "both": 6}[what]), kill)
        stage.upset(what)
        try:
            wait_until(lambda: dead, 5, "the cut")
            stage.cuts += 1
        except Failure:  # There were fewer commands than that.
            if stage.relay.cut_off():
                stage.proxy.kill()
            else:
                wait_until(lambda: dead, 5, "the cut")
        stage.proxy.start()
        stage.wait_true(f"round {number}: {what}")
        stage.collect(4)
    stage.finish(wait_deleted=ALL_ROUNDS > 20)
