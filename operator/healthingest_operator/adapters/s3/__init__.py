"""The adapter for the S3 API of object stores."""
