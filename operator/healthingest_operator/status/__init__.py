"""What holds, as a HealthIngest's status says it: pure functions from findings to conditions."""
