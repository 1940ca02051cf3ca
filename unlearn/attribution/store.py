"""Projected gradients on disk: unit rows in half precision, their norms, and whose they are by keyed digest alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unlearn.attribution.layout import BASIS, DIGEST, StoreError, move, parts, read, sample, write
from unlearn.attribution.scan import Found, scan, two_stage
from unlearn.attribution.sketch import Basis

Similarity = Literal["cosine", "dot"]


@dataclass(frozen=True, eq=False)
class GradientStore:
    """A finished store; open it with `GradientStore.open`, make it with `build`.

    Rows have no order: removal moves them. `digests` [n, 32] says whose each one is. While records are removed nobody
    else may use the folder, and whoever had opened it before opens it again to search.
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
            StoreError: there is no finished store; of a part of one no record can be removed.
        """
        manifest = read(folder)
        if not manifest["complete"]:
            raise StoreError(
                f"`folder` must hold a finished store (got {manifest['rows']} rows); go on with `build`, or delete the "
                "folder where a record of it is to go"
            )
        if manifest["moves"] is not None:
            manifest = move(folder, manifest)
        n, basis = manifest["rows"], Basis(np.fromfile(folder / BASIS, np.float32).reshape(-1, manifest["width"]))
        arrays = {part.name: part.open(folder, n) for part in parts(manifest["width"], len(basis.vectors))}
        return cls(folder, manifest, **arrays, basis=basis)

    def top(self, queries: Tensor, k: int, *, similarity: Similarity = "cosine", budget: int = 20_000) -> Found:
        """The `k` rows of highest similarity to each of the queries [q, width], in two stages.

        First the int8 heads of all rows, with a bound on what they leave out; then half-precision rows of those that
        the bound cannot rule out. Where there are more than `budget` of them the best `budget` by their heads are
        taken, and `Found.exact` says so for that query. `all_pairs` has no such limit.
        """
        _check(queries, self.manifest["width"], k, budget)
        weights = self._weights(similarity)
        return two_stage(self.rows, self.heads, self.spans, self.basis, queries, k, weights, budget)

    def all_pairs(self, queries: Tensor, k: int, *, similarity: Similarity = "cosine") -> Found:
        """The same by reading every row once for all queries, block by block with a running best."""
        _check(queries, self.manifest["width"], k, 1)
        return scan(self.rows, queries, k, self._weights(similarity))

    def _weights(self, similarity: Similarity) -> NDArray[np.float32]:
        if similarity not in ("cosine", "dot"):
            raise ValueError(f'`similarity` must be "cosine" or "dot" for `GradientStore` (got {similarity!r})')
        return self.norms if similarity == "dot" else np.ones(len(self), np.float32)

    def remove(self, digests: Iterable[bytes]) -> tuple[GradientStore, int]:
        """The store without these records, and how many it held; those that it does not hold are passed over.

        Their bytes are in no file of the folder afterwards. Where a removed row had been in the sample that the first
        stage's basis was fitted to, the basis is fitted and applied again without it. This object must not be used
        afterwards.

        Raises:
            ValueError: a digest is not 32 bytes; nothing has changed.
        """
        wanted = {bytes(digest) for digest in digests}
        if {len(digest) for digest in wanted} - {DIGEST}:
            raise ValueError(f"`digests` must be {DIGEST} bytes each for `GradientStore.remove`")
        store = GradientStore.open(self.folder)  # others may have removed records, and moved rows, since this one did
        held = store.digests.view(f"V{DIGEST}").reshape(-1)
        gone = np.flatnonzero(np.isin(held, np.array(list(wanted), dtype=f"V{DIGEST}"))) if wanted else np.empty(0, int)
        if not len(gone):
            return store, 0
        left = len(store) - len(gone)
        last = np.setdiff1d(np.arange(left, len(store)), gone)
        stale = bool(np.isin(gone, sample(store.digests)).any())
        moves = {"rows": left, "from": last.tolist(), "to": gone[gone < left].tolist(), "refit": stale}
        manifest = store.manifest | {"moves": moves}
        write(self.folder, manifest)
        move(self.folder, manifest)
        return GradientStore.open(self.folder), len(gone)


def _check(queries: Tensor, width: int, k: int, budget: int) -> None:
    wrong: list[str] = []
    if queries.dim() != 2 or queries.shape[1] != width:
        wrong.append(f"`queries` must have shape [q, {width}] (got {list(queries.shape)})")
    if not bool(queries.isfinite().all()):
        wrong.append("`queries` must be finite (got nan or inf)")
    if k < 1:
        wrong.append(f"`k` must be a positive integer (got {k})")
    if budget < 1:
        wrong.append(f"`budget` must be a positive integer (got {budget})")
    if wrong:
        raise ValueError("\n".join(wrong))
