"""packaging/ecs: task definitions that ECS takes and whose settings shoal takes, and Terraform in which every name that
is used is declared. Neither AWS nor Terraform is there to be asked."""
import copy
import json
import os
import re
import subprocess

import hcl
from ecs_schema import problems
from harness import POOL, ROOT, SHOAL, Log, check, children_of, free_port, test, wait_until

ECS = os.path.join(ROOT, "packaging", "ecs")
FILES = sorted(name for name in os.listdir(ECS) if name.endswith(".json"))
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
VALUES = {
    "region": "eu-central-1", "execution_role_arn": "arn:aws:iam::123456789012:role/execution",
    "gossip_key_arn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key-a1b2c3",
    "changed_key_arn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:new-a1b2c3", "log_group": "/ecs/shoal",
    "seed": "haproxy.shoal.internal", "pool": POOL, "haproxy_image": "shoal-haproxy", "shoal_image": "shoal",
    "worker_image": "worker", "worker_program": "/app/server"}


def text_of(name):
    with open(os.path.join(ECS, name), encoding="utf-8") as f:
        return f.read()


def definition(name, **values):
    """The file with its values filled in, as envsubst and Terraform's templatefile do it."""
    return json.loads(re.sub(r"\$\{(\w+)\}", lambda found: {**VALUES, **values}[found.group(1)], text_of(name)))


def runs_shoal(container):
    return any("shoal" in word for word in container["entryPoint"])


def arguments(container):
    """What shoal itself gets, whatever stands in front of it."""
    words = container["entryPoint"] + container.get("command", [])
    return words[words.index("/usr/bin/shoal") + 1:]


def environment(container, **more):
    env = {"PATH": os.environ["PATH"], **{v["name"]: v["value"] for v in container.get("environment", [])}}
    return {**env, **{secret["name"]: KEY for secret in container.get("secrets", [])}, **more}


def config(what, container):
    """`shoal config check|print` with the container's environment and command."""
    return subprocess.run([SHOAL, "config", what, "-o", "json", *arguments(container)], env=environment(container),
                          capture_output=True, text=True, check=False, timeout=10)


def in_force(container):
    out = config("print", container).stdout
    return {key: entry["value"] for key, entry in json.loads(out).items()}


def seconds(duration):
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h)", duration))


def of_shoal(task):
    """What shoal would not take, or would not be well with."""
    found = []
    for one in task["containerDefinitions"]:
        name, stop = one["name"], one.get("stopTimeout", 30)
        if one.get("readonlyRootFilesystem") is not True or one.get("user", "root").split(":")[0] in ("root", "0"):
            found.append(f"{name}: it needs neither root nor a root file system to write to")
        if not runs_shoal(one):
            continue
        checked = json.loads(config("check", one).stdout or "{}")
        if not checked.get("ok") or checked["warnings"]:
            found.append(f"{name}: {checked or config('check', one).stderr}")
            continue
        values = in_force(one)
        given, drain = seconds(values["task.stop_timeout"]), seconds(values["task.drain_timeout"])
        if given > stop:
            found.append(f"{name}: stopTimeout {stop} s is less than task.stop_timeout {given:g} s")
        if drain > given - 2:
            found.append(f"{name}: task.drain_timeout {drain:g} s is cut by task.stop_timeout {given:g} s")
        # A process 1 above shoal would pass signals to it and reap in its place; nothing is gained.
        if one.get("linuxParameters", {}).get("initProcessEnabled") is not False:
            found.append(f"{name}: shoal is process 1 itself")
        health = one.get("healthCheck")
        if health is not None:
            if health["command"] != ["CMD", "/usr/bin/shoal", "health"]:
                found.append(f"{name}: healthCheck.command {health['command']}")
            ready = seconds(values.get("worker.ready_timeout", "0s"))
            if ready and health["startPeriod"] < ready:
                found.append(f"{name}: startPeriod {health['startPeriod']} s is less than worker.ready_timeout")
    return found


