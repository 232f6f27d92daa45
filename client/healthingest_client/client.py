"""
The Python client for programs without an event loop: the same methods as `AsyncClient`.

Each is made from the asynchronous one, which runs in a thread, so it also works in a notebook.
"""

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from healthingest_client.async_client import AsyncClient
from healthingest_client.credentials import TokenStore
from healthingest_client.documents import Json
from healthingest_client.file_upload import RESUMABLE_FROM_BYTES
from healthingest_client.retries import RetryPolicy

__all__ = ["Client", "Json"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_END: Final = object()
_POLICY: Final = RetryPolicy()


def _waits(
    method: Callable[Concatenate[AsyncClient, _Arguments], Coroutine[Any, Any, _Result]],
) -> "Callable[Concatenate[Client, _Arguments], _Result]":
    """Return the method of `Client` that waits for the result of *method*."""

    @functools.wraps(method)
    def waits(self: "Client", /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        call = functools.partial(method, self.asynchronous, *args, **kwargs)
        result: _Result = self.portal.call(call)
        return result

    return waits


def _iterates(
    method: Callable[Concatenate[AsyncClient, _Arguments], AsyncGenerator[_Result, None]],
) -> "Callable[Concatenate[Client, _Arguments], Iterator[_Result]]":
    """Return the method of `Client` that yields what *method* yields."""

    @functools.wraps(method)
    def iterates(
        self: "Client", /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> Iterator[_Result]:
        found = method(self.asynchronous, *args, **kwargs)

        async def following() -> Any:  # noqa: ANN401 - an item, or the end
            return await anext(found, _END)

        async def close() -> None:
            await found.aclose()

        try:
            while (item := self.portal.call(following)) is not _END:
                yield item
        finally:
            with suppress(RuntimeError):  # the client is closed already
                self.portal.call(close)

    return iterates


class Client:
    """
    A client of one account at one server. Use it as a context manager, from any thread.

    Arguments, methods and errors are those of `AsyncClient`.
    """

    def __init__(
        self,
        server: str,
        tokens: TokenStore,
        *,
        policy: RetryPolicy = _POLICY,
        resumable_from_bytes: int = RESUMABLE_FROM_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._open = functools.partial(
            AsyncClient,
            server,
            tokens,
            policy=policy,
            resumable_from_bytes=resumable_from_bytes,
            transport=transport,
        )
        self._stack = ExitStack()
        self.portal: BlockingPortal
        self.asynchronous: AsyncClient

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.portal = stack.enter_context(start_blocking_portal())
            client = self._open()
            self.asynchronous = stack.enter_context(self.portal.wrap_async_context_manager(client))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    register = _waits(AsyncClient.register)
    login = _waits(AsyncClient.login)
    login_with_token = _waits(AsyncClient.login_with_token)
    login_with_device_code = _waits(AsyncClient.login_with_device_code)
    providers = _waits(AsyncClient.providers)
    enrol = _waits(AsyncClient.enrol)
    logout = _waits(AsyncClient.logout)
    list_tokens = _waits(AsyncClient.list_tokens)
    create_token = _waits(AsyncClient.create_token)
    revoke_token = _waits(AsyncClient.revoke_token)

    upload = _waits(AsyncClient.upload)
    send_file = _waits(AsyncClient.send_file)
    uploads = _iterates(AsyncClient.uploads)
    get_upload = _waits(AsyncClient.get_upload)
    watch = _iterates(AsyncClient.watch)
    download = _waits(AsyncClient.download)

    studies = _iterates(AsyncClient.studies)
    get_study = _waits(AsyncClient.get_study)
    members = _iterates(AsyncClient.members)
    put_member = _waits(AsyncClient.put_member)
    remove_member = _waits(AsyncClient.remove_member)
    subjects = _iterates(AsyncClient.subjects)
    get_subject = _waits(AsyncClient.get_subject)
    enrol_subject = _waits(AsyncClient.enrol_subject)
    give_consent = _waits(AsyncClient.give_consent)
    withdraw_subject = _waits(AsyncClient.withdraw_subject)
    study_uploads = _iterates(AsyncClient.study_uploads)
    coverage = _iterates(AsyncClient.coverage)
    gaps = _iterates(AsyncClient.gaps)
    create_enrolment = _waits(AsyncClient.create_enrolment)
    cancel_enrolment = _waits(AsyncClient.cancel_enrolment)
    study_tokens = _iterates(AsyncClient.study_tokens)
    revoke_study_token = _waits(AsyncClient.revoke_study_token)
    erase_subject = _waits(AsyncClient.erase_subject)
    erase_study = _waits(AsyncClient.erase_study)
    erase_upload = _waits(AsyncClient.erase_upload)
    get_erasure = _waits(AsyncClient.get_erasure)
