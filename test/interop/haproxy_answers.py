#!/usr/bin/python3
"""What a real HAProxy answers to the lines that shoal sends, as a text that can be compared.

    haproxy_answers.py > test/vectors/haproxy/VERSION.txt

One session in prompt mode, with a few words to the stage in between. In the text:

    # ...        a remark
    ! WORDS      something happens: a request begins at the backend or its answer is let go
    > LINE       a line to the socket
    < TEXT       its answer up to the prompt, one `<` for each line feed in it and one for what follows the last

What differs from run to run stands as `*`. test/sim/haproxy_model_test.cc plays the same lines to the simulator's
HAProxy, test_haproxy_answers.py to the installed one.
"""
import contextlib
import re
import socket
import subprocess
import sys
import threading
import time

from harness import HAProxy, Scene, check, wait_until

PLACE = 20001  # What the text says for the port of the stage's own backend.
BACKENDS = """backend api
    balance leastconn
    server fixed 127.0.0.1:1 weight 7
backend ring
    balance source
    server fixed 127.0.0.1:1
backend ringed
    balance source
    hash-type consistent
"""
# The one that is `default_backend`, named `web`, is the harness's.

STEPS = """
# What stands at the start.
show info
show cli level
experimental-mode on
show backend
show servers state
# A server comes in, as shoal brings it.
add server web/shoal-a-1 127.0.0.1:20001 weight 0 id 77 pool-max-conn -1 pool-purge-delay 5s
show servers state web
enable server web/shoal-a-1
show servers state web
set server web/shoal-a-1 weight 100
show servers state web
show stat web 4 77
# With a check.
add server api/shoal-c-1 [::1]:20001 weight 0 id 78 check inter 60s downinter 60s
show servers state api
enable health api/shoal-c-1
enable server api/shoal-c-1
set server api/shoal-c-1 health down
show servers state api
set server api/shoal-c-1 health up
set server api/shoal-c-1 weight 256
show servers state api
# Refusals.
add server web/shoal-a-1 127.0.0.1:20001 weight 0 id 79
add server web/shoal-b-1 127.0.0.1:20001 weight 0 id 77
add server none/shoal-b-1 127.0.0.1:20001 weight 0 id 80
add server ring/shoal-b-1 127.0.0.1:20001 weight 0 id 80
add server ringed/shoal-b-1 127.0.0.1:20001 weight 0 id 80
add server web/shoal-b-1 127.0.0.1:20001 weight 0 id 81 bogus
add server web/shoal-b-1 127.0.0.1:20001 weight 0 id 81 cookie x
enable health web/shoal-a-1
enable server web/none
enable server none/none
set server web/none weight 1
set server none/none weight 1
set server web/shoal-a-1 weight 257
set server web/shoal-a-1 state asleep
set server web/none state maint
del server web/none
del server none/none
del server web/shoal-a-1
del server api/fixed
show stat none 4 1
show stat web 4 999
show servers state none
# A request is under way while its server goes.
! request
show stat web 4 77
set server web/shoal-a-1 weight 0
show servers state web
set server web/shoal-a-1 state maint
show servers state web
show stat web 4 77
del server web/shoal-a-1
! answer
show stat web 4 77
del server web/shoal-a-1
set server web/shoal-a-1 state drain
show servers state web
set server web/shoal-a-1 state maint
! quiet web/shoal-a-1
del server web/shoal-a-1
del server web/shoal-a-1
show servers state web
# An operator's hands.
set server api/shoal-c-1 state drain
show servers state api
set server api/shoal-c-1 state maint
show servers state api
set server api/shoal-c-1 state ready
disable server api/shoal-c-1
show servers state api
enable server api/shoal-c-1
set server api/fixed weight 3
show servers state api
set server api/fixed weight 7
# Without an id HAProxy takes the lowest that is free; then this id is taken.
add server api/shoal-d-1 127.0.0.1:20001 weight 0
show servers state api
add server api/shoal-e-1 127.0.0.1:20001 weight 0 id 2
# Half of the state at a time: maintenance without weight 0 keeps the weight.
set server api/shoal-d-1 weight 5
set server api/shoal-d-1 state maint
show servers state api
del server api/shoal-d-1
set server api/shoal-c-1 state maint
del server api/shoal-c-1
del server ringed/shoal-b-1
show servers state
show info
""".strip().splitlines()

