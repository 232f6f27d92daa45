"""
The command `healthingest` and the Python client of the upload API.

The package imports contract and gate, but neither service nor operator.
"""

from healthingest_client.async_client import AsyncClient
from healthingest_client.client import Client
from healthingest_client.credentials import (
    KeyringTokens,
    MemoryTokens,
    TokenFile,
    Tokens,
    TokenStore,
    open_tokens,
)
from healthingest_client.errors import (
    ClientError,
    ContentMismatchError,
    FileChangedError,
    LoginRefusedError,
    NotLoggedInError,
    ProblemError,
    StillWaitingError,
    UnreachableError,
)
from healthingest_client.provider_tokens import DeviceCode
from healthingest_client.retries import RetryPolicy

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "ContentMismatchError",
    "DeviceCode",
    "FileChangedError",
    "KeyringTokens",
    "LoginRefusedError",
    "MemoryTokens",
    "NotLoggedInError",
    "ProblemError",
    "RetryPolicy",
    "StillWaitingError",
    "TokenFile",
    "TokenStore",
    "Tokens",
    "UnreachableError",
    "open_tokens",
]
