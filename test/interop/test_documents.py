"""What the documents promise about tests."""
import glob
import os
import re

from harness import HERE, ROOT, check, test


def interop_tests(name):
    path = os.path.join(HERE, f"test_{name}.py")
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r"^def test_(\w+)\(", f.read(), re.M))


def unit_tests(name):
    path = os.path.join(ROOT, "test", "unit", f"{name}.cc")
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"', f.read()))


@test(seconds=20)
def test_the_tests_that_the_compatibility_table_names_exist(scene):
    with open(os.path.join(ROOT, "docs", "serf-compatibility.md"), encoding="utf-8") as f:
        text = f.read()
    named = [n for n in re.findall(r"`([a-z_]+(?:/[a-z_]+)?): ([^`]+)`", text) if n != ("file", "name")]
    check(len(named) > 60, f"only {len(named)} tests are named")
    missing = [f"{file}: {name}" for file, name in named
               if name not in (unit_tests(file) if "/" in file else interop_tests(file))]
    check(not missing, "no such tests: " + "; ".join(missing))
    rows = [int(n) for n in re.findall(r"^\| (\d+) \|", text, re.M)]
    check(rows == list(range(1, 47)), f"the table's rows are {rows}")
    said = {name for file, name in named if "/" not in file}
    every = {name for path in glob.glob(os.path.join(HERE, "test_*_rules.py"))
             for name in interop_tests(os.path.basename(path)[5:-3])}
    check(every - said <= {"a_leave_intent_about_itself_is_refuted"}, f"rules that no row names: {every - said}")
