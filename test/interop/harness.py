"""The stage on which the interop tests play: real shoal, real HAProxy, real serf agents, all on 127.0.0.1.

A test gets a `Scene`. It starts programs through it, and the scene ends every one of them, by process id, whatever
becomes of the test. Nothing here sleeps to let something happen: `wait_until` and `Log.wait_for` look again until a
deadline.

What the tests expect shoal to log stands in `Say`, and nowhere else. Wherever HAProxy's own table, an exit code or a
serf agent's view can tell, the tests ask those instead.
"""
import base64
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHOAL = os.path.abspath(os.environ.get("SHOAL_BIN", os.path.join(ROOT, "build", "src", "app", "shoal")))
PYTHON = "/usr/bin/python3"
POOL = "web"
KEY = bytes(range(32))  # Of gossip, where a test encrypts.
KEY_TEXT = base64.b64encode(KEY).decode()
GRACE_SECONDS = 10  # The smallest that HAProxy 2.6 allows: an earlier delete can crash it.


CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


class Say:
    """Every line of shoal's log that a test waits for, as a regular expression over one JSON line."""

    # Sidecar.
    SIDECAR_STARTED = r'"event":"sidecar started"'
    HAPROXY_UP = r'"event":"HAProxy connected"'
    HAPROXY_AWAY = r'"level":"(warn|error)","event":"HAProxy is away'
    # Both roles; the task says it at debug.
    MEMBER_JOINED = r'"event":"member( joined"|".*:"join").*"node":"{node}"'
    MEMBER_LEFT = r'"event":"member( left"|".*:"le(ft|ave)").*"node":"{node}"'
    MEMBER_FAILED = r'"event":"member( failed"|".*:"failed").*"node":"{node}"'
    # Task.
    ACCEPTED = r'"event":"accepted"'
    REFUSED = r'"event":"refused"'
    NOT_READY = r"worker\.ready_timeout"
    UNREACHABLE = "cannot be reached"

    @staticmethod
    def of(pattern, node):
        return pattern.replace("{node}", re.escape(node))


class Failure(Exception):
    """What the test saw was not what it must see."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def wait_until(question, timeout, what, every=0.01):
    """Asks until the answer is true (and gives it back) or the time is up (and fails, naming `what`)."""
    end = time.monotonic() + timeout
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise Failure(f"waited {timeout:g} s in vain for: {what}")
        time.sleep(every)


def hold_true(question, seconds, what, every=0.02):
    """Fails as soon as the answer is false within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(question(), f"did not stay true for {seconds:g} s: {what}")
        time.sleep(every)


# --- networks, ports, processes
# -------------------------------------------------------------------------------------

_claims = []  # Abstract sockets, one for each port that was given out, until this process ends.


def ports_in_use():
    """Of UDP and TCP, whatever the address."""
    used = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        try:
            with open(f"/proc/net/{table}", encoding="ascii") as f:
                used |= {int(line.split()[1].rsplit(":", 1)[1], 16) for line in f.readlines()[1:]}
        except OSError:
            pass  # A kernel without IPv6.
    return used


