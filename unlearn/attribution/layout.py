"""The files of a gradient store: raw arrays with one row a record, a basis, and a JSON manifest.

Rows leave for good: the last rows move into the places of removed ones and the files are cut, by moves that the
manifest holds before they are made and that can be repeated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from unlearn import durable
from unlearn.attribution.sketch import principal_basis

DIGEST = 32  # bytes of a record's keyed digest
SAMPLE = 8192  # rows that the basis of the first stage is fitted to
BASIS = "basis.f32"
_HEAD = 128  # dimensions of the first stage


class StoreError(ValueError):
    """A folder that is no gradient store, or the store of something else."""


@dataclass(frozen=True)
class Part:
    """One file: an array [rows, *shape] without a header."""

    name: str
    dtype: Any
    shape: tuple[int, ...]

    def path(self, folder: Path) -> Path:
        return folder / f"{self.name}.bin"

    def open(self, folder: Path, n: int, mode: Literal["c", "r+"] = "c") -> NDArray[Any]:
        """The file mapped into memory: to be written, or private to this process, as torch wants its arrays."""
        if not n or not all(self.shape):
            return np.empty((n, *self.shape), self.dtype)
        return np.memmap(self.path(folder), self.dtype, mode, shape=(n, *self.shape))

    def count(self, folder: Path) -> int:
        """Whole rows that the file holds."""
        return self.path(folder).stat().st_size // max(self._bytes, 1)

    @property
    def _bytes(self) -> int:
        return np.dtype(self.dtype).itemsize * int(np.prod(self.shape, dtype=np.int64))

    def append(self, folder: Path, values: NDArray[Any]) -> None:
        with durable.named(self.path(folder)), self.path(folder).open("ab") as file:
            file.write(np.ascontiguousarray(values, self.dtype).tobytes())
            file.flush()
            os.fsync(file.fileno())

    def cut(self, folder: Path, n: int) -> None:
        with self.path(folder).open("ab") as file:
            file.truncate(n * self._bytes)
            os.fsync(file.fileno())


def parts(width: int, head: int) -> tuple[Part, ...]:
    """Unit rows, their norms, digests, and for the first stage heads and what these leave out (see `Basis`)."""
    return (
        Part("rows", np.float16, (width,)),
        Part("norms", np.float32, ()),
        Part("digests", np.uint8, (DIGEST,)),
        Part("heads", np.int8, (head,)),
        Part("spans", np.float32, (3,)),
    )


def move(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Make the moves that the manifest holds, then forget them. Made twice they do the same: sources stay in place."""
    moves, width = manifest["moves"], manifest["width"]
    stored = parts(width, (folder / BASIS).stat().st_size // (4 * width))
    # What is fitted again is written anew; half of it may be there already, in another width.
    for part in stored[:3] if moves["refit"] else stored:
        if moves["from"] and (n := part.count(folder)) > moves["rows"]:  # not cut yet
            array = part.open(folder, n, "r+")
            array[moves["to"]] = array[moves["from"]]
            cast("np.memmap[Any, Any]", array).flush()
            del array
        part.cut(folder, moves["rows"])
    done = manifest | {"rows": moves["rows"], "moves": None}
    if moves["refit"]:
        refit(folder, done)
    write(folder, done)
    return done


def sample(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The rows with the lowest digests: keyed hashes, so a random draw that each record decides for itself."""
    n = len(digests)
    if n <= SAMPLE:
        return np.arange(n)
    leading = np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1)
    return np.sort(np.argpartition(leading, SAMPLE)[:SAMPLE])


def refit(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The basis of the first stage from the sample, and every row's head in it."""
    n, width = manifest["rows"], manifest["width"]
    rows, _, names, *_ = parts(width, 0)
    unit = rows.open(folder, n)
    basis = principal_basis(unit[sample(names.open(folder, n))], min(_HEAD, width))
    *_, heads, spans = parts(width, len(basis.vectors))
    for part in (heads, spans):
        part.cut(folder, 0)
    for start in range(0, n, 8192):
        found = basis.quantised(unit[start : start + 8192])
        heads.append(folder, found[0])
        spans.append(folder, found[1])
    durable.replace(folder / BASIS, basis.vectors.tobytes(), mode=0o666)


def read(folder: Path) -> dict[str, Any]:
    """The manifest.

    Raises:
        StoreError: there is none, or of something else.
    """
    with suppress(OSError, ValueError):
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        if manifest.get("kind") == "gradient store":
            return manifest
    raise StoreError(f"`folder` must hold a gradient store (got {folder})")


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest as a whole."""
    durable.replace(folder / "manifest.json", json.dumps(manifest).encode(), mode=0o666)
