"""
The core: what happens to an upload, and in which order.

Here live the values, the ports, the errors and the use cases. No HTTP, no SQL, no S3, no AMQP, no
settings: whoever needs one of them belongs into `api` or `adapters`.
"""
