"""What ministack's EKS lacks: the cluster behind the record, nodes of node groups, updates, tokens, Pod Identity."""
