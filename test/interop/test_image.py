"""The images and the compose files, without an engine and without a registry: what packaging/image/build makes is
unpacked and run as PID 1 with a read-only root, a user of its own and no capability; the services of the compose files
run the same way on this machine's own HAProxy and python3, as their files say.

With SHOAL_STATIC_BIN (and SHOAL_STATIC_BIN_ARM64) the image is made of these; .ci/run names them in its release part.
"""
import ctypes
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess

import yaml
from container import Container, machine_root
from harness import (PYTHON, ROOT, SHOAL, HAProxy, check, http_get, own_network, runtime, servers_in, test,
                     wait_until)
from load import Load
from test_network import Hosts, no_namespaces
from test_pid1 import compiled_worker

_libc = ctypes.CDLL(None, use_errno=True)
PACKAGING = os.path.join(ROOT, "packaging")
STATIC = {"amd64": os.environ.get("SHOAL_STATIC_BIN"), "arm64": os.environ.get("SHOAL_STATIC_BIN_ARM64")}
STATIC = {architecture: program for architecture, program in STATIC.items() if program}


def test_of_the_image(**how):
    """A test for which a static program has to be there."""
    return test(**how) if "amd64" in STATIC else lambda function: function


def build_image(*words, **more):
    return subprocess.run([PYTHON, os.path.join(PACKAGING, "image", "build"), *words], capture_output=True, text=True,
                          check=False, timeout=30, **more)


def from_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def blob(layout, descriptor):
    """What a descriptor stands for; its digest and its size are looked at."""
    path = os.path.join(layout, "blobs", *descriptor["digest"].split(":"))
    with open(path, "rb") as f:
        data = f.read()
    check(descriptor["digest"] == "sha256:" + hashlib.sha256(data).hexdigest() and descriptor["size"] == len(data),
          f"{descriptor} is not what lies there")
    return data


class Dockerfile:
    """As much of one as ours have. `stages`: name -> [(instruction, rest)]; "last" is the image."""

    def __init__(self, *path):
        with open(os.path.join(PACKAGING, *path), encoding="utf-8") as f:
            text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", f.read()))
        stage = []
        self.stages = {"": stage}  # Before the first FROM.
        for line in filter(None, map(str.strip, text.splitlines())):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                stage = self.stages.setdefault(rest.rpartition(" AS ")[2] if " AS " in rest else "last", [])
            stage.append((word, rest.strip()))

    def all(self, word, stage="last"):
        return [rest for instruction, rest in self.stages[stage] if instruction == word]

    def one(self, word, default=None):
        found = self.all(word)
        check(len(found) == 1 or not found and default is not None, f"{len(found)} {word}")
        return found[0] if found else default

    def health(self):
        options, _, command = self.one("HEALTHCHECK").partition("CMD ")
        return dict(word[2:].split("=") for word in options.split()), json.loads(command)

    def defaults(self):
        """Of its arguments."""
        return dict(rest.split("=", 1) for rest in self.all("ARG", ""))


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1)) * 1_000_000_000


# --- the image of packaging/image/build
# ------------------------------------------------------------------------------


@test_of_the_image(seconds=60)
def test_image_is_made_alike_twice_and_is_what_the_dockerfile_says(scene):
    programs = [word for architecture, program in STATIC.items() for word in ("--program", f"{architecture}={program}")]
    layout = scene.path("layout")
    done = build_image(*programs, "--output", layout)
    check(done.returncode == 0, done.stderr)
    for line in done.stdout.splitlines():
        scene.say(f"image for {line}")
    check(build_image(*programs, "--output", scene.path("same.tar")).returncode == 0, "no archive")
    subprocess.run(["tar", "-xf", scene.path("same.tar"), "-C", scene.dir, "--one-top-level=same"], check=True)
    same = subprocess.run(["diff", "-r", layout, scene.path("same")], capture_output=True, text=True, check=False)
    check(same.returncode == 0, same.stdout)

    index = json.loads(blob(layout, from_json(f"{layout}/index.json")["manifests"][0]))
    check([m["platform"]["architecture"] for m in index["manifests"]] == list(STATIC), f"{index}")
    recipe = Dockerfile("Dockerfile")
    options, command = recipe.health()
    labels = shlex.split(recipe.one("LABEL"))
    for manifest in index["manifests"]:
        inner = json.loads(blob(layout, manifest))
        config = json.loads(blob(layout, inner["config"]))
        blob(layout, inner["layers"][0])
        check(config["architecture"] == manifest["platform"]["architecture"] and config["os"] == "linux", f"{config}")
        wanted = {
            "User": recipe.one("USER"), "WorkingDir": recipe.one("WORKDIR"), "StopSignal": recipe.one("STOPSIGNAL"),
            "Entrypoint": json.loads(recipe.one("ENTRYPOINT")), "Env": recipe.all("ENV"),
            "ExposedPorts": {port: {} for port in recipe.one("EXPOSE").split()},
            "Labels": dict(word.split("=", 1) for word in labels),
            "Healthcheck": {"Test": ["CMD", *command], "Interval": seconds(options["interval"]),
                            "Timeout": seconds(options["timeout"]), "Retries": int(options["retries"]),
                            "StartPeriod": seconds(options["start-period"])}}
        check(config["config"] == wanted, f"the Dockerfile says {wanted}, the image {config['config']}")
    check(wanted["User"] == "65532:65532" and wanted["Entrypoint"] == ["/usr/bin/shoal"], f"{wanted}")
    said = subprocess.run([STATIC["amd64"], "version"], capture_output=True, text=True, check=True).stdout
    check(wanted["Labels"]["org.opencontainers.image.version"] in said, f"the version is {said}")


