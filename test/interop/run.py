#!/usr/bin/python3
"""Runs the interop tests.

    run.py [-j N] [WORD...]      the tests whose name holds one of the words (also SHOAL_TEST_ONLY); all when there
    is none run.py --list

Each test is a process of its own with a time limit, so that no test can hang or litter the run. Four run at a time;
those that measure run alone, at the end. One that failed beside others is run again, alone: what the machine had no
time for may pass then, and is called UNSTEADY; more than two are no accident and stay failed. Prints
`ok NAME (SECONDS)` or `FAILED NAME` with the tails of the logs, and as its last line `N passed, N failed`. SHOAL_BIN
names the program under test; SHOAL_TEST_KEEP=1 keeps the files of failed tests.
"""
import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
UNSTEADY_MOST = 2
sys.path.insert(0, HERE)
import harness  # noqa: E402


def all_tests():
    """name -> function, in the order of the files and of the lines in them."""
    found = {}
    for file in sorted(os.listdir(HERE)):
        if file.startswith("test_") and file.endswith(".py"):
            module = importlib.import_module(file[:-3])
            own = [f for f in vars(module).values() if hasattr(f, "shoal_test") and f.__module__ == module.__name__]
            for function in sorted(own, key=lambda f: f.__code__.co_firstlineno):
                name = function.__name__.removeprefix("test_")
                found[name] = function
                if function.shoal_test["also_encrypted"]:
                    found[f"{name}_encrypted"] = encrypted(function)
    return found


def encrypted(function):
    @functools.wraps(function)
    def run(scene):
        scene.key = harness.KEY_TEXT
        function(scene)
    return run


def run_here(name):
    """One test, in this process. Exit status 0 or 1."""
    function = all_tests()[name]
    scene = harness.Scene()
    why = None

    def out_of_time(*_):
        raise harness.Failure(f"not done after {function.shoal_test['seconds']} s")
    signal.signal(signal.SIGTERM, out_of_time)
    try:
        function(scene)
        scene.check_unharmed(function.shoal_test["agents_may_say"])
    except harness.Failure as failure:
        where = [f for f in traceback.extract_tb(failure.__traceback__)
                 if os.path.basename(f.filename).startswith("test_")]
        why = f"{failure}\n  at " + ", ".join(f"{os.path.basename(f.filename)}:{f.lineno}" for f in where)
    except Exception:  # noqa: BLE001  A test that falls over has failed; say where.
        why = traceback.format_exc()
    if why is not None:
        print(why)
        print(scene.logs(), flush=True)
    keep = why is not None and os.environ.get("SHOAL_TEST_KEEP")
    scene.close(remove=not keep)
    if keep:
        print(f"  files kept in {scene.dir}")
    return 0 if why is None else 1


class Run:
    def __init__(self, tests):
        self.tests, self.passed, self.failed, self.unsteady = tests, 0, [], []
        self._lock = threading.Lock()

    def one(self, name):
        limit, begun = self.tests[name].shoal_test["seconds"], time.monotonic()
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "run.py"), "--one", name],
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace")
        try:
            text, _ = process.communicate(timeout=limit)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.terminate()  # It says what it was waiting for, and ends what it started.
            try:
                text, _ = process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()  # Its children die with it.
                text, _ = process.communicate()
            status = 1
        seconds = time.monotonic() - begun
        with self._lock:
            if status == 0:
                self.passed += 1
                print(f"ok {name} ({seconds:.1f})")
                for line in text.splitlines():
                    print(f"   {line}")
            else:
                self.failed.append(name)
                print(f"FAILED {name} ({seconds:.1f})\n" + "".join(f"   {line}\n" for line in text.splitlines()))
            sys.stdout.flush()

    def again(self):
        """Alone, those that failed beside others, unless they are many."""
        suspects = [name for name in self.failed if not self.tests[name].shoal_test["alone"]]
        if len(suspects) > UNSTEADY_MOST:
            return
        for name in suspects:
            print(f"again, alone: {name}")
            self.failed.remove(name)
            self.one(name)
        self.unsteady = [name for name in suspects if name not in self.failed]

    def several(self, names, at_once):
        waiting = list(names)

        def work():
            while True:
                with self._lock:
                    if not waiting:
                        return
                    name = waiting.pop(0)
                self.one(name)
        threads = [threading.Thread(target=work) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main(arguments):
    if arguments[:1] == ["--one"]:
        return run_here(arguments[1])
    tests = all_tests()
    if arguments[:1] == ["--list"]:
        print("\n".join(tests))
        return 0
    at_once = 4  # They wait more than they work.
    if arguments[:1] == ["-j"]:
        at_once, arguments = int(arguments[1]), arguments[2:]
    words = arguments or os.environ.get("SHOAL_TEST_ONLY", "").split()
    names = [n for n in tests if not words or any(word in n for word in words)]
    if not os.access(harness.SHOAL, os.X_OK):
        print(f"{harness.SHOAL} is no program; build first, or set SHOAL_BIN", file=sys.stderr)
        return 2
    for program in ("haproxy", "serf"):
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin"):
            print(f"{program} is missing: apt-get install {program}", file=sys.stderr)
            return 2
    for words in (["haproxy", "-v"], ["serf", "version"]):
        out = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        print(f"with {words[0]}: {(out.splitlines() or ['?'])[0]}", flush=True)
    run = Run(tests)
    beside = [n for n in names if not tests[n].shoal_test["alone"]]
    run.several(sorted(beside, key=lambda n: -tests[n].shoal_test["seconds"]), at_once)  # So that no long one is last.
    run.several([n for n in names if tests[n].shoal_test["alone"]], 1)
    if len(beside) > 1:
        run.again()
    for name in run.unsteady:
        print(f"UNSTEADY: {name} failed beside others, and passed alone")
    for name in run.failed:
        print(f"failed: {name}")
    print(f"{run.passed} passed, {len(run.failed)} failed")
    return 1 if run.failed or not run.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
