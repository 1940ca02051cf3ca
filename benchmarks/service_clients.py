"""Many clients of the service in one thread: they share the cores with what they measure, and must need few of them.

HTTP/1.1 by hand, over connections that stay open: a request costs the clients a tenth of what the server pays for it.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

DUPLICATED, MALFORMED = 0.10, 0.05


@dataclass(frozen=True)
class Asked:
    """A request to be sent: of what kind, about whom, and its bytes."""

    kind: str
    id: str
    person: str
    content: bytes


def requests(number: int, people: list[str], key: str) -> list[Asked]:
    """So many requests in the order in which they are sent, a tenth of them a second time, a twentieth malformed.

    Half of them are about people that the recommender knows, the others about strangers.
    """
    draw = np.random.default_rng(0)
    made: list[Asked] = []
    for k in range(number):
        person = people[k // 2] if k % 2 == 0 else uuid.UUID(int=k, version=4).hex
        id = str(uuid.UUID(int=int(draw.integers(2**62)) + k * 2**64, version=4))
        malformed = draw.random() < MALFORMED
        content = _post(key, id, body(id, person, regulation="?" if malformed else "gdpr"))
        made.append(Asked("malformed" if malformed else "new", id, person, content))
        if not malformed and draw.random() < DUPLICATED:
            made.append(Asked("duplicate", id, person, content))
    return made


def body(id: str, person: str, *, regulation: str = "gdpr") -> dict[str, Any]:
    """An OpenDSR request to erase one person."""
    identity = {"identity_type": "controller_customer_id", "identity_value": person, "identity_format": "raw"}
    return {
        "regulation": regulation, "subject_request_id": id, "subject_request_type": "erasure",
        "submitted_time": "2026-01-05T08:00:00Z", "subject_identities": [identity],
    }  # fmt: skip


def sent(asked: list[Asked], url: str, clients: int) -> list[dict[str, Any]]:
    """Send everything from so many clients, each of which waits for its answer; one entry for every answer."""
    answers: list[dict[str, Any]] = []

    async def all_of_them() -> None:
        waiting = iter(asked)
        await asyncio.gather(*(_client(url, waiting, answers) for _ in range(clients)))

    asyncio.run(all_of_them())
    return answers


async def _client(url: str, waiting: Iterator[Asked], answers: list[dict[str, Any]]) -> None:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    for one in waiting:
        began = time.monotonic()
        while (status := await _answered(reader, writer, one.content)) == 409:
            await asyncio.sleep(0.05)  # its twin is being taken in at this moment
        ended = time.monotonic()
        told = {"kind": one.kind, "id": one.id, "person": one.person, "status": status, "began": began, "ended": ended}
        answers.append(told)
    writer.close()
    await writer.wait_closed()


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> int:
    writer.write(content)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


def _post(key: str, id: str, content: dict[str, Any]) -> bytes:
    raw = json.dumps(content).encode()
    head = (
        f"POST /v2/requests HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: {id}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw
