"""What ECS takes as a task definition: the fields of RegisterTaskDefinition and the rules of its documentation, as far
as they can be told from the file alone. No AWS is asked.

The fields, types and enumerations are those of the API's own model (service ecs, 2014-11-13; compared with the copy in
botocore 1.29, what is newer added from [api]); limits and rules are those of these pages:

  [api]     docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html,
            API_ContainerDefinition.html, API_PortMapping.html, API_LinuxParameters.html, API_EphemeralStorage.html
  [health]  docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
  [stop]    API_ContainerDefinition.html, stopTimeout
  [size]    docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
  [fargate] docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
  [logs]    docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html

In the table: a type; a tuple of the strings that are allowed; a range of integers; [X], a list of X; {str: X}, a map;
a dict with a "!" behind the names that must be there.
"""

KEY_VALUES = [{"name": str, "value": str}]
SECRETS = [{"name!": str, "valueFrom!": str}]
CONTAINER = {
    "name!": str, "image!": str, "cpu": int, "memory": range(6, 1 << 31), "memoryReservation": range(6, 1 << 31),
    "essential": bool, "entryPoint": [str], "command": [str], "user": str, "workingDirectory": str, "hostname": str,
    "links": [str], "privileged": bool, "readonlyRootFilesystem": bool, "interactive": bool, "pseudoTerminal": bool,
    "disableNetworking": bool, "dnsServers": [str], "dnsSearchDomains": [str], "dockerSecurityOptions": [str],
    "credentialSpecs": [str], "startTimeout": range(2, 1 << 31), "stopTimeout": range(0, 1 << 31),
    "versionConsistency": ("enabled", "disabled"), "dockerLabels": {str: str},
    "environment": KEY_VALUES, "secrets": SECRETS, "systemControls": [{"namespace": str, "value": str}],
    "environmentFiles": [{"type!": ("s3",), "value!": str}],
    "extraHosts": [{"hostname!": str, "ipAddress!": str}],
    "mountPoints": [{"sourceVolume": str, "containerPath": str, "readOnly": bool}],
    "volumesFrom": [{"sourceContainer": str, "readOnly": bool}],
    "repositoryCredentials": {"credentialsParameter!": str},
    "resourceRequirements": [{"type!": ("GPU", "InferenceAccelerator"), "value!": str}],
    "restartPolicy": {"enabled!": bool, "ignoredExitCodes": [int], "restartAttemptPeriod": range(60, 1801)},
    "firelensConfiguration": {"type!": ("fluentd", "fluentbit"), "options": {str: str}},
    "dependsOn": [{"containerName!": str, "condition!": ("START", "COMPLETE", "SUCCESS", "HEALTHY")}],
    "portMappings": [{"containerPort": range(1, 65536), "hostPort": range(0, 65536), "protocol": ("tcp", "udp"),
                      "name": str, "appProtocol": ("http", "http2", "grpc"), "containerPortRange": str}],
    "ulimits": [{"name!": ("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
                           "rss", "rtprio", "rttime", "sigpending", "stack"),
                 "softLimit!": int, "hardLimit!": int}],
    "linuxParameters": {"initProcessEnabled": bool, "capabilities": {"add": [str], "drop": [str]},
                        "sharedMemorySize": int, "maxSwap": int, "swappiness": range(0, 101),
                        "tmpfs": [{"containerPath!": str, "size!": int, "mountOptions": [str]}],
                        "devices": [{"hostPath!": str, "containerPath": str,
                                     "permissions": [("read", "write", "mknod")]}]},
    "healthCheck": {"command!": [str], "interval": range(5, 301), "timeout": range(2, 61), "retries": range(1, 11),
                    "startPeriod": range(0, 301)},  # [health]
    "logConfiguration": {"logDriver!": ("awslogs", "awsfirelens", "splunk", "json-file", "syslog", "journald", "gelf",
                                        "fluentd"),
                         "options": {str: str}, "secretOptions": SECRETS},
}
VOLUME = {
    "name": str, "host": {"sourcePath": str}, "configuredAtLaunch": bool,
    "dockerVolumeConfiguration": {"scope": ("task", "shared"), "autoprovision": bool, "driver": str,
                                  "driverOpts": {str: str}, "labels": {str: str}},
    "efsVolumeConfiguration": {"fileSystemId!": str, "rootDirectory": str, "transitEncryption": ("ENABLED", "DISABLED"),
                               "transitEncryptionPort": range(0, 65536),
                               "authorizationConfig": {"accessPointId": str, "iam": ("ENABLED", "DISABLED")}},
}
TASK = {
    "family!": str, "containerDefinitions!": [CONTAINER], "volumes": [VOLUME], "taskRoleArn": str,
    "executionRoleArn": str, "networkMode": ("awsvpc", "bridge", "host", "none"), "cpu": str, "memory": str,
    "requiresCompatibilities": [("EC2", "FARGATE", "EXTERNAL")], "pidMode": ("host", "task"),
    "ipcMode": ("host", "task", "none"), "tags": [{"key": str, "value": str}], "enableFaultInjection": bool,
    "placementConstraints": [{"type": ("memberOf",), "expression": str}],
    "ephemeralStorage": {"sizeInGiB!": range(21, 201)},
    "runtimePlatform": {"cpuArchitecture": ("X86_64", "ARM64"), "operatingSystemFamily": ("LINUX",)},
    "proxyConfiguration": {"type": ("APPMESH",), "containerName!": str, "properties": KEY_VALUES},
}
FARGATE_SIZES = {  # [size] CPU units: MiB.
    256: (512, 1024, 2048), 512: range(1024, 4097, 1024), 1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024), 4096: range(8192, 30721, 1024), 8192: range(16384, 61441, 4096),
    16384: range(32768, 122881, 8192)}
