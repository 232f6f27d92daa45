"""Adapters for the Kubernetes API: objects, watches of children, and the Lease."""
