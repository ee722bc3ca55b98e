"""Why a service did not respond over HTTP, in plain words instead of the names of a library's errors."""

from __future__ import annotations

import os
import socket
import ssl
from typing import cast

import httpx


def no_answer(error: BaseException, seconds: float) -> str:
    """`does not answer within 5 s`, `does not answer (Connection refused)`. seconds: the time limit."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"does not respond within {seconds:g} s"
    return f"does not respond ({_why(error, _root(error))})"


def _why(error: BaseException, root: BaseException) -> str:
    match root:
        case socket.gaierror():
            return "no such host"
        case ssl.SSLCertVerificationError():
            return f"its certificate cannot be trusted: {root.verify_message}"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _ if isinstance(error, httpx.RemoteProtocolError):
            return "it closed the connection, or does not speak HTTP"
        case _ if isinstance(error, httpx.TransportError):
            return "the connection failed"
        case _:
            return type(error).__name__


def _root(error: BaseException) -> BaseException:
    """The error of the operating system or TLS; if several addresses failed, that of the first."""
    while inner := _inner(error):
        error = inner
    return error


def _inner(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error.__cause__ or error.__context__