@test(seconds=60)
def test_the_task_definitions_are_what_ecs_takes_and_their_settings_what_shoal_takes(scene):
    check(len(FILES) >= 6, f"only {FILES}")
    for name in FILES:
        task = definition(name)
        check(not problems(task), f"{name}: {problems(task)}")
        check(not of_shoal(task), f"{name}: {of_shoal(task)}")
        # envsubst would fill in `$NAME` too, and Terraform takes `%{` for its own.
        check("$" not in json.dumps(task) and "%{" not in json.dumps(task), f"{name} has a $ that is no value")
    # A sidecar that ends takes no HAProxy along, at the first time.
    sidecar = definition("haproxy-task-two-containers.json")["containerDefinitions"][0]
    check(runs_shoal(sidecar) and sidecar.get("restartPolicy", {}).get("enabled") is True, f"{sidecar['name']}")
    # HAProxy's own end of a stop fits in as well.
    with open(os.path.join(ROOT, "packaging", "haproxy.cfg"), encoding="utf-8") as f:
        hard_stop = seconds(re.search(r"hard-stop-after (\S+)", f.read()).group(1))
    for name in ("haproxy-task.json", "haproxy-task-two-containers.json"):
        stop = next(c for c in definition(name)["containerDefinitions"] if c["name"] == "haproxy")["stopTimeout"]
        check(stop >= hard_stop + 10, f"{name}: stopTimeout {stop} s, hard-stop-after {hard_stop:g} s")


def changed(task, path, value):
    """A copy in which the entry at `path` (words and numbers, joined by /) is another, or None: gone."""
    out = copy.deepcopy(task)
    *way, last = [int(word) if word.isdigit() else word for word in path.split("/")]
    entry = out
    for word in way:
        entry = entry[word]
    if value is None:
        del entry[last]
    else:
        entry[last] = value
    return out


C = "containerDefinitions/0/"
BROKEN = [  # (file, where, what stands there instead, what has to be said)
    ("worker-task.json", "networkmode", "awsvpc", "no such field"),
    ("worker-task.json", C + "stoptimeout", 60, "no such field"),
    ("worker-task.json", C + "healthCheck/period", 5, "no such field"),
    ("worker-task.json", "family", None, "missing"),
    ("worker-task.json", C + "healthCheck/command", None, "missing"),
    ("worker-task.json", "cpu", 256, "is no str"),
    ("worker-task.json", C + "stopTimeout", "60", "is no integer"),
    ("worker-task.json", C + "essential", "true", "is no bool"),
    ("worker-task.json", C + "command", "task", "not a list"),
    ("worker-task.json", C + "environment/0/value", 1, "is no str"),
    ("worker-task.json", C + "portMappings/0/protocol", "TCP", "is none of"),
    ("worker-task.json", C + "healthCheck/interval", 4, "not within 5 and 300"),
    ("worker-task.json", C + "healthCheck/timeout", 61, "not within 2 and 60"),
    ("worker-task.json", C + "healthCheck/retries", 0, "not within 1 and 10"),
    ("worker-task.json", C + "healthCheck/startPeriod", 301, "not within 0 and 300"),
    ("worker-task.json", C + "healthCheck/command", ["/usr/bin/shoal", "health"], "neither CMD nor"),
    ("worker-task.json", "memory", "4096", "no size of Fargate"),
    ("worker-task.json", "networkMode", "bridge", "Fargate has awsvpc alone"),
    ("worker-task.json", C + "stopTimeout", 121, "more than Fargate's 120"),
    ("worker-task.json", C + "ulimits/0/name", "nproc", "cannot be set on Fargate"),
    ("worker-task.json", C + "linuxParameters/maxSwap", 1, "not on Fargate"),
    ("worker-task.json", C + "portMappings/0/hostPort", 80, "cannot differ"),
    ("worker-task.json", C + "portMappings", [{"containerPort": 7947, "protocol": p} for p in ("tcp", "udp")],
     "twice"),
    ("worker-task.json", C + "logConfiguration/options/awslogs-region", None, "awslogs-region is missing"),
    ("worker-task.json", "executionRoleArn", None, "need an executionRoleArn"),
    ("haproxy-task.json", "volumes", [], "no volume run-haproxy"),
    ("haproxy-task-two-containers.json", "containerDefinitions/1/dependsOn/0/containerName", "sidecar",
     "no container"),
    ("worker-task-ec2-host.json", C + "memory", None, "says how much"),
    ("worker-task-ec2-bridge.json", C + "portMappings/1/hostPort", 7951, "one fixed hostPort"),
    ("worker-task-ec2-bridge.json", C + "portMappings/0/hostPort", 51678, "is reserved"),
    # What ECS takes, and shoal does not.
    ("worker-task.json", C + "stopTimeout", 59, "is less than task.stop_timeout"),
    ("worker-task.json", C + "stopTimeout", None, "is less than task.stop_timeout"),
    ("worker-task.json", C + "environment/4/value", "120s", "is cut by task.stop_timeout"),
    ("worker-task.json", C + "environment/5/value", "91s", "startPeriod 90 s is less"),
    ("worker-task.json", C + "environment/0/name", "SHOAL_GOSSIP_JOINS", "SHOAL_GOSSIP_JOINS"),
    ("worker-task.json", C + "environment/2/value", "8080", "task.listen"),
    ("worker-task.json", C + "command", ["task", "--weights", "1", "--", "/app/server"], "--weights"),
    ("worker-task.json", C + "linuxParameters/initProcessEnabled", True, "shoal is process 1 itself"),
    ("worker-task.json", C + "readonlyRootFilesystem", False, "it needs neither root nor"),
    ("worker-task.json", C + "healthCheck/command", ["CMD-SHELL", "shoal health"], "healthCheck.command"),
]


