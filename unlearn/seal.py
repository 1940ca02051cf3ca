"""What was removed, kept unreadable but for one key that is destroyed when nothing needs it any more."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from unlearn import durable

_NONCE = 12


class DamagedSeal(RuntimeError):
    """The sealed file or its key was changed."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The sealed records of one batch, AES-256-GCM under a key of the batch's own in a file beside them.

    There is a seal if and only if it is complete. Its name is authenticated with it, so that no file can pass for
    another batch's.
    """

    folder: Path
    name: str

    @property
    def _sealed(self) -> Path:
        return self.folder / f"{self.name}.sealed"

    @property
    def _key(self) -> Path:
        return self.folder / f"{self.name}.key"

    @property
    def exists(self) -> bool:
        """Whether there is anything that `read` would give: an overwritten key that is not gone yet opens nothing."""
        return self._sealed.is_file() and self._key.is_file() and any(self._key.read_bytes())

    def write(self, content: bytes) -> None:
        """Seal the content, in place of what was sealed before."""
        self.destroy()  # not over it: a file in the place of another leaves what that held on the disk
        key, nonce = secrets.token_bytes(32), secrets.token_bytes(_NONCE)
        durable.replace(self._key, key)
        durable.replace(self._sealed, nonce + AESGCM(key).encrypt(nonce, content, self.name.encode()))

    def read(self) -> bytes:
        """What was sealed.

        Raises:
            FileNotFoundError: there is no seal, or its key was destroyed.
            DamagedSeal: a file was changed.
        """
        key, sealed = self._key.read_bytes(), self._sealed.read_bytes()
        try:
            return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], self.name.encode())
        except (InvalidTag, ValueError):
            raise DamagedSeal(f"the seal of batch {self.name} or its key was changed; restore both files") from None

    def destroy(self) -> None:
        """Destroy the key, which is what counts, and then the file."""
        if self._key.is_file():
            with self._key.open("r+b", buffering=0) as file:  # in place: a copy would leave the key where it was
                file.write(bytes(32))
            durable.sync(self._key)
        durable.remove(self._key)
        durable.remove(self._sealed)

    def left(self) -> int:
        """How many files of the seal there are."""
        return sum(path.is_file() for path in (self._key, self._sealed))

    @classmethod
    def all(cls, folder: Path) -> list[Seal]:
        """Every complete seal in the folder, by name."""
        found = (cls(folder, path.name.removesuffix(".sealed")) for path in sorted(folder.glob("*.sealed")))
        return [seal for seal in found if seal.exists]
