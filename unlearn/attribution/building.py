"""Making a gradient store, chunk by chunk, from where a killed run stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from unlearn import durable
from unlearn.attribution.features import Features
from unlearn.attribution.layout import DIGEST, StoreError, parts, read, refit, write
from unlearn.attribution.store import GradientStore


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
            was begun for another source, or with other records, is refused: where somebody is to be forgotten of whom
            half a store may hold something, it is deleted.

    Raises:
        StoreError: the folder holds something else, or records that are not asked for.
        ValueError: digests are not 32 bytes each or not unique, or features are not finite or of another shape.
    """
    if {len(digest) for digest in digests} - {DIGEST} or len(set(digests)) < len(digests):
        raise ValueError(f"`digests` must be {DIGEST} bytes each and unique for `build`")
    rows, norms, names, *_ = parts(width, 0)
    fresh: dict[str, Any] = {"kind": "gradient store", "source": json.loads(json.dumps(dict(source))), "width": width}
    fresh |= {"total": len(digests), "rows": 0, "complete": False, "moves": None}
    if (folder / "manifest.json").exists():
        manifest = read(folder)
        if differing := [key for key in ("source", "width") if manifest[key] != fresh[key]]:
            raise StoreError(f"`folder` holds the store of another {' and '.join(differing)}: {folder}; name another")
        if manifest["complete"]:
            store = GradientStore.open(folder)
            if others := len({row.tobytes() for row in store.digests}.difference(digests)):
                raise StoreError(f"`folder` holds {others} records that are not among `digests`; `remove` them first")
            return store
        begun = names.open(folder, manifest["rows"]).tobytes()
        if manifest["total"] != len(digests) or begun != b"".join(digests[: manifest["rows"]]):
            raise StoreError(f"`folder` was begun for other records (got {folder}); delete it, or name another")
    elif folder.exists() and set(folder.iterdir()) - {durable.unfinished(folder / "manifest.json")}:
        raise StoreError(f"`folder` must be new, empty or a store for `build` (got {folder})")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        manifest = fresh
        write(folder, manifest)
    for part in (rows, norms, names):
        part.cut(folder, manifest["rows"])
    starts = range(manifest["rows"], len(digests), chunk)
    for start in tqdm(starts, desc="gradients", disable=None, leave=False):
        stop = min(start + chunk, len(digests))
        found = features(torch.arange(start, stop)).float()
        if found.shape != (stop - start, width):
            raise ValueError(
                f"`features` must return shape [{stop - start}, {width}] for `build` (got {list(found.shape)})"
            )
        # In single precision the squares of a well-fitted record's gradient may all be 0.
        lengths = found.norm(dim=1, dtype=torch.float64)
        sizes = lengths.float()
        if not bool(sizes.isfinite().all()):
            raise ValueError(f"features must be finite for `build` (got nan or inf among records {start} to {stop})")
        unit = found / lengths.clamp_min(1e-300)[:, None]
        rows.append(folder, unit.half().numpy())
        norms.append(folder, sizes.numpy())
        names.append(folder, np.frombuffer(b"".join(digests[start:stop]), np.uint8))
        manifest["rows"] = stop
        write(folder, manifest)
    refit(folder, manifest)
    write(folder, manifest | {"complete": True})
    return GradientStore.open(folder)
