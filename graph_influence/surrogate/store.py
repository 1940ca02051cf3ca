"""A surrogate as one file: safetensors with its name and arguments, nothing pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from graph_influence.surrogate.base import Surrogate, surrogate
from unlearn.durable import replace

_FORMAT = "surrogate 1"


class StoredSurrogateError(ValueError):
    """The file holds no surrogate that can be built; the message lists every problem."""


def save_surrogate(network: Surrogate, path: str | Path, training: Mapping[str, Any] | None = None) -> None:
    """Write the surrogate in the place of whatever the file held; `training` says what it was trained by."""
    about = {"format": _FORMAT, "name": network.name, "arguments": network.arguments(), "training": training or {}}
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    replace(Path(path), save(tensors, {name: json.dumps(value) for name, value in about.items()}))


def load_surrogate(path: str | Path) -> Surrogate:
    """The surrogate of a file.

    Raises:
        FileNotFoundError: there is no such file.
        StoredSurrogateError: it holds no surrogate, or tensors of other names, shapes or dtypes than the surrogate has.
    """
    about, tensors = _read(Path(path))
    try:
        network = surrogate(about["name"], **about["arguments"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoredSurrogateError(f"{path} holds a surrogate that cannot be built: {error}") from error
    if len(kinds := {value.dtype for value in tensors.values()}) == 1:
        network = network.to(kinds.pop())
    expected = network.state_dict()
    problems = [
        f"`{name}` must be {_kind(expected.get(name))} (got {_kind(tensors.get(name))})"
        for name in sorted(expected.keys() | tensors.keys())
        if _kind(expected.get(name)) != _kind(tensors.get(name))
    ]
    if problems:
        raise StoredSurrogateError(f"{path} cannot be loaded:\n  - " + "\n  - ".join(problems) + "\nTrain it again.")
    network.load_state_dict(tensors)
    return network


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be a file that holds a surrogate (there is none)")
    try:
        with safe_open(path, "pt") as file:
            about = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            names: list[str] = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise StoredSurrogateError(f"{path} must hold a surrogate (it cannot be read: {error}); train it") from error
    if about.get("format") != _FORMAT:
        raise StoredSurrogateError(
            f"{path} must hold a surrogate of format {_FORMAT!r} (got {about.get('format')!r}); train it again"
        )
    return about, tensors


def _kind(value: Tensor | None) -> str:
    return "absent" if value is None else f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
