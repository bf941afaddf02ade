#!/usr/bin/python3
"""Adds up test results.

    count.py meson TESTLOG.json    a line for each test that did not pass, then `N passed, N failed`; a doctest
    binary counts
                                   its test cases, any other test counts once
    count.py sum FILE...           adds the `N passed, N failed` lines of logs; a log without one counts as one
    failure
"""
import json
import re
import sys

DOCTEST = re.compile(r"\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed")
RESULT = re.compile(r"^(\d+) passed, (\d+) failed$")


def of_meson(path):
    passed = failed = 0
    with open(path, encoding="utf-8") as f:
        tests = [json.loads(line) for line in f if line.strip()]
    for test in tests:
        if test["result"] == "SKIP":
            continue
        text = re.sub(r"\x1b\[[0-9;]*m", "", test.get("stdout") or "")
        cases = DOCTEST.search(text)
        good = test["result"] == "OK"
        if cases:
            passed += int(cases.group(2))
            # A crash after the summary, or a leak, is a failure that no test case owns.
            failed += max(int(cases.group(3)), 0 if good else 1)
        else:
            passed, failed = passed + good, failed + (not good)
        if not good:
            print(f"FAILED {test['name']} ({test['result']})")
    return passed, failed


def of_logs(paths):
    passed = failed = 0
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as f:
            lines = [line.strip() for line in f if line.strip()]
        found = RESULT.match(lines[-1]) if lines else None
        passed += int(found.group(1)) if found else 0
        failed += int(found.group(2)) if found else 1
    return passed, failed


def main():
    passed, failed = of_meson(sys.argv[2]) if sys.argv[1] == "meson" else of_logs(sys.argv[2:])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
