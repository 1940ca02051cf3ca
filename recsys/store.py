"""A model on disk: safetensors, a JSON manifest and two Parquet files of ids; no interactions, nothing pickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor

from recsys.closed_form import ClosedForm, closed_form
from recsys.data.interactions import Interactions
from recsys.models import build
from recsys.objectives import objective
from recsys.problem import RecommenderProblem
from recsys.recommend import Ranker
from recsys.train import TrainingOptions
from unlearn import durable
from unlearn.digests import digest_of_file
from unlearn.history import History, prefixed
from unlearn.params import Params
from unlearn.vocabulary import Vocabulary

Storable = RecommenderProblem | ClosedForm
FORMAT = 2
LOADER = "recsys.store:load_ranker"
_TABLES = ("readout.users", "readout.items")  # only of a model that has tables
_POPULARITY = "readout.popularity"
_PARAMS = "params."
_MANIFEST = "manifest.json"
_TENSORS = "model.safetensors"
_USERS, _ITEMS = "users.parquet", "items.parquet"
_KEPT = "history.safetensors"  # only where training kept something


class StoredModelError(ValueError):
    """A stored model is damaged, is of another kind, or does not fit; the message lists every problem."""


def save(model: Storable, directory: str | Path, *, overwrite: bool = False) -> str:
    """Write the model to `directory` and return its digest; forgotten ids are in none of its files.

    Raises:
        FileExistsError: the directory holds something else already, and `overwrite` was not given.
    """
    directory = Path(directory)
    tensors = {f"{_PARAMS}{name}": value for name, value in model.params.items()}
    tensors[_POPULARITY] = torch.from_numpy(model.data.degrees()[1])
    if (tables := model.factors()) is not None:
        # Copies: a readout may be a view of the parameters, and safetensors stores no memory twice.
        tensors |= {name: table.clone() for name, table in zip(_TABLES, tables, strict=True)}
    kept = model.history.tensors()
    files = {_TENSORS: tensors} | ({_KEPT: kept} if kept else {})
    files = {
        file: {name: value.detach().cpu().contiguous() for name, value in held.items()} for file, held in files.items()
    }
    tensors = {name: value for held in files.values() for name, value in held.items()}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "loader": LOADER,
        **_described(model),
        "training": model.history.facts(),
        "checkpoints": [one.epoch for one in model.history.checkpoints],
        "users": model.data.n_users,
        "items": model.data.n_items,
        "tensors": {name: _kind(value) for name, value in tensors.items()},
    }
    manifest["digest"] = _content_digest(manifest, tensors, (model.data.users, model.data.items))
    _refuse(directory, manifest["digest"], overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    # Without a manifest a half-written directory is no model; it goes first and comes last. Whoever loaded the others
    # has them mapped into memory, so they are not written over.
    for name in (_MANIFEST, _TENSORS, _KEPT, _USERS, _ITEMS):
        (directory / name).unlink(missing_ok=True)
    with durable.named(directory):
        for name, held in files.items():
            # `save_file`, killed, leaves a file of a name that nobody knows.
            (directory / name).write_bytes(packed(held))
        for name, ids in ((_USERS, model.data.users), (_ITEMS, model.data.items)):
            pq.write_table(_table(ids), directory / name)
        manifest["files"] = {name: digest_of_file(directory / name) for name in (*files, _USERS, _ITEMS)}
        (directory / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return manifest["digest"]


def load(directory: str | Path, data: Interactions) -> Storable:
    """The stored model on `data`, the interactions that it was trained on or what remains of them.

    Raises:
        StoredModelError: a file is missing or was changed, a tensor does not fit, or `data` has other ids.
    """
    manifest, tensors = _read(Path(directory))
    problems = [
        f"`data` must have the {name} of the stored model, row by row (they differ)"
        for name, ids, stored in (("users", data.users, user_ids), ("items", data.items, item_ids))
        if not ids.remains_of(stored(directory))
    ]
    if problems:
        raise StoredModelError(f"{directory} does not fit this data:\n  - " + "\n  - ".join(problems))
    params = prefixed(tensors, _PARAMS)
    history = History.restored(manifest["training"], tensors, manifest["checkpoints"])
    built = _built(manifest, data, tensors)
    if isinstance(built, ClosedForm):
        return replace(built, params=params, history=history)
    _check_params(Path(directory), params, built.params)
    return built.with_params(params, history=history)


def untrained(directory: str | Path, data: Interactions) -> Storable:
    """A model made like the stored one, on any data, before its training; call `fit` on it.

    Raises:
        StoredModelError: a file is missing or was changed, or a tensor does not fit.
    """
    manifest, tensors = _read(Path(directory))
    return _built(manifest, data, tensors)


def load_ranker(directory: str | Path) -> Ranker:
    """What serving needs of the stored model.

    Raises:
        StoredModelError: a file is missing or was changed, a tensor does not fit, or the model has no tables: it
            scores from interactions, which are not stored with it.
    """
    directory = Path(directory)
    _, tensors = _read(directory)
    if not all(name in tensors for name in _TABLES):
        raise StoredModelError(f"{directory} must hold a model with user and item tables (got none); load it with data")
    users, items = (tensors[name] for name in _TABLES)
    return Ranker(users, items, user_ids(directory), item_ids(directory), tensors[_POPULARITY])


def solved(directory: str | Path) -> bool:
    """Whether the stored model is one in closed form."""
    return "closed_form" in json.loads((Path(directory) / _MANIFEST).read_text("utf-8"))


def digest(directory: str | Path) -> str:
    """Of the stored model, as `save` returned it."""
    return json.loads((Path(directory) / _MANIFEST).read_text("utf-8"))["digest"]


def user_ids(directory: str | Path) -> Vocabulary:
    """The users that the stored model knows, by row."""
    return _vocabulary(Path(directory) / _USERS)


def item_ids(directory: str | Path) -> Vocabulary:
    """The items that the stored model knows, by row."""
    return _vocabulary(Path(directory) / _ITEMS)


def _built(manifest: dict[str, Any], data: Interactions, tensors: Params) -> Storable:
    """What the manifest describes, on these data; `tensors` are asked for their type alone."""
    if "closed_form" in manifest:
        arguments = manifest["closed_form"]["arguments"]
        dtype = getattr(torch, arguments["dtype"])
        return closed_form(manifest["closed_form"]["name"], data, **arguments | {"dtype": dtype})
    model = build(manifest["model"]["name"], data.n_users, data.n_items, **manifest["model"]["arguments"])
    options: dict[str, Any] = dict(manifest["options"])
    options["keep"] = frozenset(options["keep"])
    return RecommenderProblem.build(
        data,
        model=model,
        objective=objective(manifest["objective"]["name"], **manifest["objective"]["arguments"]),
        options=TrainingOptions(**options),
        dtype=tensors[_TABLES[0]].dtype,
    )


def _described(model: Storable) -> dict[str, Any]:
    """What builds the same model on other data, as JSON has it."""
    if isinstance(model, ClosedForm):
        arguments = model.arguments() | {"dtype": str(model.dtype).removeprefix("torch.")}
        return {"closed_form": {"name": model.name, "arguments": arguments}}
    return model.configuration()


def _read(directory: Path) -> tuple[dict[str, Any], Params]:
    """Manifest and tensors, after every file has been compared with the manifest."""
    path = directory / _MANIFEST
    if not path.is_file():
        raise StoredModelError(f"{directory} must hold a stored model (there is no manifest.json); save it again")
    manifest = _manifest(path)
    if not manifest:
        raise StoredModelError(f"{directory} must have a whole manifest.json (it was cut off); save the model again")
    if manifest.get("format") != FORMAT:
        raise StoredModelError(
            f"{directory} must be of format {FORMAT} (got {manifest.get('format')!r}); train it again with this version"
        )
    if absent := {"files", "tensors", "digest"} - manifest.keys():
        raise StoredModelError(f"{directory} must have its {', '.join(sorted(absent))} in manifest.json; save it again")
    problems = [
        f"{name} must exist" if not (directory / name).is_file() else f"{name} was changed after it was saved"
        for name, expected in manifest["files"].items()
        if not (directory / name).is_file() or digest_of_file(directory / name) != expected
    ]
    if not problems:
        stored = [name for name in manifest["files"] if name.endswith(".safetensors")]
        tensors = {name: value for file in stored for name, value in load_file(directory / file).items()}
        expected: dict[str, Any] = manifest["tensors"]
        problems = [
            f"`{name}` must be {expected.get(name, 'absent')} "
            f"(got {_kind(tensors[name]) if name in tensors else 'none'})"
            for name in sorted(expected.keys() | tensors.keys())
            if name not in tensors or _kind(tensors[name]) != expected.get(name)
        ]
        if not problems:
            ids = user_ids(directory), item_ids(directory)
            described = {name: value for name, value in manifest.items() if name not in ("digest", "files")}
            if _content_digest(described, tensors, ids) == manifest["digest"]:
                return manifest, tensors
            problems = ["manifest.json was changed after it was saved (its digest is of something else)"]
    raise StoredModelError(f"{directory} cannot be loaded:\n  - " + "\n  - ".join(problems) + "\nSave the model again.")


def _manifest(path: Path) -> dict[str, Any]:
    """What the file says; nothing where it is no object of JSON, as when writing it was cut off."""
    with suppress(ValueError):
        if isinstance(found := json.loads(path.read_text("utf-8")), dict):
            return cast("dict[str, Any]", found)
    return {}


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
    manifest = directory / _MANIFEST
    there = _manifest(manifest).get("digest", "no model") if manifest.is_file() else "no model"
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


def _content_digest(described: Mapping[str, Any], tensors: Params, ids: Iterable[Vocabulary]) -> str:
    """Of everything that makes the model what it is: certificates name it, so that it binds all files to them."""
    content = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(tensors):
        content.update(_digest_of(tensors[name]))
    for one in ids:
        content.update(repr((one.kind, one.take(np.arange(len(one))))).encode())
    return content.hexdigest()


def _digest_of(value: Tensor) -> bytes:
    return hashlib.sha256(value.numpy().tobytes()).digest()