@test_of_the_image(seconds=60)
def test_image_holds_these_files_and_refuses_programs_that_could_not_run_in_it(scene):
    root, _ = unpacked(scene, "only")
    found = {}
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            found[os.path.relpath(path, root)] = f"{info.st_mode & 0o7777:o} {info.st_uid}:{info.st_gid}"
    writable = {path: mode for path, mode in found.items() if mode != "755 0:0"}
    check(writable == {"etc/passwd": "644 0:0", "etc/group": "644 0:0", "run/shoal": "755 65532:65532",
                       "tmp": "1777 0:0", "usr/share/doc/shoal/LICENSE": "644 0:0",
                       "usr/share/doc/shoal/LICENSE.third-party": "644 0:0", "var/run": "777 0:0",
                       "var/lib/shoal": "755 65532:65532"}, f"{writable}")
    programs = [path for path in found if os.path.isfile(os.path.join(root, path)) and found[path] == "755 0:0"]
    check(programs == ["usr/bin/shoal"], f"{programs}")
    # The Dockerfile has its files from the same place.
    laid = scene.path("laid")
    done = build_image("--program", f"amd64={STATIC['amd64']}", "--root", laid)
    same = subprocess.run(["diff", "-r", "--no-dereference", root, laid], capture_output=True, text=True, check=False)
    check(done.returncode == 0 and same.returncode == 0, done.stderr + same.stdout)

    alone = shutil.copy(STATIC["amd64"], scene.path("shoal"))
    for words, why in ((["amd64=/usr/sbin/haproxy"], "needs shared libraries"), (["amd64=/etc/passwd"], "no 64-bit"),
                       ([f"arm64={STATIC['amd64']}"], "is not for arm64"), (["amd64=/no"], "No such file"),
                       ([f"amd64={alone}"], "LICENSE.third-party is not there"),
                       (["riscv=/bin/true"], "unknown architecture"),
                       ([f"amd64={STATIC['amd64']}"] * 2, "one program for each")):
        done = build_image(*[w for word in words for w in ("--program", word)], "--output", scene.path("refused"))
        check(done.returncode != 0 and why in done.stderr and not os.path.exists(scene.path("refused")),
              f"{words}: {done.returncode} {done.stderr}")