@test(seconds=60)
def test_a_task_definition_with_a_mistake_is_found_to_have_it(scene):
    for name, path, value, said in BROKEN:
        task = changed(definition(name), path, value)
        found = problems(task) or of_shoal(task)
        check(any(said in problem for problem in found), f"{name} with {path} = {value!r}: {found}")
        check(len(found) <= 2, f"{name} with {path} = {value!r} is said to have more: {found}")


# ---- Terraform

# The arguments and nested blocks that packaging/ecs uses, as the provider documents them, a page for each resource:
# registry.terraform.io/providers/hashicorp/aws/latest/docs. What is exported and used: id, arn, name, dns_name.
ANYWHERE = {"for_each", "depends_on", "count", "content", "dynamic"}
ARGUMENTS = {
    "aws_cloudwatch_log_group": {"name", "retention_in_days"},
    "aws_ecs_cluster": {"name"},
    "aws_ecs_cluster_capacity_providers": {"cluster_name", "capacity_providers"},
    "aws_service_discovery_private_dns_namespace": {"name", "vpc"},
    "aws_service_discovery_service": {"name", "dns_config", "namespace_id", "routing_policy", "dns_records", "type",
                                      "ttl", "health_check_custom_config", "failure_threshold"},
    "aws_iam_role": {"name_prefix", "assume_role_policy"},
    "aws_iam_role_policy": {"name_prefix", "role", "policy"},
    "aws_iam_role_policy_attachment": {"role", "policy_arn"},
    "aws_security_group": {"name_prefix", "description", "vpc_id"},
    "aws_vpc_security_group_ingress_rule": {"security_group_id", "description", "cidr_ipv4", "ip_protocol", "from_port",
                                            "to_port", "referenced_security_group_id"},
    "aws_vpc_security_group_egress_rule": {"security_group_id", "description", "cidr_ipv4", "ip_protocol"},
    "aws_lb": {"name", "internal", "load_balancer_type", "subnets", "security_groups",
               "enable_cross_zone_load_balancing"},
    "aws_lb_target_group": {"name", "port", "protocol", "target_type", "vpc_id", "deregistration_delay", "health_check",
                            "interval", "healthy_threshold", "unhealthy_threshold"},
    "aws_lb_listener": {"load_balancer_arn", "port", "protocol", "default_action", "type", "target_group_arn"},
    "aws_ecs_task_definition": {"family", "requires_compatibilities", "network_mode", "cpu", "memory",
                                "execution_role_arn", "container_definitions", "runtime_platform", "cpu_architecture",
                                "operating_system_family", "volume", "name"},
    "aws_ecs_service": {"name", "cluster", "task_definition", "desired_count", "launch_type",
                        "deployment_minimum_healthy_percent", "deployment_maximum_percent",
                        "health_check_grace_period_seconds", "wait_for_steady_state", "deployment_circuit_breaker",
                        "enable", "rollback", "network_configuration", "subnets", "security_groups", "assign_public_ip",
                        "service_registries", "registry_arn", "load_balancer", "target_group_arn", "container_name",
                        "container_port", "capacity_provider_strategy", "capacity_provider", "base", "weight"},
}
EXPORTED = {"id", "arn", "name", "dns_name"}
TERRAFORM = ("main.tf", "variables.tf", "outputs.tf")