KEPT_INFO = ("Name", "Stopping", "Nbproc", "Process_num")
KEPT_STAT = ("pxname", "svname", "qcur", "scur", "status", "weight", "act", "bck", "pid", "sid", "type", "mode",
             "idle_conn_cur", "used_conn_cur", "addr")
STATE_TIME, STATE_CHECK_HEALTH = 9, 12


def masked_info(text):
    return re.sub(r"(?m)^([^:\n]+): ?(.*)$", lambda m: m[0] if m[1] in KEPT_INFO else f"{m[1]}: *", text)


def masked_table(text):
    rows = []
    for row in text.split("\n"):
        words = row.split(" ")
        if len(words) >= 19 and not row.startswith("#"):
            words[STATE_TIME] = words[STATE_CHECK_HEALTH] = "*"
        rows.append(" ".join(words))
    return "\n".join(rows)


def masked_stat(text):
    head = text.split("\n")[0][2:].split(",")
    rows = [text.split("\n")[0]]
    for row in text.split("\n")[1:]:
        values = row.split(",")
        if len(values) > 1:
            values = [v if name in KEPT_STAT or not v else "*" for name, v in zip(head, values)]
        rows.append(",".join(values))
    return "\n".join(rows)


def masked(command, answer):
    if command == "show info":
        return masked_info(answer)
    if command.startswith("show servers state"):
        return masked_table(answer)
    return masked_stat(answer) if command.startswith("show stat") and answer.startswith("#") else answer


class Backend:
    """Serves one keep-alive connection after another; holds each answer until it is let go."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.asked, self.let_go = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection, contextlib.suppress(OSError):  # The end of HAProxy resets it.
            while connection.recv(65536):
                self.asked.set()
                self.let_go.wait()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Session:
    """One connection to the socket, in prompt mode."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self.ask("prompt")

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n> "):
            part = self.socket.recv(65536)
            check(part, f"HAProxy closed after `{line}`: {answer!r}")
            answer += part
        return answer[:-3].decode()


def version():
    """The installed HAProxy's: `2.6.12-1+deb12u4`."""
    said = subprocess.run(["haproxy", "-v"], capture_output=True, check=True).stdout.decode()
    return said.split("version ")[1].split()[0]


def play(scene):
    """The whole text from the installed HAProxy."""
    haproxy = HAProxy(scene, extra_backends=BACKENDS)
    haproxy.start()
    backend, session, client = Backend(), Session(haproxy.socket), None

    def real(text):
        return text.replace(str(PLACE), str(backend.port))

    def said(text):
        return text.replace(str(backend.port), str(PLACE))

    def in_flight(number):
        return session.ask("show stat web 4 77").split("\n")[1].split(",")[4] == str(number)

    lines = []
    for step in STEPS:
        if step.startswith("#"):
            lines += ["", step]
        elif step == "! request":
            client = socket.create_connection(("127.0.0.1", haproxy.http_port), 5)
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            check(backend.asked.wait(5), "the request did not reach the backend")
            lines.append(step)
        elif step == "! answer":
            backend.let_go.set()
            check(client.recv(65536), "the request was not answered")
            wait_until(lambda: in_flight(0), 5, "the request's end")
            lines.append(step)
        elif step.startswith("! quiet"):
            client.close()
            time.sleep(0.2)  # HAProxy closes idle connections a moment after the maintenance.
            lines.append(step)
        else:
            answer = masked(step, said(session.ask(real(step))))
            lines.append("> " + step)
            lines += ["<" + (" " + line if line else "") for line in answer.split("\n")]
    return "\n".join(lines).strip() + "\n"


def main():
    scene = Scene()
    try:
        sys.stdout.write(f"# HAProxy {version()}, recorded by test/interop/haproxy_answers.py\n\n{play(scene)}")
    finally:
        scene.close(remove=True)


if __name__ == "__main__":
    main()