@test_of_the_image(seconds=30)
def test_image_holds_the_notices_and_licences_of_all_that_is_linked_into_its_program(scene):
    with open(os.path.join(ROOT, "test", "packages.sh"), encoding="utf-8") as f:
        wanted = set(re.findall(r"\S+-dev\b", re.search(r'BUILD_PACKAGES="([^"]*)"', f.read()).group(1)))
    wanted |= {"libc6-dev", "libgcc-dev", "libstdc++-dev"}  # With the compiler.
    for architecture, program in STATIC.items():
        layout = scene.path(architecture)
        check(build_image("--program", f"{architecture}={program}", "--output", layout).returncode == 0, "no image")
        subprocess.run(["umoci", "unpack", "--image", f"{layout}:latest", scene.path(f"{architecture}.bundle")],
                       check=True, capture_output=True)
        with open(scene.path(f"{architecture}.bundle/rootfs/usr/share/doc/shoal/LICENSE.third-party"),
                  encoding="utf-8") as f:
            text = f.read()
        titles = dict(re.findall(r"(?ms)^={100}\n(.*?)\n={100}\n\n(.*?)(?=^={100}\n|\Z)", text))
        packages = {re.sub(r"(-\d+)?-dev(-arm64-cross)?$", "-dev", line.split()[0])
                    for title in titles for line in title.splitlines() if line.endswith(")")}
        check(packages == wanted, f"{architecture}: {packages} are told, {wanted} are in the program")
        named = set(re.findall(r"common-licenses/((?:L?GPL|Apache)(?:-[\d.]*\d)?)", text))
        told = {name for title in titles for name in title.split(", ")}
        check(named and named <= told, f"{architecture}: {named - told} are named and not there")
        empty = [title for title, body in titles.items() if "opyright" not in body]
        check(not empty, f"{architecture}: nothing about {empty}")


def unpacked(scene, name):
    """The image as somebody else's tool unpacks it for a runtime: its root and its `process`."""
    layout = scene.path("image")
    if not os.path.exists(layout):
        check(build_image("--program", f"amd64={STATIC['amd64']}", "--output", layout).returncode == 0, "no image")
    bundle = scene.path(f"{name}.bundle")
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:latest", bundle], check=True, capture_output=True)
    return os.path.join(bundle, "rootfs"), from_json(os.path.join(bundle, "config.json"))["process"]


def from_image(scene, name, words, env, **more):
    root, process = unpacked(scene, name)
    user = [process["user"]["uid"], process["user"]["gid"]]
    return Container(scene, name, root, process["args"] + words, user, env=env, cwd=process["cwd"], **more)


@test_of_the_image(seconds=60)
def test_image_runs_both_roles_as_pid_1_with_a_read_only_root_and_no_capability(scene):
    if not own_network():
        scene.say("not run: this machine lets nobody make namespaces")
        return
    haproxy = HAProxy(scene)
    os.mkdir(scene.path("admin"))
    haproxy.socket = scene.path("admin/admin.sock")
    haproxy.configure()
    haproxy.start()
    os.chown(haproxy.socket, 0, 65532)
    os.chmod(haproxy.socket, 0o660)
    settings = {"SHOAL_GOSSIP_PROFILE": "local", "SHOAL_LOG_LEVEL": "debug"}
    sidecar = from_image(scene, "sidecar", ["sidecar", "--haproxy-backend", "web"], settings,
                         binds={scene.path("admin"): "/run/haproxy"})
    task = from_image(scene, "task", ["task", "--join", "127.0.0.1", "--backend", "web", "--", "/worker"],
                      {**settings, "SHOAL_NODE_NAME": "contained"}, binds={compiled_worker(scene): "/worker"})
    _, check_of = Dockerfile("Dockerfile").health()
    haproxy.wait_in_rotation("contained")
    for one in (sidecar, task):
        one.check_confined()
        health = one.execute(check_of)
        check(health.returncode == 0 and "healthy" in health.stdout, f"{one.name}: {health}")
        check(one.log.find('"event":"control socket listens","socket":"@shoal/'), f"{one.name}: no abstract socket")
    check(sidecar.log.find("no snapshot is kept") and sidecar.log.find("HAProxy connected"), "the sidecar says else")
    check(http_get(haproxy.http_port)[0] == 200, "no answer")
    check(task.stop() == 0, "the task's status is not 0")
    check(task.log.find("^signal 15$") and task.log.find('"event":"drained"'), "no drain")
    check(not haproxy.in_rotation("contained"), "it is still in rotation")
    haproxy.kill()
    check(sidecar.stop() == 0, "the sidecar's status is not 0")


# --- the recipes and the compose files
# -------------------------------------------------------------------------------


def enter_network(hosts, host):
    """This test, and what it starts from now on. Before any thread is started."""
    with open(f"/run/netns/{hosts.names[host - 1]}", "rb") as f:
        check(_libc.setns(f.fileno(), 0) == 0, os.strerror(ctypes.get_errno()))


# What our recipes stand on, and the one foreign image that a compose file runs as it is: its own entry script runs
# `haproxy ...` as it stands.
BASES = {"debian:bookworm-slim", "python:3-slim", "scratch", "shoal"}
FOREIGN = {"haproxy:lts": {"user": [99, 99], "entry": [], "binds": {}, "health": None, "cwd": "/var/lib/haproxy"}}
USERS = {"haproxy": [99, 99]}