def terraform():
    return "\n".join(text_of(name) for name in TERRAFORM)


def mistakes(text):
    """Names that nobody declares or nobody uses, arguments that the provider does not have."""
    try:
        top = hcl.parse(text)
    except hcl.Broken as broken:
        return [str(broken)]
    declared = {("var", b.labels[0]) for b in top.blocks if b.kind == "variable"}
    declared |= {tuple(b.labels) for b in top.blocks if b.kind == "resource"}
    declared |= {("data", *b.labels) for b in top.blocks if b.kind == "data"}
    declared |= {("local", name) for b in top.blocks if b.kind == "locals" for name in b.attributes}
    used, found = set(), []
    of_loop = {"path", "each"} | {b.labels[0] for b in top.all_blocks() if b.kind == "dynamic"}
    for block in top.all_blocks():
        for name, expression in block.attributes.items():
            for words in hcl.references(expression):
                if words[0] in of_loop:
                    continue
                length = 3 if words[0] == "data" else 2
                used.add(words[:length])
                if words[:length] not in declared:
                    found.append(f"{name}: nobody declares {'.'.join(words[:length])}")
                if words[0].startswith("aws_") and words[2:] and words[2] not in EXPORTED:
                    found.append(f"{name}: {'.'.join(words)} is exported by nothing")
    found += [f"nobody uses {'.'.join(name)}" for name in sorted(declared - used)
              if name[0] in ("var", "local", "data")]
    for resource in (b for b in top.blocks if b.kind == "resource"):
        known = ARGUMENTS.get(resource.labels[0], set()) | ANYWHERE
        names = {name for block in resource.all_blocks() for name in block.attributes}
        names |= {b.labels[0] if b.kind == "dynamic" else b.kind for b in list(resource.all_blocks())[1:]}
        found += [f"{'.'.join(resource.labels)} has no {name}" for name in sorted(names - known)]
    return found


@test(seconds=20)
def test_every_name_in_the_terraform_is_declared_and_the_mistakes_that_show_are_found(scene):
    text = terraform()
    check(not mistakes(text), f"{mistakes(text)}")
    for there, instead, said in (
            ("var.vpc_id", "var.vpc", "nobody declares var.vpc"),
            ("aws_lb.shoal.arn", "aws_lb.main.arn", "nobody declares aws_lb.main"),
            ("data.aws_region.here.id", "data.aws_region.current.id", "nobody declares data.aws_region.current"),
            ('"/ecs/${var.name}"', '"/ecs/${var.nam}"', "nobody declares var.nam"),
            ("aws_ecs_cluster.shoal.id", "aws_ecs_cluster.shoal.identity", "exported by nothing"),
            ("retention_in_days = var.log_days", "retention_in_days = 14", "nobody uses var.log_days"),
            ("desired_count   = var.worker_count", "desired_tasks = var.worker_count", "has no desired_tasks"),
            ("  deployment_circuit_breaker {", "  deployment_breaker {", "has no deployment_breaker"),
            ("    rollback = true\n  }\n", "    rollback = true\n", "}"),
            ("toset(var.client_cidrs)", "toset(var.client_cidrs", "closes nothing")):
        check(there in text, f"nothing to break: {there}")
        found = mistakes(text.replace(there, instead, 1))
        check(any(said in mistake for mistake in found), f"{instead}: {found}")


