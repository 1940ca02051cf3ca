"""Projected gradients on disk: unit rows in half precision, their norms, and whose they are by keyed digest alone.

A folder of raw arrays and one JSON manifest. Rows leave it for good: the last rows move into the places of removed
ones and the files are cut, by moves that the manifest holds before they are made and that can be repeated.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from unlearn.attribution.features import Features
from unlearn.attribution.scan import Found, scan, two_stage
from unlearn.attribution.sketch import Basis, principal_basis

DIGEST = 32  # bytes of a record's keyed digest
_SAMPLE = 8192  # rows that the basis of the first stage is fitted to
_HEAD = 128  # dimensions of the first stage
_BASIS = "basis.f32"

Similarity = Literal["cosine", "dot"]


class StoreError(ValueError):
    """A folder that is no gradient store, or the store of something else."""


@dataclass(frozen=True, eq=False)
class GradientStore:
    """A finished store; open it with `GradientStore.open`, make it with `build`.

    Rows have no order: removal moves them. `digests` [n, 32] says whose each one is.
    """

    folder: Path
    manifest: dict[str, Any]
    rows: NDArray[np.float16]  # [n, width], unit
    norms: NDArray[np.float32]  # [n]
    digests: NDArray[np.uint8]  # [n, 32]
    heads: NDArray[np.int8]  # [n, m], the rows along `basis`
    spans: NDArray[np.float32]  # [n, 3]: step of a row's head, what is lost inside the basis and outside it
    basis: Basis = field(repr=False)

    def __len__(self) -> int:
        return len(self.norms)

    @classmethod
    def open(cls, folder: Path) -> GradientStore:
        """The store in `folder`; a removal that was cut short is completed first.

        Raises:
            StoreError: there is no finished store.
        """
        manifest = _read(folder)
        if not manifest["complete"]:
            raise StoreError(f"`folder` must hold a finished store (got {manifest['rows']} rows); go on with `build`")
        if manifest["moves"] is not None:
            manifest = _move(folder, manifest)
        n, basis = manifest["rows"], Basis(np.fromfile(folder / _BASIS, np.float32).reshape(-1, manifest["width"]))
        arrays = {part.name: part.open(folder, n) for part in _parts(manifest["width"], len(basis.vectors))}
        return cls(folder, manifest, **arrays, basis=basis)

    def top(self, queries: Tensor, k: int, *, similarity: Similarity = "cosine", budget: int = 20_000) -> Found:
        """The `k` rows of highest similarity to each of the queries [q, width], in two stages.

        First the int8 heads of all rows, with a bound on what they leave out; then half-precision rows of those that
        the bound cannot rule out. Where there are more than `budget` of them the best `budget` by their heads are
        taken, and `Found.exact` says so for that query. `all_pairs` has no such limit.
        """
        _check(queries, self.manifest["width"], k, budget)
        return two_stage(self, queries, k, self._weights(similarity), budget)

    def all_pairs(self, queries: Tensor, k: int, *, similarity: Similarity = "cosine") -> Found:
        """The same by reading every row once for all queries, block by block with a running best."""
        _check(queries, self.manifest["width"], k, 1)
        return scan(self, queries, k, self._weights(similarity))

    def _weights(self, similarity: Similarity) -> NDArray[np.float32]:
        if similarity not in ("cosine", "dot"):
            raise ValueError(f'`similarity` must be "cosine" or "dot" for `GradientStore` (got {similarity!r})')
        return self.norms if similarity == "dot" else np.ones(len(self), np.float32)

    def remove(self, digests: Iterable[bytes]) -> tuple[GradientStore, int]:
        """The store without these records, and how many it held; those that it does not hold are passed over.

        Their bytes are in no file of the folder afterwards. Where a removed row had been in the sample that the first
        stage's basis was fitted to, the basis is fitted and applied again without it. This object must not be used
        afterwards.
        """
        wanted = {bytes(digest) for digest in digests}
        held = self.digests.view(f"V{DIGEST}").reshape(-1)
        gone = np.flatnonzero(np.isin(held, np.array(list(wanted), dtype=f"V{DIGEST}"))) if wanted else np.empty(0, int)
        if not len(gone):
            return self, 0
        left = len(self) - len(gone)
        last = np.setdiff1d(np.arange(left, len(self)), gone)
        stale = bool(np.isin(gone, _sample(self.digests)).any()) or left < _SAMPLE
        moves = {"rows": left, "from": last.tolist(), "to": gone[gone < left].tolist(), "refit": stale}
        manifest = self.manifest | {"moves": moves}
        _write(self.folder, manifest)
        _move(self.folder, manifest)
        return GradientStore.open(self.folder), len(gone)


def build(
    folder: Path,
    digests: Sequence[bytes],
    features: Features,
    *,
    width: int,
    source: Mapping[str, Any],
    chunk: int = 4096,
) -> GradientStore:
    """Write the features of all records into a store, chunk by chunk; going on where a killed run stopped.

    Args:
        digests: 32 bytes a record, keyed so that they reveal nothing (`ForgetSet.digest` of the record, by a key kept
            apart), all different.
        features: record indices -> rows [r, width]; asked in order.
        source: what the features are of (digests of model and data, `Projection.arguments`), as JSON. A folder that
            was begun for another source is refused.

    Raises:
        StoreError: the folder holds something else.
        ValueError: digests are not 32 bytes each or not unique, or a feature is not finite.
    """
    if {len(digest) for digest in digests} - {DIGEST} or len(set(digests)) < len(digests):
        raise ValueError(f"`digests` must be {DIGEST} bytes each and unique for `build`")
    fresh: dict[str, Any] = {"kind": "gradient store", "source": json.loads(json.dumps(dict(source))), "width": width}
    fresh |= {"total": len(digests), "rows": 0, "complete": False, "moves": None}
    if (folder / "manifest.json").exists():
        manifest = _read(folder)
        if differing := [key for key in ("source", "width") if manifest[key] != fresh[key]]:
            raise StoreError(f"`folder` holds the store of another {' and '.join(differing)}: {folder}; name another")
        if manifest["complete"]:
            return GradientStore.open(folder)
        if manifest["total"] != len(digests):
            raise StoreError(f"`folder` was begun for {manifest['total']} records (got {len(digests)}); name another")
    elif folder.exists() and any(folder.iterdir()):
        raise StoreError(f"`folder` must be new, empty or a store for `build` (got {folder})")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        manifest = fresh
        _write(folder, manifest)
    rows, norms, names, *_ = _parts(width, 0)
    for part in (rows, norms, names):
        part.cut(folder, manifest["rows"])
    starts = range(manifest["rows"], len(digests), chunk)
    for start in tqdm(starts, desc="gradients", disable=None, leave=False):
        stop = min(start + chunk, len(digests))
        found = features(torch.arange(start, stop)).float()
        sizes = found.norm(dim=1)
        if not bool(sizes.isfinite().all()):
            raise ValueError(f"features must be finite for `build` (got nan or inf among records {start} to {stop})")
        unit = found / sizes.clamp_min(1e-30)[:, None]
        rows.append(folder, unit.half().numpy())
        norms.append(folder, sizes.numpy())
        names.append(folder, np.frombuffer(b"".join(digests[start:stop]), np.uint8))
        manifest["rows"] = stop
        _write(folder, manifest)
    _refit(folder, manifest)
    _write(folder, manifest | {"complete": True})
    return GradientStore.open(folder)


# ---- files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
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
        with self.path(folder).open("ab") as file:
            file.write(np.ascontiguousarray(values, self.dtype).tobytes())
            file.flush()
            os.fsync(file.fileno())

    def cut(self, folder: Path, n: int) -> None:
        with self.path(folder).open("ab") as file:
            file.truncate(n * self._bytes)
            os.fsync(file.fileno())


def _parts(width: int, head: int) -> tuple[_Part, ...]:
    return (
        _Part("rows", np.float16, (width,)),
        _Part("norms", np.float32, ()),
        _Part("digests", np.uint8, (DIGEST,)),
        _Part("heads", np.int8, (head,)),
        _Part("spans", np.float32, (3,)),
    )


def _move(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Make the moves that the manifest holds, then forget them. Made twice they do the same: sources stay in place."""
    moves = manifest["moves"]
    head = (folder / _BASIS).stat().st_size // (4 * manifest["width"])
    for part in _parts(manifest["width"], head):
        if moves["from"] and (n := part.count(folder)) > moves["rows"]:  # not cut yet
            array = part.open(folder, n, "r+")
            array[moves["to"]] = array[moves["from"]]
            cast("np.memmap[Any, Any]", array).flush()
            del array
        part.cut(folder, moves["rows"])
    done = manifest | {"rows": moves["rows"], "moves": None}
    if moves["refit"]:
        _refit(folder, done)
    _write(folder, done)
    return done


