"""The service's secrets, in a file of their own: whoever copies the database has not copied what opens it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from filelock import FileLock

from unlearn import durable
from unlearn.invalid import InvalidInput
from unlearn.target import Pseudonyms, Subject

_LENGTH = 32


class UnusableKeyring(InvalidInput):
    """The file of keys cannot be used as it is."""


@dataclass(frozen=True)
class Keyring:
    """Four kinds of keys, each with a retention of its own.

    `pseudonym` cannot be replaced: the names of the erased hang on it, and their ids are gone. `payload` may be: the
    first one encrypts, all of them decrypt. `audit` makes the chain, `signing` (Ed25519) the certificates.

    Attributes:
        path: of the file they are in. Payload keys are those that it holds now: whatever runs goes on with the new one
            as soon as they are rotated.
    """

    pseudonym: bytes
    audit: bytes
    payload: tuple[bytes, ...]
    signing: bytes
    path: Path | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return "Keyring(...)"

    @classmethod
    def create(cls, path: Path) -> Keyring:
        """New keys in a new file that its owner alone may read.

        Raises:
            FileExistsError: there is a file: its keys are never overwritten.
        """
        pseudonym, audit, payload, signing = (secrets.token_bytes(_LENGTH) for _ in range(4))
        made = cls(pseudonym, audit, (payload,), signing, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(made._written())
            out.flush()
            os.fsync(out.fileno())
        return made

    @classmethod
    def rotate(cls, path: Path, sealed: Iterable[bytes]) -> int:
        """Put a new payload key before the others, and take out those that open none of what is `sealed`.

        The first of the old ones stays in any case: what was encrypted with it a moment ago may not be stored yet.
        Returns how many were taken out.

        Args:
            sealed: read once no other rotation is under way, whose new key would be lost, and all that it encrypts.
        """
        with FileLock(path.with_name(f".{path.name}.lock"), mode=0o600):
            old = cls.read(path)
            openers = [Fernet(base64.urlsafe_b64encode(key)) for key in old.payload]
            needed = {_first(openers, content) for content in sealed}
            kept = [key for place, key in enumerate(old.payload) if place == 0 or place in needed]
            durable.replace(path, replace(old, payload=(secrets.token_bytes(_LENGTH), *kept))._written())
        return len(old.payload) - len(kept)

    def _written(self) -> bytes:
        content = {
            "pseudonym": _text(self.pseudonym),
            "audit": _text(self.audit),
            "payload": [_text(key) for key in self.payload],
            "signing": _text(self.signing),
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """The keys of a file.

        Raises:
            UnusableKeyring: it is missing, open to others, or not what `create` writes.
        """
        if not path.is_file():
            raise UnusableKeyring(f"`keyring` must be a file that `unlearn keys init` made (there is no {path})")
        if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            raise UnusableKeyring(f"`keyring` must be its owner's alone to read (got mode {mode:o}): chmod 600 {path}")
        if (keys := _parsed(path.read_text("utf-8"))) is None:  # which must not quote what the file holds
            raise UnusableKeyring(f"`keyring` must be a file that `unlearn keys init` made (got another: {path})")
        return replace(keys, path=path)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """Names for people, by the pseudonym key."""
        return Pseudonyms(self.pseudonym)

    @cached_property
    def signer(self) -> Ed25519PrivateKey:
        """The key that certificates are signed with."""
        return Ed25519PrivateKey.from_private_bytes(self.signing)

    def fingerprint(self, content: bytes) -> str:
        """Keyed digest (hex) of content that names people: equal for equal content, and revealing nothing else."""
        return hmac.new(self.pseudonym, b"content" + content, hashlib.sha256).hexdigest()

    def idempotency(self, caller: str, key: str) -> str:
        """Keyed digest (hex) of an Idempotency-Key, in which callers write what they like: equal for the same key."""
        content = json.dumps([caller, key]).encode()
        return hmac.new(self.pseudonym, b"idempotency" + content, hashlib.sha256).hexdigest()

    def seal(self, subjects: tuple[Subject, ...]) -> bytes:
        """Who a request is about, encrypted."""
        return self._fernet.encrypt(json.dumps([[one.type, one.value] for one in subjects]).encode())

    def open(self, sealed: bytes) -> tuple[Subject, ...]:
        """Who a request is about.

        Raises:
            UnusableKeyring: none of the keys opens it.
        """
        return tuple(Subject(kind, value) for kind, value in json.loads(self._opened(sealed)))

    def seal_url(self, url: str) -> str:
        """Where to tell of a request, encrypted, for it may name the person."""
        return self._fernet.encrypt(url.encode()).decode()

    def open_url(self, sealed: str) -> str:
        """Where to tell of a request. Raises: UnusableKeyring, as `open`."""
        return self._opened(sealed.encode()).decode()

    def _opened(self, sealed: bytes) -> bytes:
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise UnusableKeyring(
                "`keyring` must hold the key that a stored request was encrypted with (no payload key of it opens it); "
                "if that is destroyed, `unlearn request reapply` has the targets say whom the request is about"
            ) from None

    @property
    def _fernet(self) -> MultiFernet:
        if self.path is not None:
            # Where the file is lost while this runs, what it held last goes on: older keys may be destroyed by now.
            with suppress(OSError, UnusableKeyring):
                now = self.path.stat()
                object.__setattr__(self, "payload", _payload(self.path, (now.st_mtime_ns, now.st_ino)))
        return _cipher(self.payload)


@lru_cache(maxsize=2)
def _payload(path: Path, _state: tuple[int, int]) -> tuple[bytes, ...]:
    """The payload keys of a file, read once for each state of it."""
    return Keyring.read(path).payload


@lru_cache(maxsize=2)
def _cipher(payload: tuple[bytes, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in payload])


def _first(openers: Iterable[Fernet], content: bytes) -> int | None:
    """Which of them opens the content."""
    for place, opener in enumerate(openers):
        try:
            opener.decrypt(content)
        except InvalidToken:
            continue
        return place
    return None


def _parsed(text: str) -> Keyring | None:
    try:
        found: dict[str, Any] = json.loads(text)
        pseudonym, audit, signing = (_bytes(found.pop(name)) for name in ("pseudonym", "audit", "signing"))
        keys = Keyring(pseudonym, audit, tuple(map(_bytes, found.pop("payload"))), signing)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    lengths = {len(key) for key in (keys.pseudonym, keys.audit, keys.signing, *keys.payload)}
    return keys if keys.payload and lengths == {_LENGTH} and not found else None


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