@test(seconds=20)
def test_the_terraform_fits_the_task_definitions_beside_it(scene):
    top = hcl.parse(terraform())
    blocks = {tuple(b.labels): b for b in top.blocks if b.kind == "resource"}
    local = next(b for b in top.blocks if b.kind == "locals").attributes
    files = {name: re.search(r'"\$\{path.module\}/(\S+)"', local[name]).group(1) for name in ("haproxy", "worker")}
    given = set(re.findall(r"(?m)(?:^|[{\n]) *(\w+) =(?!=)", local["values"].replace(" \n ", "\n")))
    needed = {value for file in files.values() for value in re.findall(r"\$\{(\w+)\}", text_of(file))}
    check(given == needed, f"given {given - needed} for nothing, missing {needed - given}")
    service = blocks["aws_ecs_service", "haproxy"]
    target = next(b for b in service.blocks if b.kind == "load_balancer").attributes
    container = next(c for c in definition(files["haproxy"])["containerDefinitions"]
                     if f'"{c["name"]}"' == target["container_name"])
    ports = [p["containerPort"] for p in container["portMappings"]]
    # A port that is there for two protocols could stand in no service.
    check(ports.count(int(target["container_port"])) == 1, f"{target} of {ports}")
    worker = definition(files["worker"])["containerDefinitions"][0]
    listens = dict((v["name"], v["value"]) for v in worker["environment"])["SHOAL_TASK_LISTEN"].split(":")[1]
    ports = next(b for b in top.blocks if b.kind == "variable" and b.labels == ["worker_ports"]).attributes["default"]
    check(re.findall(r"\d+", ports) == [listens, listens], f"the worker listens on {listens}, open is {ports}")
    gossip = blocks["aws_vpc_security_group_ingress_rule", "gossip"].attributes
    check((gossip["from_port"], gossip["to_port"]) == ("7946", "7999"), f"gossip's ports: {gossip}")
    paths = local["gossip_paths"]
    check(paths.count('[ "haproxy" , "worker" ]') == 2 and '[ "tcp" , "udp" ]' in paths,
          f"gossip is not open from everybody to everybody: {paths}")
    asked = {b.labels[0] for b in top.blocks if b.kind == "variable" and "default" not in b.attributes}
    shown = set(re.findall(r"(?m)^(\w+) +=", re.search(r"(?s)```hcl\n(.*?)```", document()).group(1)))
    check(asked == shown, f"docs/ecs.md shows {shown}, without a default are {asked}")
    # Time for a stop: HAProxy serves on while the load balancer lets go of it.
    delay = int(next(b for b in top.blocks if b.labels == ["deregistration_delay"]).attributes["default"])
    check(120 < delay <= 300, f"deregistration_delay {delay}: a network load balancer goes on for two minutes")
    check(blocks["aws_lb", "shoal"].attributes.get("enable_cross_zone_load_balancing") == "true", "zones are alone")
    # The role may read every secret that a definition names.
    role = blocks["aws_iam_role_policy", "gossip_key"].attributes["policy"]
    secrets = {re.sub(r"\W", "", s["valueFrom"]) for name in FILES
               for c in json.loads(text_of(name))["containerDefinitions"] for s in c.get("secrets", [])}
    check(len(secrets) == 2 and all(f"var.{name}" in role.replace(" ", "") for name in secrets), f"{secrets}: {role}")


# ---- what the definitions run

METADATA = {"Cluster": "shoal", "TaskARN": "arn:aws:ecs:eu-central-1:123456789012:task/shoal/0a1b", "PortMappings": [
    {"ContainerPort": 7950, "HostPort": 7950, "BindIp": "0.0.0.0", "Protocol": "udp"},
    {"ContainerPort": 8080, "HostPort": 9, "BindIp": "0.0.0.0", "Protocol": "udp"},
    {"ContainerPort": 80, "HostPort": 32770, "BindIp": "0.0.0.0", "Protocol": "tcp"},
    {"ContainerPort": 8080, "HostPort": 32769, "BindIp": "0.0.0.0", "Protocol": "tcp"}],
    "Networks": [{"NetworkMode": "bridge", "IPv4Addresses": ["172.17.0.2"]}],
    "MetadataFileStatus": "READY", "AvailabilityZone": "eu-central-1a", "HostPrivateIPv4Address": "10.77.0.5",
    "HostPublicIPv4Address": "203.0.113.7"}