def _sample(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The rows with the lowest digests: keyed hashes, so a random draw that each record decides for itself."""
    n = len(digests)
    if n <= _SAMPLE:
        return np.arange(n)
    leading = np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1)
    return np.sort(np.argpartition(leading, _SAMPLE)[:_SAMPLE])


def _refit(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The basis of the first stage from the sample, and every row's head in it."""
    n, width = manifest["rows"], manifest["width"]
    rows, _, names, *_ = _parts(width, 0)
    unit = rows.open(folder, n)
    basis = principal_basis(unit[_sample(names.open(folder, n))], min(_HEAD, width))
    *_, heads, spans = _parts(width, len(basis.vectors))
    for part in (heads, spans):
        part.cut(folder, 0)
    for start in range(0, n, 8192):
        found = basis.quantised(unit[start : start + 8192])
        heads.append(folder, found[0])
        spans.append(folder, found[1])
    (folder / _BASIS).write_bytes(basis.vectors.tobytes())


def _read(folder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        if manifest.get("kind") == "gradient store":
            return manifest
    raise StoreError(f"`folder` must hold a gradient store (got {folder})")


def _write(folder: Path, manifest: Mapping[str, Any]) -> None:
    part = folder / "manifest.json.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.move(part, folder / "manifest.json")


def _check(queries: Tensor, width: int, k: int, budget: int) -> None:
    wrong: list[str] = []
    if queries.dim() != 2 or queries.shape[1] != width:
        wrong.append(f"`queries` must have shape [q, {width}] (got {list(queries.shape)})")
    if k < 1:
        wrong.append(f"`k` must be a positive integer (got {k})")
    if budget < 1:
        wrong.append(f"`budget` must be a positive integer (got {budget})")
    if wrong:
        raise ValueError("\n".join(wrong))