def free_port():
    """A port that nobody uses, outside the range that the kernel gives to outgoing connections, and claimed: no test
    beside this one gets it. It is not tried by binding it: a program that another thread forks at that moment would
    hold it for a while."""
    used = ports_in_use()
    for _ in range(500):
        port = random.randint(12000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0shoal-test-port-{port}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        if port not in used:
            return port
    raise Failure("no free port found")


_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def accepts_tcp(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


_CLONE_NEWNET = 0x40000000
_CLONE_NEWNS = 0x00020000


def own_network(addresses=()):
    """This test, and all that it starts from now on, in a network namespace of its own that dies with it: nothing but a
    loopback with further addresses, and firewall rules that nobody else feels. False where root may make none. To be
    called before any thread is started."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        return False
    for words in [["link", "set", "lo", "up"], *[["addr", "add", a, "dev", "lo"] for a in addresses]]:
        subprocess.run(["ip", *words], check=True)
    return True


def unshare_mounts():
    """What is mounted from now on is seen by this test and what it starts alone, once `mount --make-rprivate /` is
    done. False where root may not. To be called before any thread is started."""
    return _libc.unshare(_CLONE_NEWNS) == 0


def become_subreaper():
    """Orphans of the programs under test (a worker whose task was killed) become ours, so that they can be seen and
    ended."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def children_of(pid):
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as f:
                found += [int(word) for word in f.read().split()]
    except OSError:
        pass
    return found


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise Failure(f"no VmRSS for process {pid}")


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


class Log:
    """A growing log file. `mark` remembers where it is now, `wait_for` finds the first line that matches after a
    mark."""

    def __init__(self, path):
        self.path = path

    def text(self, since=0):
        try:
            with open(self.path, "rb") as f:
                f.seek(since)
                return f.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def mark(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def find(self, pattern, since=0):
        for line in self.text(since).splitlines():
            if re.search(pattern, line):
                return line
        return None

    def count(self, pattern, since=0):
        return sum(1 for line in self.text(since).splitlines() if re.search(pattern, line))

    def wait_for(self, pattern, timeout, since=0):
        return wait_until(lambda: self.find(pattern, since), timeout, f"/{pattern}/ in {os.path.basename(self.path)}")

    def tail(self, lines=40):
        kept = [line for line in self.text().splitlines() if "agent.ipc: Accepted client" not in line]
        return "\n".join("    " + line[:400] for line in kept[-lines:])


class Program:
    """A process with a log. stdout and stderr go to one file: shoal, HAProxy and serf write nothing that must be
    split."""

    def __init__(self, scene, name, argv, env=None):
        if env is not None:  # Whatever else it may know: where a sanitizer's report goes, and that it ends the program.
            env = {**{k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}, **env}
        self.name, self.argv = name, [str(word) for word in argv]
        self.log = Log(scene.path(f"{name}.log"))
        self._out = open(self.log.path, "ab")
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._out,
                                        env=env, cwd=scene.dir, preexec_fn=_die_with_parent, start_new_session=True)
        self.pid = self.process.pid
        self.started = time.monotonic()

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def kill(self):
        """SIGKILL, and gone when this returns."""
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def wait(self, timeout):
        """The exit status; 128 + n for a signal."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs after {timeout:g} s") from None
        return status if status >= 0 else 128 - status

    def stop(self, timeout):
        self.signal(signal.SIGTERM)
        return self.wait(timeout)


def toml_text(settings):
    """`{"role": "task", "gossip": {"bind": ...}, "gossip.timing": {...}}` as TOML."""
    def value(v):
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, (list, tuple)):
            return "[" + ", ".join(value(x) for x in v) + "]"
        return json.dumps(v) if isinstance(v, str) else str(v)

    lines = [f"{k} = {value(v)}" for k, v in settings.items() if not isinstance(v, dict)]
    for table, entries in settings.items():
        if isinstance(entries, dict):
            lines += ["", f"[{table}]"] + [f"{k} = {value(v)}" for k, v in entries.items()]
    return "\n".join(lines) + "\n"


def merged(base, more):
    """`more` laid over `base`, table by table; None takes a key or table away."""
    out = {k: dict(v) if isinstance(v, dict) else v for k, v in base.items()}
    for key, entry in (more or {}).items():
        if isinstance(entry, dict):
            table = out.setdefault(key, {})
            for k, v in entry.items():
                table.pop(k, None) if v is None else table.__setitem__(k, v)
        elif entry is None:
            out.pop(key, None)
        else:
            out[key] = entry
    return out


# --- HAProxy
# -----------------------------------------------------------------------------------------------------------

_ADMIN_HOLDS = 0x1B | 0x20 | 0x40  # Not 4: `disabled` in the configuration, and enabled since.


class Server:
    """One row of `show servers state`."""

    def __init__(self, words):
        self.backend, self.name, self.address = words[1], words[3], words[4]
        self.operational, self.admin, self.weight = int(words[5]), int(words[6]), int(words[7])
        self.port = int(words[18])

    @property
    def in_rotation(self):
        return self.operational == 2 and not self.admin & _ADMIN_HOLDS and self.weight > 0

    def belongs_to(self, node):
        return self.name.startswith(f"shoal-{node}-")

    def __repr__(self):
        where = f"{self.backend}/{self.name} {self.address}:{self.port}"
        return f"{where} op={self.operational} admin={self.admin} weight={self.weight}"


def runtime(path, command, timeout=3):
    """One command on its own connection to a runtime socket; the whole answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(path)
        s.sendall(command.encode() + b"\n")
        answer = b""
        while True:
            part = s.recv(65536)
            if not part:
                return answer.decode("utf-8", "replace")
            answer += part


def servers_in(path, pool=POOL):
    """The rows of a pool; None while HAProxy does not answer."""
    try:
        table = runtime(path, f"show servers state {pool}")
    except OSError:
        return None
    rows = [line.split() for line in table.splitlines() if line and not line.startswith("#")]
    return [Server(words) for words in rows if len(words) >= 19]


class HAProxy:
    """A real HAProxy as packaging/haproxy.cfg configures it. Its configuration stays, so that `start` after `kill` is a
    restart."""

    def __init__(self, scene, name="haproxy", pools=(POOL,), tcp_pools=(), bare=False, hold=True, balance=None,
                 extra_backends="", repeats_posts=False, slots=0):
        """The first pool is the frontend's; another is reached by `Host: NAME`, a TCP pool on a port of its own.
        `slots`: so many in each pool, by a server-template. `bare`: no redispatch, no retry and no hold, so that
        nothing hides what shoal does. `repeats_posts`: of a killed worker too, where the packaged file leaves that to
        who knows the application."""
        self.repeats_posts, self.slots = repeats_posts, slots
        self.scene, self.name = scene, name
        self.http_port, self.tcp_ports = free_port(), {pool: free_port() for pool in tcp_pools}
        self.socket = scene.path(f"{name}.sock")
        self.config = scene.path(f"{name}.cfg")
        self.program = None
        self.configure(pools, bare, hold, balance, extra_backends)

    def configure(self, pools=(POOL,), bare=False, hold=True, balance=None, extra_backends=""):
        with open(os.path.join(ROOT, "packaging", "haproxy.cfg"), encoding="utf-8") as f:
            text = f.read()
        lines = [(r"stats socket \S+ mode 660", f"stats socket {self.socket} mode 600"),
                 (r"lua-load \S+", f"lua-load {os.path.join(ROOT, 'packaging', 'hold.lua')}"),
                 (r"bind \S+", f"bind 127.0.0.1:{self.http_port}"),
                 (r"default_backend \S+", "\n    ".join([f"default_backend {pools[0]}"] + [
                     f"use_backend {pool} if {{ req.hdr(host) {pool} }}" for pool in pools[1:]]))]
        for pattern, line in lines:
            text, found = re.subn(rf"(?m)^( *){pattern}", rf"\g<1>{line}", text)
            check(found == 1, f"packaging/haproxy.cfg has {found} lines with /{pattern}/")
        head, name, pool_lines = text.partition("\nbackend shoal ")
        check(name, "packaging/haproxy.cfg has no backend shoal")
        if balance:
            pool_lines, found = re.subn(r"(?m)^( *)balance \S+", rf"\g<1>balance {balance}", pool_lines)
            check(found == 1, f"packaging/haproxy.cfg has {found} lines with balance")
        if self.slots:
            pool_lines += f"    server-template shoal- 1-{self.slots} 127.0.0.1:1 disabled check inter 500ms\n"
        hold_line = re.search(r"(?m)^ *http-request (lua\.shoal_hold .*)$", pool_lines)
        for pool in pools:
            head += f"\nbackend {pool}\n    {pool_lines.lstrip()}"
        for pool, port in self.tcp_ports.items():
            head += (f"\nlisten {pool}\n    mode tcp\n    no option idle-close-on-response\n"
                     f"    bind 127.0.0.1:{port}\n    balance leastconn\n"
                     f"    tcp-request inspect-delay 6s\n    tcp-request content {hold_line.group(1)}\n")
        text = head + extra_backends
        without = ["option redispatch", "retry-on", "http-request disable-l7-retry"] if bare else []
        without += ["http-request disable-l7-retry"] if self.repeats_posts else []
        without += ["lua-load", r"\S+-request (content )?lua\.shoal_hold"] if bare or not hold else []
        for line in without:
            text = re.sub(rf"(?m)^ *{line}.*\n", "", text)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def start(self, wait=True):
        check(self.program is None or not self.program.running(), "HAProxy runs already")
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.program = self.scene.run(self.name, ["haproxy", "-db", "-f", self.config])
        if not wait:
            return self
        wait_until(lambda: self.servers() is not None or not self.program.running(), 10, "HAProxy's runtime socket")
        check(self.program.running(), "HAProxy did not start:\n" + self.program.log.tail())
        return self

    def kill(self):
        self.program.kill()

    @property
    def pid(self):
        return self.program.pid

    def running(self):
        return self.program is not None and self.program.running()

    def info(self):
        """`show info` as a map; {} while HAProxy does not answer."""
        try:
            text = runtime(self.socket, "show info")
        except OSError:
            return {}
        return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)

    def version(self):
        return self.info().get("Version", "?")

    def tell(self, command):
        """An operator's command; what HAProxy answers."""
        return runtime(self.socket, command).strip()

    def servers(self, pool=POOL):
        return servers_in(self.socket, pool)

    def server_of(self, node, pool=POOL):
        return next((s for s in self.servers(pool) or [] if s.belongs_to(node)), None)

    def in_rotation(self, node, pool=POOL):
        server = self.server_of(node, pool)
        return bool(server and server.in_rotation)

    def slot_at(self, port, pool=POOL):
        """The slot that stands for whoever serves at this port."""
        rows = [s for s in self.servers(pool) or [] if s.port == port and re.fullmatch(r"shoal-\d+", s.name)]
        return max(rows, key=lambda s: s.in_rotation, default=None)

    def wait_in_rotation(self, *nodes, timeout=15, pool=POOL):
        try:
            wait_until(lambda: all(self.in_rotation(n, pool) for n in nodes), timeout,
                       f"{', '.join(nodes)} in rotation")
        except Failure as failure:
            raise Failure(f"{failure}; HAProxy has {self.servers(pool)}") from None

    def wait_out_of_rotation(self, node, timeout=15, pool=POOL):
        wait_until(lambda: not self.in_rotation(node, pool), timeout, f"{node} out of rotation")

    def wait_deleted(self, node, timeout, pool=POOL):
        wait_until(lambda: self.servers(pool) is not None and self.server_of(node, pool) is None, timeout,
                   f"{node}'s server deleted", every=0.05)


_CHANGES = re.compile(rb"add |del |set |enable |disable ")


class Relay:
    """A UNIX socket in front of HAProxy's that passes everything on and keeps every line with its time. With `hold`,
    each answer is kept back for so many seconds."""

    def __init__(self, scene, haproxy, name="relay", hold=0.0):
        self.path, self._target, self.hold = scene.path(f"{name}.sock"), haproxy.socket, hold
        self._cut = None
        self.lines = []    # (monotonic time, command line as bytes)
        self.answers = []  # (monotonic time, bytes), as they were passed on
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(32)
        threading.Thread(target=self._accept, daemon=True).start()

    def commands(self):
        with self._lock:
            return [line for _, line in self.lines]

    def when(self, pattern):
        """Times of the command lines that match."""
        with self._lock:
            return [t for t, line in self.lines if re.search(pattern, line.decode("latin-1"))]

    def cut_after(self, changes, then):
        """So many more commands that change something are passed on, then `then` is called with the next one in hand,
        and its connection ends there."""
        with self._lock:
            self._cut = [changes, then]

    def cut_off(self):
        """No cut any more; whether there was none yet."""
        with self._lock:
            cut, self._cut = self._cut, None
        return cut is not None

    def _pass_until_the_cut(self, whole, far):
        for line in whole:
            with self._lock:
                cut = self._cut
                if cut is not None and _CHANGES.match(line):
                    cut[0] -= 1
                    if cut[0] < 0:
                        self._cut = None
                        break
                self.lines.append((time.monotonic(), line))
            far.sendall(line + b"\n")
        else:
            return True
        cut[1]()
        return False

    def _accept(self):
        while True:
            near, _ = self._listener.accept()
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self._target)
            except OSError:
                near.close()
                far.close()
                continue
            threading.Thread(target=self._to_haproxy, args=(near, far), daemon=True).start()
            threading.Thread(target=self._to_shoal, args=(far, near), daemon=True).start()

    def _to_haproxy(self, near, far):
        rest = b""
        try:
            while data := near.recv(65536):
                rest += data
                *whole, rest = rest.split(b"\n")
                if self._cut is None:
                    with self._lock:
                        self.lines += [(time.monotonic(), line) for line in whole]
                    far.sendall(b"".join(line + b"\n" for line in whole))
                elif not self._pass_until_the_cut(whole, far):
                    break
        except OSError:
            pass
        if rest:
            with self._lock:
                self.lines.append((time.monotonic(), rest))
        self._shut(far)

    def _to_shoal(self, far, near):
        try:
            while data := far.recv(65536):
                if self.hold:
                    time.sleep(self.hold)  # The delay under test, not a wait for anything.
                with self._lock:
                    self.answers.append((time.monotonic(), data))
                near.sendall(data)
        except OSError:
            pass
        self._shut(near)

    @staticmethod
    def _shut(s):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


