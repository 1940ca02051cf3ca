"""Whom to answer nothing and to take in no more: pseudonyms in a file that processes share and that only grows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from unlearn.target import Pseudonyms, Subject

_RECORD = 66  # a sign, 64 hexadecimal digits, a line break


class Blocklist:
    """The people that are suppressed or erased, as of the moment of asking, whichever process added them.

    A record is a line: `+` and a pseudonym blocks, `-` and a pseudonym releases; the last one counts. `add` returns
    when the record is on disk. Asking costs one HMAC and one `fstat`, and reads only what was added since.
    """

    def __init__(self, path: Path, pseudonyms: Pseudonyms) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._pseudonyms = pseudonyms
        # Not others' to read: whoever can open it can hold it, and keep everybody from being suppressed.
        self._between_processes = FileLock(path.with_name(f".{path.name}.lock"), mode=0o600)
        self._between_threads = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._read = 0
        self._blocked: set[str] = set()

    def __contains__(self, subject: Subject) -> bool:
        name = self._pseudonyms.of(subject)
        with self._between_threads:
            self._refresh()
            return name in self._blocked

    def __len__(self) -> int:
        with self._between_threads:
            self._refresh()
            return len(self._blocked)

    def add(self, subjects: Iterable[Subject]) -> int:
        """Block them; returns how many are blocked now of those given."""
        return self._append("+", subjects)

    def discard(self, subjects: Iterable[Subject]) -> int:
        """Release them; returns how many were given."""
        return self._append("-", subjects)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _append(self, sign: str, subjects: Iterable[Subject]) -> int:
        names = dict.fromkeys(self._pseudonyms.of(subject) for subject in subjects)
        with self._between_threads, self._between_processes:
            self._refresh()
            new = [name for name in names if (name in self._blocked) != (sign == "+")]
            if new:
                # A process that was killed while it wrote leaves part of a record, which nobody has read.
                os.ftruncate(self._file, self._read)
                records = "".join(f"{sign}{name}\n" for name in new).encode()
                while records:  # a disk that fills up takes a part, and raises when it is given the rest
                    records = records[os.write(self._file, records) :]
                os.fsync(self._file)
                self._refresh()
        return len(names)

    def _refresh(self) -> None:
        whole = os.fstat(self._file).st_size // _RECORD * _RECORD
        if whole == self._read:
            return
        for line in os.pread(self._file, whole - self._read, self._read).decode("ascii").splitlines():
            (self._blocked.add if line[0] == "+" else self._blocked.discard)(line[1:])
        self._read = whole
