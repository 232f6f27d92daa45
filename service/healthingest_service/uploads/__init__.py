"""
The core: values, ports, errors and use cases of uploads.

No HTTP, SQL, S3, AMQP or settings: code that needs one of them belongs in `api` or `adapters`.
"""
