"""The adapters for S3: a client with deadlines and retries, the object store, the inventory."""
