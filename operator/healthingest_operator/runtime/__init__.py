"""The process around the handlers: leader election, watches, HTTP endpoints, kopf's settings."""
