# Two HAProxy tasks behind a network load balancer, and workers that find them by gossip, on Fargate. The task definitions
# are the JSON files beside this one; docs/ecs.md explains both. The secret with the gossip key is made by hand
# (docs/ecs.md), so that the key is in no state file.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_region" "here" {}

data "aws_partition" "here" {}

locals {
  seed = "haproxy.${var.namespace}"
  values = {
    region             = data.aws_region.here.id
    execution_role_arn = aws_iam_role.execution.arn
    gossip_key_arn     = var.gossip_key_arn
    log_group          = aws_cloudwatch_log_group.shoal.name
    seed               = local.seed
    pool               = var.pool
    haproxy_image      = var.haproxy_image
    worker_image       = var.worker_image
    worker_program     = var.worker_command[0]
  }
  haproxy = jsondecode(templatefile("${path.module}/haproxy-task.json", local.values))
  worker  = jsondecode(templatefile("${path.module}/worker-task.json", local.values))
  worker_container = merge(local.worker.containerDefinitions[0], {
    command = concat(["task", "--"], var.worker_command)
  })

  # Who sends gossip to whom: everybody to everybody, by UDP and by TCP.
  gossip_groups = { haproxy = aws_security_group.haproxy.id, worker = aws_security_group.worker.id }
  gossip_paths = {
    for path in setproduct(["haproxy", "worker"], ["haproxy", "worker"], ["tcp", "udp"]) :
    join("-", path) => { from = path[0], to = path[1], protocol = path[2] }
  }
}

resource "aws_cloudwatch_log_group" "shoal" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_days
}

# ---- the cluster, and the name under which the HAProxy tasks are found

resource "aws_ecs_cluster" "shoal" {
  name = var.name
}

resource "aws_ecs_cluster_capacity_providers" "shoal" {
  cluster_name       = aws_ecs_cluster.shoal.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

resource "aws_service_discovery_private_dns_namespace" "shoal" {
  name = var.namespace
  vpc  = var.vpc_id
}

# One A record for each HAProxy task. Only to find the cluster: who serves is told by gossip, not by DNS.
resource "aws_service_discovery_service" "haproxy" {
  name = "haproxy"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.shoal.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }

  health_check_custom_config {
    failure_threshold = 1
  }
}

# ---- what ECS itself may do to start a task; shoal needs no role of its own

resource "aws_iam_role" "execution" {
  name_prefix = "${var.name}-execution-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${data.aws_partition.here.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "gossip_key" {
  name_prefix = "gossip-key-"
  role        = aws_iam_role.execution.id
  # A secret with a key of your own in KMS needs kms:Decrypt for that key besides.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = compact([var.gossip_key_arn, var.changed_key_arn])
    }]
  })
}

# ---- who may reach whom

resource "aws_security_group" "lb" {
  name_prefix = "${var.name}-lb-"
  description = "Load balancer in front of HAProxy"
  vpc_id      = var.vpc_id
}

resource "aws_security_group" "haproxy" {
  name_prefix = "${var.name}-haproxy-"
  description = "HAProxy and its sidecar"
  vpc_id      = var.vpc_id
}

resource "aws_security_group" "worker" {
  name_prefix = "${var.name}-worker-"
  description = "Workers"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each          = toset(var.client_cidrs)
  security_group_id = aws_security_group.lb.id
  description       = "Clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = var.listen_port
  to_port           = var.listen_port
}

resource "aws_vpc_security_group_ingress_rule" "requests" {
  security_group_id            = aws_security_group.haproxy.id
  description                  = "Requests and health checks from the load balancer"
  referenced_security_group_id = aws_security_group.lb.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
}

resource "aws_vpc_security_group_ingress_rule" "service" {
  security_group_id            = aws_security_group.worker.id
  description                  = "HAProxy to the workers"
  referenced_security_group_id = aws_security_group.haproxy.id
  ip_protocol                  = "tcp"
  from_port                    = var.worker_ports.from
  to_port                      = var.worker_ports.to
}

resource "aws_vpc_security_group_ingress_rule" "gossip" {
  for_each                     = local.gossip_paths
  security_group_id            = local.gossip_groups[each.value.to]
  description                  = "Gossip from ${each.value.from}"
  referenced_security_group_id = local.gossip_groups[each.value.from]
  ip_protocol                  = each.value.protocol
  from_port                    = 7946
  to_port                      = 7999
}