FARGATE_STOP_MAX = 120  # [stop]
RESERVED_PORTS = {22, 2375, 2376, 51678, 51679, 51680}  # [api] PortMapping.hostPort
FIRST_EPHEMERAL_PORT = 32768
AWSLOGS_OPTIONS = {  # [logs]
    "awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group", "awslogs-datetime-format",
    "awslogs-multiline-pattern", "mode", "max-buffer-size"}


def of_schema(value, spec, where):
    """What is wrong with the value, a sentence each."""
    if isinstance(spec, list):
        if not isinstance(value, list):
            return [f"{where}: not a list"]
        return [p for i, entry in enumerate(value) for p in of_schema(entry, spec[0], f"{where}[{i}]")]
    if isinstance(spec, tuple):
        return [] if value in spec else [f"{where}: {value!r} is none of {', '.join(spec)}"]
    if isinstance(spec, range):
        if isinstance(value, bool) or not isinstance(value, int):
            return [f"{where}: {value!r} is no integer"]
        return [] if value in spec else [f"{where}: {value} is not within {spec[0]} and {spec[-1]}"]
    if isinstance(spec, type):
        right = isinstance(value, spec) and (spec is bool or not isinstance(value, bool))
        return [] if right else [f"{where}: {value!r} is no {spec.__name__}"]
    if not isinstance(value, dict):
        return [f"{where}: not an object"]
    if str in spec:
        return [p for key, entry in value.items() for p in of_schema(entry, spec[str], f"{where}.{key}")]
    known = {name.rstrip("!"): one for name, one in spec.items()}
    found = [f"{where}.{name[:-1]}: missing" for name in spec if name.endswith("!") and name[:-1] not in value]
    for name, entry in value.items():
        one = f"{where}.{name}"
        found += of_schema(entry, known[name], one) if name in known else [f"{one}: no such field"]
    return found


