#!/usr/bin/python3
"""into_container.py SPEC COMMAND...: what runs between an engine and the PID 1 of its container, and becomes that: it
mounts, makes the root read-only, drops every capability and the user. container.py starts it, in namespaces of its own,
with SPEC in JSON.
"""
import ctypes
import json
import os
import signal
import sys

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 32, 4096
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_DEVICES = ("null", "zero", "full", "random", "urandom")
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind="", flags=0, options=""):
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}: {os.strerror(ctypes.get_errno())}")


def bind(source, target, flags=0):
    """Makes the target as well, as an engine does."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "wb").close()
    mount(source, target, flags=_MS_BIND)
    if flags:
        mount("", target, flags=_MS_BIND | _MS_REMOUNT | flags)


def become(spec, command):
    root = spec["root"]
    bind(root, root)
    for source, target in spec["binds"].items():
        bind(source, root + target, _MS_RDONLY if source not in spec["writable"] else 0)
    for target, options in spec["tmpfs"].items():
        os.makedirs(root + target, exist_ok=True)
        mount("tmpfs", root + target, "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    for device in _DEVICES:
        bind(f"/dev/{device}", f"{root}/dev/{device}")
    os.makedirs(root + "/proc", exist_ok=True)
    mount("proc", root + "/proc", "proc")
    with open(f"{root}/etc/hosts", "w", encoding="ascii") as f:
        f.write("127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in spec["hosts"].items()))
    mount("", root, flags=_MS_BIND | _MS_REMOUNT | _MS_RDONLY)
    os.chroot(root)
    os.chdir(spec["cwd"])
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(spec["user"][1])
    os.setuid(spec["user"][0])
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # Of unshare --kill-child; another user is without it.
    os.execvpe(command[0], command, spec["env"])


if __name__ == "__main__":
    become(json.loads(sys.argv[1]), sys.argv[2:])