def image_of(recipe, context):
    """What a recipe makes of its base: `user`, `entry`, `command`, `health`, and `binds` in the place of its COPY."""
    binds = {}
    for rest in recipe.all("COPY"):
        *sources, target = rest.split()
        if sources[0].startswith("--from="):
            continue
        binds.update({os.path.join(context, s): target + os.path.basename(s) if target.endswith("/") else target
                      for s in sources})
    user = recipe.all("USER")[-1]
    return {"user": USERS.get(user) or [int(n) for n in user.split(":")], "binds": binds,
            "entry": json.loads(recipe.one("ENTRYPOINT")), "command": json.loads(recipe.one("CMD", "[]")),
            "health": recipe.health()[1], "cwd": recipe.one("WORKDIR", "/")}


class Compose:
    """The services of a compose file, each run as the file and its image's recipe say, on a bridge, where a service is
    reached by its name."""

    def __init__(self, scene, name, places):
        """`places`: service -> its first host."""
        self.scene, self.folder = scene, os.path.dirname(os.path.join(PACKAGING, name))
        with open(os.path.join(PACKAGING, name), encoding="utf-8") as f:
            self.file = yaml.safe_load(f)
        self.services, self.places = self.file["services"], places
        self.volumes = {}
        for volume, told in self.file.get("volumes", {}).items():
            options = dict(word.split("=") for word in told["driver_opts"]["o"].split(","))
            path = self.volumes[volume] = scene.path(f"volume-{volume}")
            os.mkdir(path)
            os.chown(path, int(options["uid"]), int(options["gid"]))
            os.chmod(path, int(options["mode"], 8))

    def image(self, service):
        told = self.services[service]
        if "build" in told:
            context = os.path.join(self.folder, told["build"]["context"])
            recipe = Dockerfile(os.path.relpath(os.path.join(context, told["build"]["dockerfile"]), PACKAGING))
            return image_of(recipe, context)
        if told["image"] == "shoal":
            return {**image_of(Dockerfile("Dockerfile"), ROOT), "binds": {}}
        return FOREIGN[told["image"]]

    def up(self, hosts, service, number=1, user=None, name=""):
        told, image, name = self.services[service], self.image(service), name or f"{service}{number}"
        root, binds = machine_root(self.scene, name)
        binds.update({os.path.abspath(SHOAL): "/usr/bin/shoal", **image["binds"]})
        writable = []
        for word in told.get("volumes", []):
            source, target = word.split(":")[:2]
            source = self.volumes.get(source) or os.path.normpath(os.path.join(self.folder, source))
            check(os.path.exists(source), f"{word}: there is no {source}")
            binds[source] = target
            writable += [] if word.endswith(":ro") else [source]
        env = {**told.get("environment", {}), "SHOAL_LOG_FORMAT": "json", "SHOAL_LOG_LEVEL": "debug",
               "SHOAL_GOSSIP_PROFILE": "local"}
        if user is None:
            user = [int(n) for n in told["user"].split(":")] if "user" in told else image["user"]
        check(told["read_only"] and told["cap_drop"] == ["ALL"], f"{service} may write or do too much")
        container = Container(
            self.scene, name, root, image["entry"] + (told.get("command") or image["command"]), user,
            binds=binds, writable=writable, tmpfs=dict(word.split(":") for word in told.get("tmpfs", [])), env=env,
            cwd=image["cwd"], network=hosts.on(self.places[service] + number - 1),
            hosts={other: f"10.77.0.{place}" for other, place in self.places.items()})
        container.health = image["health"]
        return container


def in_rotation(path):
    return sum(server.in_rotation for server in servers_in(path, "shoal") or [])


def wait_healthy(container):
    wait_until(lambda: container.execute(container.health).returncode == 0, 15, f"{container.name} healthy", every=0.1)


class HalfARequest:
    """A POST through HAProxy whose second half is still to come: in flight at the worker."""

    def __init__(self, path, port=8080):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 8\r\n\r\nhalf")
        wait_until(lambda: any("shoal-" in row and row.split(",")[4] == "1"
                               for row in runtime(path, "show stat shoal 4 -1").splitlines()), 5, "a request in flight")

    def rest(self):
        """The status of its answer."""
        self.socket.sendall(b"half")
        answer = self.socket.makefile("rb").readline()
        self.socket.close()
        return int(answer.split()[1]) if answer else None


