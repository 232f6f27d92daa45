"""Signatures of requests to S3, compared with an example of AWS and with botocore."""

from collections.abc import Callable
from datetime import UTC, datetime
from string import ascii_letters, digits, printable
from typing import Final

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session
from hypothesis import given, settings
from hypothesis import strategies as st

from healthingest_contract.s3_signature import (
    AccessKeys,
    UnsignedRequest,
    encoded_key,
    signed_headers,
)
from support.uploads import sha256

HOST: Final = "data.s3.example:9000"
TOKEN: Final = st.text(ascii_letters + digits + "+/=", min_size=1, max_size=60)
VALUE: Final = st.text(printable.strip() + " ", max_size=60) | st.text("a ", max_size=9)
NAMES: Final = st.text(ascii_letters.lower() + digits + "-", min_size=1, max_size=12)
SEGMENT: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
# DTZ001: bounds of hypothesis have no zone
FIRST: Final = datetime(2000, 1, 1)  # noqa: DTZ001
LAST: Final = datetime(2099, 12, 31)  # noqa: DTZ001
MOMENTS: Final = st.datetimes(FIRST, LAST, timezones=st.just(UTC))


def test_signs_the_example_of_aws() -> None:
    """Amazon S3 API reference, "Examples: Signature Calculations", "PUT Object"."""
    headers = signed_headers(
        UnsignedRequest(
            "PUT",
            "examplebucket.s3.amazonaws.com",
            f"/{encoded_key('test$file.text')}",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            sha256(b"Welcome to Amazon S3."),
        ),
        AccessKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region="us-east-1",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


@settings(max_examples=300)
@given(
    key=SEGMENT,
    metadata=st.dictionaries(NAMES, VALUE, max_size=4),
    body=st.binary(max_size=64),
    subresource=st.sampled_from(["", "versioning", "object-lock", "publicAccessBlock"]),
    keys=st.builds(AccessKeys, TOKEN, TOKEN, st.none() | TOKEN),
    region=st.sampled_from(["us-east-1", "eu-central-1", "auto"]),
    now=MOMENTS,
)
def test_signs_as_botocore(
    *,
    key: str,
    metadata: dict[str, str],
    body: bytes,
    subresource: str,
    keys: AccessKeys,
    region: str,
    now: datetime,
) -> None:
    """The same header, whatever the key, the metadata, the body, the keys and the time are."""
    headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
    path = f"/data/{encoded_key(key)}"
    ours = signed_headers(
        UnsignedRequest("PUT", HOST, path, headers, sha256(body), subresource),
        keys,
        region=region,
        now=now,
    )
    url = f"http://{HOST}{path}" + (f"?{subresource}" if subresource else "")
    theirs = AWSRequest("PUT", url, headers=headers, data=body)
    theirs.context["timestamp"] = f"{now:%Y%m%dT%H%M%SZ}"
    auth = S3SigV4Auth(
        Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token), "s3", region
    )
    auth._modify_request_before_signing(theirs)
    text = auth.string_to_sign(theirs, auth.canonical_request(theirs))
    auth._inject_signature_to_request(theirs, auth.signature(text, theirs))
    expected = {name.lower(): value for name, value in theirs.headers.items()}
    assert ours == {**expected, "host": HOST}


@pytest.fixture(name="path_by_botocore", scope="module")
def _path_by_botocore() -> Callable[[str], str]:
    client = get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://{HOST}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )

    def path(key: str) -> str:
        url: str = client.generate_presigned_url("put_object", {"Bucket": "data", "Key": key})
        return url.removeprefix(f"http://{HOST}/data/").partition("?")[0]

    return path


@settings(max_examples=200)
@given(key=SEGMENT)
def test_encodes_a_key_as_botocore(path_by_botocore: Callable[[str], str], key: str) -> None:
    """Once, and never a slash: any other path would be another object."""
    assert encoded_key(key) == path_by_botocore(key)


def test_shows_no_secret() -> None:
    """The text of the keys, as in a traceback, has neither secret nor token."""
    assert repr(AccessKeys("id", "secret-1", "token-2")) == "AccessKeys(access_key_id='id')"