_NAME = r"[A-Za-z0-9_.:-]{1,128}"
_ADDRESS = r"(\d{1,3}\.){3}\d{1,3}:\d{1,5}|\[[0-9a-f:.]{2,45}\]:\d{1,5}"
_ITS_SERVER = rf"{_NAME}/shoal-{_NAME}"
RUNTIME_WHITELIST = re.compile(
    r"prompt|show cli level|show info|show backend"
    rf"|show servers (state|conn)( {_NAME})?"
    rf"|show stat {_NAME} 4 -?\d+"
    rf"|add server {_ITS_SERVER} ({_ADDRESS})( [a-z0-9.-]+)*"
    rf"|(enable|disable) (server|health) {_ITS_SERVER}"
    rf"|set server {_ITS_SERVER} (state (ready|drain|maint)|weight \d{{1,3}}%?|health (up|down))"
    rf"|del server {_ITS_SERVER}")


def unexpected_lines(relay):
    """What reached the socket and is not, to the byte, one of the commands that shoal may send."""
    out = []
    for line in relay.commands():
        text = line.decode("latin-1")
        if len(line) > 4096 or not RUNTIME_WHITELIST.fullmatch(text):
            out.append(line)
    return out


class RotationWatch:
    """Looks at a pool every few milliseconds and keeps each change of who is in rotation."""

    def __init__(self, haproxy, pool=POOL):
        self._haproxy, self._pool, self._stop = haproxy, pool, threading.Event()
        self.history = []  # (monotonic time, frozenset of server names)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            rows = self._haproxy.servers(self._pool)
            if rows is not None:
                names = frozenset(r.name for r in rows if r.in_rotation)
                if not self.history or self.history[-1][1] != names:
                    self.history.append((time.monotonic(), names))
            time.sleep(0.005)

    def stop(self):
        self._stop.set()
        self._thread.join(5)
        return self.history


