output "address" {
  value       = aws_lb.shoal.dns_name
  description = "Where clients send their requests."
}

output "seed" {
  value       = local.seed
  description = "What any further task takes as SHOAL_GOSSIP_JOIN."
}

output "cluster" {
  value       = aws_ecs_cluster.shoal.name
  description = "The ECS cluster."
}

output "worker_security_group" {
  value       = aws_security_group.worker.id
  description = "For further services of workers: gossip both ways and requests from HAProxy are open for it."
}

output "execution_role_arn" {
  value       = aws_iam_role.execution.arn
  description = "For further task definitions, keys-task.json among them."
}

output "log_group" {
  value       = aws_cloudwatch_log_group.shoal.name
  description = "Where all of them log."
}