resource "aws_vpc_security_group_egress_rule" "all" {
  for_each          = merge(local.gossip_groups, { lb = aws_security_group.lb.id })
  security_group_id = each.value
  description       = "Out"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

# ---- the load balancer

resource "aws_lb" "shoal" {
  name               = var.name
  internal           = var.internal
  load_balancer_type = "network"
  subnets            = var.lb_subnets
  security_groups    = [aws_security_group.lb.id]
  # Off by default, and then a zone whose only HAProxy task is being replaced answers nobody who still knows its address.
  enable_cross_zone_load_balancing = true
}

resource "aws_lb_target_group" "haproxy" {
  name        = var.name
  port        = 8080
  protocol    = "TCP"
  target_type = "ip"
  vpc_id      = var.vpc_id
  # ECS waits for so long between taking a task out here and its SIGTERM. A network load balancer sends new connections
  # for some two minutes more; see "The stop, second by second".
  deregistration_delay = var.deregistration_delay

  health_check {
    protocol            = "TCP"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "shoal" {
  load_balancer_arn = aws_lb.shoal.arn
  port              = var.listen_port
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.haproxy.arn
  }
}

# ---- HAProxy

resource "aws_ecs_task_definition" "haproxy" {
  family                   = "${var.name}-haproxy"
  requires_compatibilities = local.haproxy.requiresCompatibilities
  network_mode             = local.haproxy.networkMode
  cpu                      = local.haproxy.cpu
  memory                   = local.haproxy.memory
  execution_role_arn       = local.haproxy.executionRoleArn
  container_definitions    = jsonencode(local.haproxy.containerDefinitions)

  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = local.haproxy.runtimePlatform.operatingSystemFamily
  }

  dynamic "volume" {
    for_each = local.haproxy.volumes
    content {
      name = volume.value.name
    }
  }
}

resource "aws_ecs_service" "haproxy" {
  name            = "haproxy"
  cluster         = aws_ecs_cluster.shoal.id
  task_definition = aws_ecs_task_definition.haproxy.arn
  desired_count   = var.haproxy_count
  launch_type     = "FARGATE"

  # A new HAProxy is up before an old one goes.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  # The workers come after it: their first health check asks whether a HAProxy has them.
  wait_for_steady_state = true

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.task_subnets
    security_groups  = [aws_security_group.haproxy.id]
    assign_public_ip = var.assign_public_ip
  }

  service_registries {
    registry_arn = aws_service_discovery_service.haproxy.arn
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.haproxy.arn
    container_name   = "haproxy"
    container_port   = 8080
  }

  depends_on = [
    aws_lb_listener.shoal, aws_iam_role_policy.gossip_key, aws_iam_role_policy_attachment.execution,
    aws_vpc_security_group_egress_rule.all, aws_vpc_security_group_ingress_rule.gossip
  ]
}

# ---- the workers

resource "aws_ecs_task_definition" "worker" {
  family                   = "${var.name}-worker"
  requires_compatibilities = local.worker.requiresCompatibilities
  network_mode             = local.worker.networkMode
  cpu                      = local.worker.cpu
  memory                   = local.worker.memory
  execution_role_arn       = local.worker.executionRoleArn
  container_definitions    = jsonencode([local.worker_container])

  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = local.worker.runtimePlatform.operatingSystemFamily
  }
}

resource "aws_ecs_service" "worker" {
  name            = "worker"
  cluster         = aws_ecs_cluster.shoal.id
  task_definition = aws_ecs_task_definition.worker.arn
  desired_count   = var.worker_count

  # A new worker counts as healthy once it has been in rotation; only then an old one is told to stop.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = var.worker_on_demand
    weight            = var.worker_spot_weight > 0 ? 0 : 1
  }

  dynamic "capacity_provider_strategy" {
    for_each = var.worker_spot_weight > 0 ? [var.worker_spot_weight] : []
    content {
      capacity_provider = "FARGATE_SPOT"
      weight            = capacity_provider_strategy.value
    }
  }

  network_configuration {
    subnets          = var.task_subnets
    security_groups  = [aws_security_group.worker.id]
    assign_public_ip = var.assign_public_ip
  }

  depends_on = [aws_ecs_service.haproxy, aws_ecs_cluster_capacity_providers.shoal]
}
