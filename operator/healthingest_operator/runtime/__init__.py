"""The process around the handlers: leader election, watches, HTTP endpoints, settings of kopf."""
