"""A connection ends when its time is over, whatever the other side does meanwhile."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.unlearn.requests.receivers import Receiver, certificate
from unlearn.requests.deadline import DeadlineTransport


def after_the_head(server: Receiver, connection: ssl.SSLSocket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ")
    server.drip(connection, b"a")


def before_the_head(server: Receiver, connection: ssl.SSLSocket) -> None:
    connection.recv(65_536)
    server.drip(connection, b"HTTP/1.1 100 Continue\r\n\r\n")


def nothing(server: Receiver, connection: ssl.SSLSocket) -> None:
    server.closed.wait()


def client(server: Receiver, seconds: float) -> httpx.Client:
    trusted = ssl.create_default_context(cafile=str(server.certificate))
    return httpx.Client(transport=DeadlineTransport(seconds, verify=trusted), trust_env=False)


@pytest.mark.parametrize("behave", [after_the_head, before_the_head, nothing, None])
def test_whoever_drips_is_left_when_the_time_is_over(
    tmp_path: Path, behave: Callable[[Receiver, ssl.SSLSocket], None] | None
) -> None:
    """None drips before there is TLS at all."""
    with Receiver(certificate(tmp_path), behave) as server, client(server, 0.6) as http:
        started = time.monotonic()
        with pytest.raises(httpx.TimeoutException):
            http.post(server.url, content=b"{}")
        assert 0.4 < time.monotonic() - started < 5
        assert server.closed.is_set() is False and server.connections == 1


def test_who_answers_in_time_is_heard_on_a_connection_for_each_request(tmp_path: Path) -> None:
    def answer(server: Receiver, connection: ssl.SSLSocket) -> None:
        for _ in range(2):  # it would take another request
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with Receiver(certificate(tmp_path), answer) as server, client(server, 20) as http:
        assert [http.post(server.url, content=b"{}").status_code for _ in range(2)] == [204, 204]
        assert server.connections == 2


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with (
        Receiver(certificate(tmp_path), nothing) as server,
        httpx.Client(transport=DeadlineTransport(20)) as http,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        http.post(server.url)
