"""The object store on S3: one client with deadlines and retries, the store, and its inventory."""