def metadata_file(scene, **more):
    """As the ECS agent writes it, docs.aws.amazon.com/AmazonECS/latest/developerguide/metadata-file-format.html."""
    path = scene.path("ecs-container-metadata.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({**METADATA, **more}, f, indent="\t")
    return path


@test(seconds=30)
def test_a_bridge_task_learns_its_address_and_port_from_the_agents_file_or_says_what_is_missing(scene):
    container = definition("worker-task-ec2-bridge.json")["containerDefinitions"][0]
    program = os.path.join(ECS, "bridge-address")

    def tell(**env):
        words = [program, "sh", "-c", "echo $SHOAL_GOSSIP_ADVERTISE $SHOAL_TASK_ADVERTISE_PORT"]
        return subprocess.run(words, env=environment(container, **env), capture_output=True, text=True, check=False,
                              timeout=20)

    told = tell(ECS_CONTAINER_METADATA_FILE=metadata_file(scene))
    check(told.stdout.split() == ["10.77.0.5:7950", "32769"], f"{told.stdout}{told.stderr}")
    for env, said in (({}, "ECS_ENABLE_CONTAINER_METADATA=true"),
                      ({"SHOAL_TASK_LISTEN": "0.0.0.0:808"}, "no port mapping of the container port 808"),
                      ({"SHOAL_TASK_LISTEN": "0.0.0.0:7950"}, "no port mapping")):  # UDP alone.
        told = tell(**(env and {**env, "ECS_CONTAINER_METADATA_FILE": metadata_file(scene)}))
        check(told.returncode == 78 and said in told.stderr, f"{env}: {told.returncode}, {told.stderr}")
    # The agent is not done with the file yet.
    late = metadata_file(scene, MetadataFileStatus="", PortMappings=[])
    waiting = scene.run("late", [program, "env"], env=environment(container, ECS_CONTAINER_METADATA_FILE=late))
    wait_until(lambda: any(is_sleeping(pid) for pid in children_of(waiting.pid)), 10, "the script to wait")
    metadata_file(scene)
    check(waiting.wait(10) == 0 and "SHOAL_TASK_ADVERTISE_PORT=32769" in waiting.log.text(), waiting.log.text())


def document():
    with open(os.path.join(ROOT, "docs", "ecs.md"), encoding="utf-8") as f:
        return f.read()


def is_sleeping(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            return f.read().strip() == "sleep"
    except OSError:
        return False


@test(seconds=60)
def test_the_key_of_a_running_cluster_is_changed_by_the_task_that_is_for_it(scene):
    new = subprocess.run([SHOAL, "keygen"], capture_output=True, text=True, check=True).stdout.strip()
    haproxy = scene.haproxy()
    proxy = scene.sidecar(haproxy, more={"gossip": {"key": KEY}})
    task = scene.task([proxy.gossip], "a", more={"gossip": {"key": KEY}})
    haproxy.wait_in_rotation("a")
    container = definition("keys-task.json", seed=proxy.gossip)["containerDefinitions"][0]
    os.symlink(os.path.abspath(SHOAL), scene.path("shoal"))

    def step(words, key, changed_key):
        mark = Log(scene.path("keys.log")).mark()
        own = {"STEP": words} if words else {}
        done = scene.run("keys", [SHOAL, *arguments(container)], env=environment(
            container, PATH=f"{scene.dir}:{os.environ['PATH']}", SHOAL_GOSSIP_PROFILE="local", SHOAL_GOSSIP_KEY=key,
            SHOAL_GOSSIP_BIND=f"127.0.0.1:{free_port()}", CHANGED_KEY=changed_key, **own))
        check(done.wait(30) == 0, f"{words}: not 0")
        return done.log.text(mark)

    change, remove = (words for words in re.findall(r'"name": "STEP", "value": "([^"]+)"', document()))
    step(change, KEY, new)
    step(remove, new, KEY)
    # What the task does by itself: it counts, and no key gets into the log.
    ring = step(None, new, KEY)
    check("NODES PRIMARY\n3/3 3/3\n{" in ring and new not in ring, ring)
    check(haproxy.in_rotation("a") and proxy.status_of("a") == "alive", "the task is lost")
    check(task.stop(20) == 0 and "drained" in task.log.text(), "the task cannot talk to the sidecar any more")