# --- serf
# --------------------------------------------------------------------------------------------------------------


# What agents call an error although it is none of ours: a peer that the test has killed or cut off does not answer.
AGENTS_MAY_SAY = (r"connect: connection refused"           # A killed one, for an anti-entropy exchange or a reconnect.
                  r"|i/o timeout|operation not permitted"  # The firewall's drop, on the way in and on the way out.
                  r"|connection reset by peer|broken pipe")  # Killed or cut off in the middle of an exchange.


def serf(*words, env=None, timeout=30):
    """The stock `serf` command: (exit status, all that it prints)."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("SERF_")}
    done = subprocess.run(["serf", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**own, **(env or {})}, timeout=timeout, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


class SerfAgent:
    """A stock agent, steered by the `serf` command over its own RPC port."""

    def __init__(self, scene, name, join=(), tags=None, profile="local", key=None, extra=(), files=None,
                 address="127.0.0.1", port=None, inside=(), auth=None):
        """`inside`: words before each command, for another network; seeds there are not waited for. `auth`: the word
        that its RPC port asks for."""
        self.scene, self.name, self.join, self._files, self.host = scene, name, join, files or name, address
        self.port, self.rpc, self.inside, self.auth = port or free_port(), free_port(), inside, auth
        key = key or scene.key
        self.argv = [*inside, "serf", "agent", f"-node={name}", f"-bind={self.gossip}",
                     f"-rpc-addr=127.0.0.1:{self.rpc}", f"-profile={profile}", "-log-level=debug", *extra]
        self.argv += [f"-encrypt={key}"] if key else []
        self.argv += [f"-tag={k}={v}" for k, v in (tags or {}).items()]
        self.argv += [f"-join={address}" for address in join]
        if auth:
            config = scene.path(f"{self._files}.json")
            with open(config, "w", encoding="utf-8") as f:
                json.dump({"rpc_auth": auth}, f)
            self.argv += [f"-config-file={config}"]
        self.program = None
        scene.agents.append(self)
        self.start()

    def start(self):
        """Also again, after a kill or a leave."""
        for address in () if self.inside else self.join:  # The agent gives up when its seed is not there yet.
            wait_until(lambda where=address: accepts_tcp(where), 10, f"somebody at {address}")
        self.program = self.scene.run(self._files, self.argv)
        self.log = self.program.log
        wait_until(lambda: self._try_members() is not None or not self.program.running(), 15, f"agent {self.name}")
        check(self.program.running(), f"the serf agent {self.name} did not start:\n" + self.log.tail())
        return self

    @property
    def gossip(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    address = gossip

    @property
    def pid(self):
        return self.program.pid

    def running(self):
        return self.program.running()

    def kill(self):
        self.program.kill()

    def command(self, *words, timeout=20, raw=False):
        auth = [f"-rpc-auth={self.auth}"] if self.auth else []
        argv = [*self.inside, "serf", words[0], f"-rpc-addr=127.0.0.1:{self.rpc}", *auth, *words[1:]]
        done = subprocess.run(argv, capture_output=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise Failure(f"serf {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout if raw else done.stdout.decode()

    def _try_members(self):
        try:
            return self.members()
        except (Failure, subprocess.TimeoutExpired):
            return None

    def members(self):
        """name -> {"status", "tags", "addr"}."""
        table = json.loads(self.command("members", "-format=json"))
        return {m["name"]: m for m in table["members"]}

    def status_of(self, node):
        member = (self._try_members() or {}).get(node)
        return member["status"] if member else None

    def wait_status(self, node, status, timeout):
        return wait_until(lambda: self.status_of(node) == status, timeout, f"{self.name} sees {node} as {status}",
                          every=0.1)

    def query(self, name, payload="", tags=None, timeout="2s"):
        """node -> answer as bytes."""
        words = ["query", "-no-ack", f"-timeout={timeout}"]
        words += [f"-tag={k}={v}" for k, v in (tags or {}).items()]
        # The text format: the JSON one replaces bytes that are no UTF-8.
        text = self.command(*words, name, payload, raw=True)
        one = rb"^Response from '([^']*)': (.*?)\n(?=Response from '|Total Responses:)"
        found = re.finditer(one, text, re.M | re.S)
        return {m.group(1).decode(): m.group(2) for m in found}

    def stats(self):
        """serf's own figures, all as text: member_time, health_score, encrypted..."""
        return json.loads(self.command("info", "-format=json"))["serf"]

    def errors(self):
        """Of gossip; the agent's own command line hanging up (agent.ipc) says nothing about us."""
        return [line for line in self.log.text().splitlines()
                if ("[ERR]" in line and "agent.ipc" not in line) or re.search("panic|^fatal error|^goroutine", line)]

    def check_unharmed(self, may_say=None):
        """Nothing that it was sent has ended it, and it calls nothing an error but what `may_say` expects."""
        expected = AGENTS_MAY_SAY + (f"|{may_say}" if may_say else "")
        bad = [line for line in self.errors() if "[ERR]" not in line or not re.search(expected, line)]
        check(not bad, f"errors in the log of {self.name}: " + "\n".join(bad[:5]))
        status = self.program.process.poll()
        check(status in (None, 0, -signal.SIGKILL), f"the agent {self.name} has died: {status}")