def of_fargate(task):
    found = []
    cpu, memory = task.get("cpu", ""), task.get("memory", "")
    if not cpu.isdigit() or not memory.isdigit() or int(memory) not in FARGATE_SIZES.get(int(cpu), ()):
        found.append(f"cpu {cpu!r} with memory {memory!r}: no size of Fargate")
    if task.get("networkMode") != "awsvpc":
        found.append("networkMode: Fargate has awsvpc alone")
    found += [f"{name}: not on Fargate" for name in ("placementConstraints", "ipcMode") if name in task]
    for volume in task.get("volumes", []):
        if "dockerVolumeConfiguration" in volume or "sourcePath" in volume.get("host", {}):
            found.append(f"volume {volume.get('name')}: not on Fargate")
    for one in task["containerDefinitions"]:
        if one.get("stopTimeout", 0) > FARGATE_STOP_MAX:
            found.append(f"{one['name']}.stopTimeout: {one['stopTimeout']} s is more than Fargate's {FARGATE_STOP_MAX}")
        found += [f"{one['name']}.{name}: not on Fargate" for name in ("privileged", "dockerSecurityOptions", "links")
                  if one.get(name)]
        linux = one.get("linuxParameters", {})
        found += [f"{one['name']}.linuxParameters.{name}: not on Fargate"
                  for name in ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness") if name in linux]
        if set(linux.get("capabilities", {}).get("add", [])) - {"SYS_PTRACE"}:
            found.append(f"{one['name']}.linuxParameters.capabilities.add: Fargate adds SYS_PTRACE alone")
        found += [f"{one['name']}.ulimits: {limit['name']} cannot be set on Fargate"
                  for limit in one.get("ulimits", []) if limit["name"] != "nofile"]
    return found


def of_ports(mode, one):
    found, seen = [], {}
    for port in one.get("portMappings", []):
        inner, outer, protocol = port.get("containerPort"), port.get("hostPort"), port.get("protocol", "tcp")
        if mode != "bridge":
            # [api] PortMapping says that a port may be there once, whatever the protocol. Nothing is lost: without NAT
            # a port is open whether it is named or not.
            if inner in seen:
                found.append(f"{one['name']}.portMappings: {inner} twice")
            if outer not in (None, inner):
                found.append(f"{one['name']}.portMappings: with {mode} hostPort {outer} cannot differ from {inner}")
        else:
            # It registers, and a service whose load balancer or registry names that port is refused:
            # github.com/aws/amazon-ecs-agent/issues/3428, github.com/awsdocs/amazon-ecs-developer-guide/pull/128.
            if inner in seen and (protocol in seen[inner] or set(seen[inner].values()) != {outer} or not outer):
                found.append(f"{one['name']}.portMappings: {inner} with both protocols needs one fixed hostPort")
            if outer and (outer in RESERVED_PORTS or outer >= FIRST_EPHEMERAL_PORT):
                found.append(f"{one['name']}.portMappings: hostPort {outer} is reserved")
        seen.setdefault(inner, {})[protocol] = outer
    return found


def of_containers(task):
    found, mode = [], task.get("networkMode", "bridge")
    names = [one["name"] for one in task["containerDefinitions"]]
    volumes = {volume.get("name") for volume in task.get("volumes", [])}
    if len(set(names)) != len(names):
        found.append("containerDefinitions: two have one name")
    if not any(one.get("essential", True) for one in task["containerDefinitions"]):
        found.append("containerDefinitions: none is essential")
    for one in task["containerDefinitions"]:
        name = one["name"]
        found += of_ports(mode, one)
        found += [f"{name}.mountPoints: no volume {mount.get('sourceVolume')}" for mount in one.get("mountPoints", [])
                  if mount.get("sourceVolume") not in volumes]
        found += [f"{name}.dependsOn: no container {other['containerName']}" for other in one.get("dependsOn", [])
                  if other["containerName"] not in set(names) - {name}]
        if one.get("healthCheck", {"command": ["CMD"]})["command"][:1] not in (["CMD"], ["CMD-SHELL"]):
            found.append(f"{name}.healthCheck.command: begins with neither CMD nor CMD-SHELL")
        if "memory" not in task and "memory" not in one and "memoryReservation" not in one:
            found.append(f"{name}.memory: neither the task nor the container says how much")
        if mode == "awsvpc":
            found += [f"{name}.{field}: not with awsvpc"
                      for field in ("links", "hostname", "dnsServers", "dnsSearchDomains", "extraHosts")
                      if one.get(field)]
        logs = one.get("logConfiguration", {})
        if logs.get("logDriver") == "awslogs":
            options = logs.get("options", {})
            found += [f"{name}.logConfiguration: no option {option} of awslogs"
                      for option in sorted(set(options) - AWSLOGS_OPTIONS)]
            found += [f"{name}.logConfiguration: awslogs-{option} is missing"
                      for option in ("group", "region", "stream-prefix") if f"awslogs-{option}" not in options]
            if "max-buffer-size" in options and options.get("mode") != "non-blocking":
                found.append(f"{name}.logConfiguration: max-buffer-size needs mode non-blocking")
        if (one.get("secrets") or logs.get("logDriver") == "awslogs") and "executionRoleArn" not in task:
            found.append(f"{name}: secrets and awslogs need an executionRoleArn")
        twice = [v["name"] for v in one.get("environment", [])] + [v["name"] for v in one.get("secrets", [])]
        found += [f"{name}: the variable {v} twice" for v in sorted({v for v in twice if twice.count(v) > 1})]
    return found


def problems(task):
    """All that ECS would not take, a sentence each."""
    found = of_schema(task, TASK, "task")
    if found:
        return found
    if "FARGATE" in task.get("requiresCompatibilities", []):
        found += of_fargate(task)
    return found + of_containers(task)
