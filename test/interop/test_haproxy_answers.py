"""What the simulator's HAProxy was checked against is what the installed HAProxy says."""
import difflib
import os

from haproxy_answers import play, version
from harness import ROOT, check, test

RECORDED = os.path.join(ROOT, "test", "vectors", "haproxy", "2.6.12.txt")


@test(seconds=60)
def test_haproxy_answers_shoals_lines_as_recorded(scene):
    scene.say(f"HAProxy {version()}")
    if not version().startswith("2.6."):
        scene.say("nothing is recorded of this version: not compared")
        return
    with open(RECORDED, encoding="ascii") as f:
        recorded = f.read().split("\n\n", 1)[1]  # Without the line that names the version.
    differences = difflib.unified_diff(recorded.splitlines(), play(scene).splitlines(), "recorded", "now", n=1)
    text = "\n".join(line[:300] for line in differences)
    check(not text, f"HAProxy {version()} answers otherwise:\n{text}")