# --- shoal
# -------------------------------------------------------------------------------------------------------------


class Shoal:
    """One `shoal -c FILE`. `start` after `kill` runs it again with the same file."""

    def __init__(self, scene, name, settings, env=None, inside=()):
        # Not the default places: several shoals of one role share a working directory and a /run here.
        own = {"control": {"socket": scene.path(f"{name}.control")}}
        if settings["role"] == "sidecar":
            own["gossip"] = {"snapshot_dir": scene.path(f"{name}.snapshots")}
        self.scene, self.name, self.settings, self.inside = scene, name, merged(own, settings), inside
        self.config = scene.path(f"{name}.toml")
        self.env, self.program = env, None
        bind = self.settings.get("rpc", {}).get("bind")
        self.rpc = int(bind.rsplit(":", 1)[1]) if bind else None
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(toml_text(self.settings))

    def start(self):
        check(self.program is None or not self.program.running(), f"{self.name} runs already")
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        env.update(self.env or {})
        self.program = self.scene.run(self.name, [*self.inside, SHOAL, "-c", self.config], env=env)
        return self

    def command(self, *words, timeout=20):
        """One of shoal's own commands, asked of this one; what it prints, or a Failure with its words."""
        argv = [*self.inside, SHOAL, *words, "--control-socket", self.settings["control"]["socket"]]
        done = subprocess.run(argv, capture_output=True, timeout=timeout, check=False, text=True)
        if done.returncode != 0:
            raise Failure(f"shoal {' '.join(words)} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def members(self):
        """name -> {"status", "tags", "addr"}, as SerfAgent's."""
        table = json.loads(self.command("members", "-o", "json"))["members"]
        for m in table:
            m["addr"] = f"[{m['addr']}]:{m['port']}" if ":" in m["addr"] else f"{m['addr']}:{m['port']}"
        return {m["name"]: m for m in table}

    def status_of(self, node):
        try:
            return self.members().get(node, {}).get("status")
        except Failure:
            return None  # Its control socket is not there yet.

    def wait_status(self, node, status, timeout):
        return wait_until(lambda: self.status_of(node) == status, timeout, f"{self.name} sees {node} as {status}",
                          every=0.1)

    @property
    def log(self):
        return Log(self.scene.path(f"{self.name}.log"))

    @property
    def pid(self):
        return self.program.pid

    def running(self):
        return self.program.running()

    def kill(self):
        self.program.kill()

    def signal(self, number):
        self.program.signal(number)

    def wait(self, timeout):
        return self.program.wait(timeout)

    def stop(self, timeout=40):
        return self.program.stop(timeout)


class Worker:
    """What worker.py has written about itself."""

    def __init__(self, path):
        self.log = Log(path)

    def lines(self, event=None):
        out = []
        for line in self.log.text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # Half written at the moment of a kill.
            if event is None or entry["event"] == event:
                out.append(entry)
        return out

    def first(self, event):
        return next(iter(self.lines(event)), None)

    def wait_for(self, event, timeout=10):
        return wait_until(lambda: self.first(event), timeout, f"{event} in {os.path.basename(self.log.path)}")

    @property
    def pid(self):
        return self.wait_for("start")["pid"]


class Scene:
    """Everything that one test starts, and the folder of its files. Whoever makes one closes it."""

    key = None  # Of all gossip in it, unless a member is given another.

    def __init__(self):
        become_subreaper()
        self.dir = tempfile.mkdtemp(prefix="shoal-test-")
        self.programs, self.agents = [], []

    @property
    def keys(self):
        return [base64.b64decode(self.key)] if self.key else []

    def gossip(self, **settings):
        """[gossip] of a member of this scene."""
        return {**settings, **({"key": self.key} if self.key else {})}

    def path(self, name):
        return os.path.join(self.dir, name)

    def run(self, name, argv, env=None):
        program = Program(self, name, argv, env)
        self.programs.append(program)
        return program

    def say(self, text):
        """A figure for the reader of the run; no test depends on it."""
        print(f"note {text}", flush=True)

    def haproxy(self, **options):
        return HAProxy(self, **options).start()

    def sidecar(self, haproxy=None, name="proxy", socket_path=None, more=None, start=True):
        settings = merged({
            "role": "sidecar",
            "node": {"name": name},
            "gossip": self.gossip(bind=f"127.0.0.1:{free_port()}", profile="local"),
            "haproxy": {"socket": [socket_path or haproxy.socket], "backend": POOL,
                        "grace": f"{GRACE_SECONDS}s", "reconcile_interval": "1s"},
            "log": {"level": "debug", "format": "json"},
        }, more)
        shoal = Shoal(self, name, settings)
        shoal.gossip = settings["gossip"]["bind"]
        shoal.port = int(shoal.gossip.rsplit(":", 1)[1])
        return shoal.start() if start else shoal

    def member(self, name, join=(), key=None, profile="lan", more=None, start=True):
        """A shoal that is nothing but a member: a sidecar whose HAProxy has not come yet."""
        gossip = {"join": [j if isinstance(j, str) else j.gossip for j in join], "profile": profile}
        gossip.update({"key": key} if key else {})
        return self.sidecar(name=name, socket_path=self.path("no-haproxy.sock"), more=merged({"gossip": gossip}, more),
                            start=start)

    def task(self, join, name, worker=(), more=None, start=True, env=None):
        """A task with worker.py as its worker; `worker` are further words for it."""
        seeds = [join.gossip] if isinstance(join, Shoal) else list(join)
        log = self.path(f"{name}.worker")
        settings = merged({
            "role": "task",
            "node": {"name": name},
            "gossip": self.gossip(bind=f"127.0.0.1:{free_port()}", join=seeds, profile="local"),
            "task": {"backend": POOL, "listen": "127.0.0.1:0", "drain_timeout": "20s"},
            "worker": {"command": [PYTHON, os.path.join(HERE, "worker.py"), "--name", name, "--log", log,
                                   *map(str, worker)],
                       "ready": "auto"},
            "log": {"level": "debug", "format": "json"},
        }, more)
        shoal = Shoal(self, name, settings, env)
        shoal.gossip, shoal.worker = settings["gossip"]["bind"], Worker(log)
        shoal.port = int(shoal.gossip.rsplit(":", 1)[1])
        return shoal.start() if start else shoal

    def agent(self, name, **options):
        return SerfAgent(self, name, **options)

    def logs(self):
        """The tails of all logs, for a failed test."""
        out = []
        for path in sorted(os.listdir(self.dir)):
            if path.endswith((".log", ".worker")):
                out.append(f"  --- {path}\n{Log(self.path(path)).tail()}")
        return "\n".join(out)

    def check_unharmed(self, agents_may_say=None):
        """At the end of each test: no agent says or shows that it was harmed, and nothing of ours has crashed."""
        for agent in self.agents:
            agent.check_unharmed(agents_may_say)
        for program in self.programs:
            status = program.process.poll()
            check(status is None or -status not in CRASHES, f"{program.name} has ended by signal {-(status or 0)}")

    def close(self, remove=False):
        """Ends everything. With `remove`, takes the files away too."""
        for program in reversed(self.programs):
            if program.running():
                program.kill()
            program._out.close()
        for _ in range(100):  # Orphans came to us because we are the subreaper; end those too.
            left = [pid for pid in children_of(os.getpid()) if is_running(pid)]
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.02)
        if remove:
            shutil.rmtree(self.dir, ignore_errors=True)


def http_get(port, path="/", timeout=5):
    """(status, headers in lower case, body) of one GET on a fresh connection; raises OSError when there is no
    answer."""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while part := s.recv(65536):
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        raise OSError("no HTTP answer")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split()[1]), headers, body.decode("utf-8", "replace")


def test(seconds=60, alone=False, agents_may_say=None, also_encrypted=False):
    """Marks a test: its time limit; whether it must run with nothing beside it (it measures, or needs both cores);
    what, as a regular expression, it makes stock agents call an error; whether it runs once more with encrypted gossip,
    under its name and `_encrypted`."""
    def mark(function):
        function.shoal_test = {"seconds": seconds, "alone": alone, "agents_may_say": agents_may_say,
                               "also_encrypted": also_encrypted}
        return function
    return mark


if __name__ == "__main__":
    sys.exit("harness.py is a library; run test/interop/run.py")
