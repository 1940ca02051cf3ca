"""Servers on this machine that do with a connection what a test says."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 by itself, with its key."""
    key, name = generate_private_key(SECP256R1()), x509.Name([])
    now, here = datetime.now(UTC), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([here]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


class Receiver:
    """Speaks TLS and then does what it is told to; where it is told nothing, drips what is no TLS."""

    def __init__(self, certificate: Path, behave: Callable[[Receiver, ssl.SSLSocket], None] | None) -> None:
        self.certificate = certificate
        self.closed, self.connections = threading.Event(), 0
        self._behave = behave
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.url = f"https://127.0.0.1:{self.port}/hook"
        self._threads = [threading.Thread(target=self._accept)]

    def drip(self, connection: socket.socket, part: bytes) -> None:
        """Send it again and again, for as long as anybody listens."""
        while not self.closed.wait(0.05):
            connection.sendall(part)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
            self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._behave is None:
                    # The head of a record that is 16 thousand bytes long, of which few ever come.
                    connection.sendall(b"\x16\x03\x03\x3f\xff")
                    self.drip(connection, b"\x02")
                else:
                    with self._context.wrap_socket(connection, server_side=True) as encrypted:
                        self._behave(self, encrypted)
            except OSError:
                pass  # the other side has left

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()