@test(seconds=60)
def test_compose_haproxy_in_one_container_with_shoal_reloads_scales_and_stops_softly(scene):
    if no_namespaces(scene):
        return
    with Hosts(4) as hosts:
        compose = Compose(scene, "compose.yaml", {"haproxy": 1, "worker": 2})
        enter_network(hosts, 1)
        haproxy = compose.up(hosts, "haproxy")
        workers = [compose.up(hosts, "worker", number) for number in (1, 2)]
        admin = haproxy.path("/run/haproxy/admin.sock")
        wait_until(lambda: in_rotation(admin) == 2, 20, "two workers in rotation")
        for one in (haproxy, *workers):
            one.check_confined()
            wait_healthy(one)
        load = Load(8080, seconds=60, clients=4, pause_ms=10)
        workers.append(compose.up(hosts, "worker", 3))
        wait_until(lambda: in_rotation(admin) == 3, 20, "the third in rotation")
        haproxy.tell(signal.SIGHUP)
        haproxy.log.wait_for('"event":"HAProxy was replaced', 10)
        wait_until(lambda: in_rotation(admin) == 3, 20, "all of them after the reload")
        check(workers[0].stop() == 0, "a worker's task did not end with 0")
        result = load.result(stop_now=True)
        check(result["failed"] == 0 and result["ok"] > 50, f"{result}")
        half = HalfARequest(admin)
        haproxy.tell(signal.SIGTERM)
        haproxy.log.wait_for('"event":"stop of HAProxy requested"', 5)
        wait_until(lambda: not accepts(8080), 10, "no new connection")
        check(half.rest() == 200, "the request in flight was cut")
        check(haproxy.outer.wait(20) == 0, "HAProxy's container did not end with 0")
        scene.say(f"{result['ok']} requests through a scaling up, a reload and a scaling down, none failed")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True
    except ConnectionRefusedError:
        return False


@test(seconds=60)
def test_compose_haproxy_and_the_sidecar_in_two_containers_share_the_admin_socket(scene):
    if no_namespaces(scene):
        return
    with Hosts(4) as hosts:
        compose = Compose(scene, "compose/two-containers.yaml", {"sidecar": 1, "haproxy": 3, "worker": 4})
        enter_network(hosts, 3)
        admin = os.path.join(compose.volumes["admin"], "admin.sock")
        # Of another group: it says what is wrong, and drives nothing.
        stranger = compose.up(hosts, "sidecar", 2, user=[65532, 65532])
        haproxy = compose.up(hosts, "haproxy")
        wait_until(lambda: os.path.exists(admin), 10, "the admin socket")
        stranger.log.wait_for('"event":"HAProxy is away.*EACCES', 10)
        check(stranger.stop(signal.SIGQUIT) == 0, "it does not stop")

        sidecar, worker = compose.up(hosts, "sidecar"), compose.up(hosts, "worker")
        wait_until(lambda: in_rotation(admin) == 1, 20, "the worker in rotation")
        for one in (haproxy, sidecar, worker):
            one.check_confined()
        for one in (sidecar, worker):
            wait_healthy(one)
        info = os.stat(admin)
        check((info.st_uid, info.st_gid, info.st_mode & 0o777) == (99, 99, 0o660), f"{info}")
        check(os.stat(admin + ".shoal-lock").st_gid == 99, "no lock that the next sidecar could see")
        check(http_get(8080)[0] == 200, "no answer")
        # Each HAProxy is process 1 of its container: a new one looks like the old one.
        haproxy.kill()
        sidecar.log.wait_for('"event":"HAProxy is away', 10)
        haproxy = compose.up(hosts, "haproxy", name="haproxy-again")
        wait_until(lambda: in_rotation(admin) == 1, 20, "the worker in rotation again")
        half = HalfARequest(admin)
        haproxy.tell(getattr(signal, compose.services["haproxy"]["stop_signal"]))
        wait_until(lambda: not accepts(8080), 10, "no new connection")
        sidecar.tell(signal.SIGTERM)
        check(half.rest() == 200, "the request in flight was cut")
        check(haproxy.outer.wait(20) == 0 and sidecar.outer.wait(20) == 0, "not both ended with 0")


