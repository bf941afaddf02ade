"""`haproxy.dry_run`: says what it would send, and sends only questions."""
from harness import Relay, check, hold_true, test


@test(seconds=60)
def test_a_dry_run_says_its_commands_once_and_sends_only_questions(scene):
    haproxy = scene.haproxy()
    relay = Relay(scene, haproxy)
    proxy = scene.sidecar(haproxy, socket_path=relay.path, more={"haproxy": {"dry_run": True}})
    task = scene.task(proxy, "one")
    proxy.log.wait_for('"event":"dry run: would send".*weight 100', 15)
    task.log.wait_for("dry run", 15)
    hold_true(lambda: haproxy.servers() == [], 4, "an empty pool")  # Four intervals of comparison.
    said = proxy.log.count('"event":"dry run: would send"')
    check(said == 4, f"{said} commands were said, not 4 once")
    told = {line.decode() for line in relay.commands() if not line.startswith(b"show ")} - {"prompt"}
    check(not told, f"it sent {told}")
    check(not task.log.find('"event":"accepted"'), "the task was told that it is in rotation")
    check(task.stop(timeout=40) == 0, "the task did not stop with 0")
