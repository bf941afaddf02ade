variable "name" {
  type        = string
  default     = "shoal"
  description = "Name of the cluster, and the beginning of the other names; at most 20 characters."
}

variable "vpc_id" {
  type        = string
  description = "The VPC of all of it, with DNS support and DNS host names on."
}

variable "task_subnets" {
  type        = list(string)
  description = "Subnets of the tasks, in two availability zones at least; with a route to the image registry."
}

variable "lb_subnets" {
  type        = list(string)
  description = "Subnets of the load balancer: public ones unless it is internal."
}

variable "assign_public_ip" {
  type        = bool
  default     = false
  description = "True in public subnets without a NAT gateway, where images cannot be pulled otherwise."
}

variable "gossip_key_arn" {
  type        = string
  description = "ARN of the secret that holds the key of `shoal keygen`, as plain text."
}

variable "changed_key_arn" {
  type        = string
  default     = ""
  description = "ARN of the second secret, by which keys-task.json changes the key; empty: the role may not read any."
}

variable "haproxy_image" {
  type        = string
  description = "The image with HAProxy and shoal, your haproxy.cfg in it (docs/containers.md)."
}

variable "worker_image" {
  type        = string
  description = "Your image, with shoal at /usr/bin/shoal."
}

variable "worker_command" {
  type        = list(string)
  description = "The worker's program and its arguments, as after `shoal task --`."
}

variable "pool" {
  type        = string
  default     = "shoal"
  description = "HAProxy's backend that the workers join."
}

variable "namespace" {
  type        = string
  default     = "shoal.internal"
  description = "Private DNS namespace; the HAProxy tasks are haproxy.NAMESPACE in it."
}

variable "haproxy_count" {
  type        = number
  default     = 2
  description = "HAProxy tasks; with one, its replacement is alone for the time of its start."
}

variable "worker_count" {
  type        = number
  default     = 2
  description = "Workers."
}

variable "worker_on_demand" {
  type        = number
  default     = 1
  description = "So many workers are never on Fargate Spot."
}

variable "worker_spot_weight" {
  type        = number
  default     = 0
  description = "Above 0: all further workers run on Fargate Spot."
}

variable "worker_ports" {
  type        = object({ from = number, to = number })
  default     = { from = 8080, to = 8080 }
  description = "Service ports of the workers: SHOAL_TASK_LISTEN of worker-task.json; 32768 to 60999 where it is port 0."
}

variable "cpu_architecture" {
  type        = string
  default     = "X86_64"
  description = "X86_64 or ARM64, for which both images must be."
}

variable "internal" {
  type        = bool
  default     = false
  description = "Whether the load balancer is for the VPC alone."
}

variable "client_cidrs" {
  type        = list(string)
  default     = ["0.0.0.0/0"]
  description = "Who may send requests."
}

variable "listen_port" {
  type        = number
  default     = 80
  description = "Port of the load balancer."
}

variable "deregistration_delay" {
  type        = number
  default     = 150
  description = "Seconds that a HAProxy task serves on after the load balancer was told; that takes two minutes."
}

variable "log_days" {
  type        = number
  default     = 14
  description = "Days that logs are kept."
}
