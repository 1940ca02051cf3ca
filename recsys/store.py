"""A model on disk: safetensors, a JSON manifest and two Parquet files of ids; no interactions, nothing pickled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import Vocabulary
from recsys.models import build
from recsys.objectives import objective
from recsys.problem import RecommenderProblem
from recsys.recommend import Ranker
from recsys.train import TrainingOptions
from unlearn.problem import History, Params

FORMAT = 1
LOADER = "recsys.store:load_ranker"
_READOUT = "readout."
_PARAMS = "params."
_TRAINING = ("residual", "seconds", "seed", "removed")
_FILES = ("model.safetensors", "users.parquet", "items.parquet")


class StoredModelError(ValueError):
    """A stored model is damaged, is of another kind, or does not fit; the message lists every problem."""


def save(problem: RecommenderProblem, directory: Path, *, overwrite: bool = False) -> str:
    """Write the model to `directory` and return its digest; forgotten ids are in none of its files.

    Raises:
        FileExistsError: the directory holds something else already, and `overwrite` was not given.
    """
    directory = Path(directory)
    users, items = problem.readout()
    tensors = {f"{_PARAMS}{name}": value for name, value in problem.params.items()}
    tensors |= {
        # Copies: a readout may be a view of the parameters, and safetensors stores no memory twice.
        f"{_READOUT}users": users.clone(),
        f"{_READOUT}items": items.clone(),
        f"{_READOUT}popularity": torch.from_numpy(problem.data.degrees()[1]),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    options = vars(problem.options) | {"keep": sorted(problem.options.keep)}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "loader": LOADER,
        "model": {"name": problem.model.name, "arguments": problem.model.arguments()},
        "objective": {"name": problem.objective_function.name, "arguments": problem.objective_function.arguments()},
        "options": options,
        "training": {name: getattr(problem.history, name) for name in _TRAINING},
        "users": problem.data.n_users,
        "items": problem.data.n_items,
        "tensors": {name: _kind(value) for name, value in tensors.items()},
    }
    described = json.dumps(manifest, sort_keys=True).encode()
    content = hashlib.sha256(described + b"".join(_digest_of(tensors[name]) for name in sorted(tensors)))
    for ids in (problem.data.users, problem.data.items):
        content.update(repr((ids.kind, ids.take(np.arange(len(ids))))).encode())
    manifest["digest"] = content.hexdigest()
    _refuse(directory, manifest["digest"], overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    # Without a manifest a half-written directory is no model; it goes first and comes last.
    (directory / "manifest.json").unlink(missing_ok=True)
    save_file(tensors, directory / _FILES[0])
    for name, ids in zip(_FILES[1:], (problem.data.users, problem.data.items), strict=True):
        pq.write_table(_table(ids), directory / name)
    manifest["files"] = {name: _sha256(directory / name) for name in _FILES}
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return manifest["digest"]


def load(directory: Path, data: Interactions) -> RecommenderProblem:
    """The stored model on `data`, the interactions that it was trained on or what remains of them.

    Raises:
        StoredModelError: a file is missing or was changed, a tensor does not fit, or `data` has other ids.
    """
    manifest, tensors = _read(Path(directory))
    problems = [
        f"`data` must have the {name} of the stored model, row by row (they differ)"
        for name, ids in (("users", data.users), ("items", data.items))
        if _vocabulary(Path(directory) / f"{name}.parquet") != ids
    ]
    if problems:
        raise StoredModelError(f"{directory} does not fit this data:\n  - " + "\n  - ".join(problems))
    params = {name.removeprefix(_PARAMS): value for name, value in tensors.items() if name.startswith(_PARAMS)}
    model = build(manifest["model"]["name"], data.n_users, data.n_items, **manifest["model"]["arguments"])
    _check_params(Path(directory), params, dict(model.named_parameters()))
    options: dict[str, Any] = manifest["options"]
    options["keep"] = frozenset(options["keep"])
    built = RecommenderProblem.build(
        data,
        model=model,
        objective=objective(manifest["objective"]["name"], **manifest["objective"]["arguments"]),
        options=TrainingOptions(**options),
        dtype=next(iter(params.values())).dtype,
    )
    return built.with_params(params, history=History(**manifest["training"]))


def load_ranker(directory: Path) -> Ranker:
    """What serving needs of the stored model.

    Raises:
        StoredModelError: a file is missing or was changed, or a tensor does not fit.
    """
    directory = Path(directory)
    _, tensors = _read(directory)
    return Ranker(
        tensors[f"{_READOUT}users"],
        tensors[f"{_READOUT}items"],
        _vocabulary(directory / "users.parquet"),
        _vocabulary(directory / "items.parquet"),
        tensors[f"{_READOUT}popularity"],
    )


def _read(directory: Path) -> tuple[dict[str, Any], Params]:
    """Manifest and tensors, after every file has been compared with the manifest."""
    path = directory / "manifest.json"
    if not path.is_file():
        raise StoredModelError(f"{directory} must hold a stored model (there is no manifest.json); save it again")
    manifest = json.loads(path.read_text("utf-8"))
    if manifest.get("format") != FORMAT:
        raise StoredModelError(
            f"{directory} must be of format {FORMAT} (got {manifest.get('format')!r}); save it again with this version"
        )
    problems = [
        f"{name} must exist" if not (directory / name).is_file() else f"{name} was changed after it was saved"
        for name, expected in manifest["files"].items()
        if not (directory / name).is_file() or _sha256(directory / name) != expected
    ]
    if not problems:
        tensors = load_file(directory / _FILES[0])
        expected: dict[str, Any] = manifest["tensors"]
        problems = [
            f"`{name}` must be {expected.get(name, 'absent')} "
            f"(got {_kind(tensors[name]) if name in tensors else 'none'})"
            for name in sorted(expected.keys() | tensors.keys())
            if name not in tensors or _kind(tensors[name]) != expected.get(name)
        ]
        if not problems:
            return manifest, tensors
    raise StoredModelError(f"{directory} cannot be loaded:\n  - " + "\n  - ".join(problems) + "\nSave the model again.")


def _check_params(directory: Path, params: Params, expected: dict[str, Any]) -> None:
    """Names and shapes; a table may be wider than the model was built with, for rank may have grown."""
    problems = [
        f"`{name}` must have shape {list(expected[name].shape) if name in expected else 'none: it is unknown'} "
        f"(got {list(params[name].shape) if name in params else 'none: it is missing'})"
        for name in sorted(expected.keys() | params.keys())
        if name not in params
        or name not in expected
        or params[name].shape[0] != expected[name].shape[0]
        or params[name].dim() != expected[name].dim()
    ]
    if problems:
        raise StoredModelError(f"{directory} does not fit its model:\n  - " + "\n  - ".join(problems))


def _refuse(directory: Path, digest: str, overwrite: bool) -> None:
    if overwrite or not directory.exists() or not any(directory.iterdir()):
        return
    manifest = directory / "manifest.json"
    there = json.loads(manifest.read_text("utf-8")).get("digest") if manifest.is_file() else "no model"
    if there != digest:
        raise FileExistsError(
            f"`directory` must be empty or hold this very model for `save` (got {directory} with {there}); "
            "choose another, or pass overwrite=True"
        )


def _table(ids: Vocabulary) -> Any:
    """Row and id; a forgotten row has no id."""
    kind = pa.int64() if ids.kind == "int" else pa.string()
    rows = np.arange(len(ids))
    return pa.table({"row": pa.array(rows), "id": pa.array(ids.take(rows), type=kind)})


def _vocabulary(path: Path) -> Vocabulary:
    column = pq.read_table(path, columns=["id"])["id"]
    return Vocabulary.restore(column.to_pylist(), "int" if pa.types.is_integer(column.type) else "str")


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _digest_of(value: Tensor) -> bytes:
    return hashlib.sha256(value.numpy().tobytes()).digest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
