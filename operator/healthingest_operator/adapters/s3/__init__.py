"""The S3 API of the object store."""
