"""The status of a HealthIngest: pure functions from observations to conditions and messages."""
