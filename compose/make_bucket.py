"""
Creates the bucket, unless it exists; runs in the service's image.

The S3 server's image has no program for a health check, so this waits until the server answers.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 1.0
_EXISTS: Final = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})


def _secret(name: str) -> str:
    folder = Path(os.environ["HEALTHINGEST_SECRETS_DIR"])
    return (folder / f"HEALTHINGEST_STORE__{name}").read_text(encoding="utf-8").strip()


async def _create(bucket: str) -> None:
    client = get_session().create_client(
        "s3",
        endpoint_url=os.environ["HEALTHINGEST_STORE__ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id=_secret("ACCESS_KEY_ID"),
        aws_secret_access_key=_secret("SECRET_ACCESS_KEY"),
    )
    async with client as s3:
        await s3.create_bucket(Bucket=bucket)


async def main() -> int:
    """Return 0 when the bucket exists, 1 when the server did not answer in time."""
    bucket = os.environ["HEALTHINGEST_STORE__BUCKET"]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            await _create(bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] in _EXISTS:
                return 0
        except BotoCoreError:
            pass
        else:
            return 0
        await asyncio.sleep(_PAUSE_SECONDS)
    sys.stderr.write(f"bucket {bucket}: the S3 server did not answer as expected\n")
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