@test(seconds=60)
def test_recipes_name_only_what_is_there_and_copy_all_that_a_build_reads(scene):
    contexts = {"Dockerfile": ROOT, "haproxy.Dockerfile": PACKAGING, "compose/worker.Dockerfile": PACKAGING}
    for path, context in contexts.items():
        recipe = Dockerfile(path)
        declared = recipe.defaults()
        for stage, instructions in recipe.stages.items():
            for word, rest in instructions:
                if word == "FROM":
                    base = re.sub(r"\$\{(\w+)\}", lambda name: declared[name.group(1)], rest.split(" AS ")[0])
                    check(base.split()[-1] in BASES, f"{path}: FROM {rest}")
                if word == "COPY" and not rest.startswith("--from="):
                    gone = [w for w in rest.split()[:-1] if not os.path.exists(os.path.join(context, w))]
                    check(not gone, f"{path}: COPY of {gone}, which is not there")
        check(recipe.one("STOPSIGNAL") == "SIGTERM" and json.loads(recipe.one("ENTRYPOINT")) == ["/usr/bin/shoal"]
              and recipe.health() == Dockerfile("Dockerfile").health(), f"{path} is started, stopped or seen otherwise")
        check(recipe.all("USER")[-1] in {"65532:65532", "haproxy"}, f"{path} runs as {recipe.all('USER')[-1]}")
    # The packages of the build are those of every other build.
    build = Dockerfile("Dockerfile").stages["build"]
    packages, compile_it = (rest for word, rest in build if word == "RUN")
    check("apt" not in packages and "packages=$BUILD_PACKAGES" in packages and "need_packages $packages" in packages,
          packages)
    # What is copied is enough.
    copied = scene.path("src")
    for rest in (rest for word, rest in build if word == "COPY"):
        *sources, target = rest.split()
        for source in sources:
            source, to = os.path.join(ROOT, source), os.path.join(copied, target)
            if os.path.isdir(source):
                shutil.copytree(source, to, dirs_exist_ok=True)
            else:
                os.makedirs(to if target.endswith("/") else os.path.dirname(to), exist_ok=True)
                shutil.copy(source, to)
    words = shlex.split(re.match(r"(meson setup .*?) /build &&", compile_it).group(1).replace("$(cat /cross)", ""))
    done = subprocess.run([*words, scene.path("build"), copied], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")
    done = subprocess.run(["ninja", "-C", scene.path("build"), "-n"], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")


KEYS = {"image", "build", "command", "environment", "ports", "tmpfs", "volumes", "user", "read_only", "cap_drop",
        "security_opt", "stop_signal", "stop_grace_period", "depends_on"}


@test(seconds=30)
def test_compose_files_name_only_what_exists(scene):
    told = subprocess.run([SHOAL, "config", "reference", "-o", "json"], capture_output=True, check=True).stdout
    known = json.loads(told)
    variables = {setting["variable"] for setting in known}
    stop = next(s["default"] for s in known if s["key"] == "task.stop_timeout").strip('"')
    with open(os.path.join(PACKAGING, "haproxy.cfg"), encoding="utf-8") as f:
        bound = re.findall(r"(?m)^    bind :(\d+)", f.read())
    for name in ("compose.yaml", "compose/two-containers.yaml"):
        compose = Compose(scene, name, {})
        check(set(compose.file) <= {"name", "services", "volumes"}, f"{name}: {set(compose.file)}")
        for service, told in compose.services.items():
            image = compose.image(service)
            check(set(told) <= KEYS and "read_only" in told, f"{service}: {set(told) - KEYS}")
            check(set(told.get("depends_on", [])) <= set(compose.services), f"{service} depends on nobody")
            check(all(port.startswith("127.0.0.1:") for port in told.get("ports", [])), f"{service} is open to all")
            ports = {port.split(":")[-1] for port in told.get("ports", [])}
            check(ports <= set(bound), f"{service}: {ports}, and HAProxy binds {bound}")
            check(told["stop_grace_period"] == stop, f"{service} has not {stop} to stop")
            environment = told.get("environment", {})
            check(set(environment) <= variables, f"{service}: {set(environment) - variables}")
            seed = environment.get("SHOAL_GOSSIP_JOIN")
            check(seed in compose.services if "worker" in service else seed is None, f"{service} joins {seed}")
            words = image["entry"] + (told.get("command") or image["command"])
            if words[0] == "/usr/bin/shoal":
                said = subprocess.run([SHOAL, "config", "check", *words[1:]], capture_output=True, text=True,
                                      check=False, env=environment)
                check(said.returncode == 0, f"{service}: {said.stderr}")
