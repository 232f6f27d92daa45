"""The service's own way to an S3 server of the tests."""

from healthingest_service.adapters.s3.client import S3Access, open_client
from support.servers.versitygw import S3Server


def access_to(server: S3Server, *, timeout_seconds: float = 10.0) -> S3Access:
    """To its bucket, with its keys."""
    return S3Access(
        endpoint=server.endpoint,
        region=server.region,
        bucket=server.bucket,
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        timeout_seconds=timeout_seconds,
    )


async def unfinished_puts(server: S3Server) -> list[str]:
    """Keys of objects that were begun in parts and neither completed nor aborted."""
    async with open_client(access_to(server)) as client:
        answer = await client.list_multipart_uploads(Bucket=server.bucket)
    return [one["Key"] for one in answer.get("Uploads", [])]
