"""HTTP with one deadline for a whole connection; the usual timeouts start again with every byte that arrives."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    from httpcore import SOCKET_OPTION


class DeadlineTransport(httpx.HTTPTransport):
    """Opens a connection for every request, which ends `seconds` later, whatever the other side does meanwhile.

    Args:
        verify: whose certificates are trusted, where not those that httpx trusts.
    """

    def __init__(self, seconds: float, *, verify: ssl.SSLContext | None = None) -> None:
        context = verify or httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            # A connection that was kept would have no time left; and its name was verified for another request.
            max_keepalive_connections=0,
            max_connections=None,
            network_backend=_Network(seconds),
        )


class _Network(httpcore.NetworkBackend):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        deadline = time.monotonic() + self._seconds
        return _Stream(self._inner.connect_tcp(host, port, self._seconds, local_address, socket_options), deadline)


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait is for what is left of its time."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left(self) -> float:
        if (left := self._deadline - time.monotonic()) <= 0:
            raise httpcore.ReadTimeout("the connection has taken too long")
        return left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._left()), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
