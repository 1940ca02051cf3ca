"""One digest for nested plain values, tensors and functions: what names a stored result by all that it came from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn


def digest(*values: Any) -> str:
    """SHA-256 (hex) of the values: equal where they are equal, in this process and in any other.

    Plain values, tensors, arrays, modules, dataclasses and nested collections go by what they hold; anything with a
    method `digest` by that. A function goes by its name, its code, its defaults and what it closes over; what it calls
    or reads elsewhere is not seen.

    Raises:
        ValueError: one of them is of another kind.
    """
    state = hashlib.sha256()
    for part in _parts(values):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 (hex) of what the file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    yield f"{type(value).__module__}.{type(value).__qualname__}".encode()
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | np.generic):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield f"{value.dtype} {list(value.shape)}".encode()
        flat = value.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
        yield flat.view(torch.uint8).numpy().tobytes()
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif not isinstance(value, type) and callable(own := getattr(value, "digest", None)):
        yield str(own()).encode()
    elif isinstance(value, nn.Module):
        yield repr(value).encode()
        yield from _parts(dict(value.state_dict()))
    elif isinstance(value, Mapping):
        yield from _sorted(cast("Mapping[Any, Any]", value).items())
    elif isinstance(value, set | frozenset):
        yield from _sorted(cast("set[Any]", value))
    elif isinstance(value, tuple | list):
        yield str(len(cast("list[Any]", value))).encode()
        for part in cast("list[Any]", value):
            yield from _parts(part)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _parts({f.name: getattr(value, f.name) for f in fields(value)})
    elif isinstance(value, functools.partial):
        yield from _parts((value.func, value.args, value.keywords))
    elif isinstance(value, FunctionType | type):
        yield from _function(value)
    elif isinstance(value, CodeType):
        yield value.co_code
        yield from _parts((value.co_consts, value.co_names))
    else:
        raise ValueError(f"a digest must be of values whose content is known (got a {type(value).__name__})")


def _function(value: Callable[..., Any]) -> Iterator[bytes]:
    yield f"{value.__module__}.{value.__qualname__}".encode()
    if isinstance(value, FunctionType):
        closed_over = tuple(cell.cell_contents for cell in value.__closure__ or ())
        yield from _parts((value.__code__, value.__defaults__, value.__kwdefaults__, closed_over))


def _sorted(values: Any) -> Iterator[bytes]:
    """In an order that does not depend on how the collection was made."""
    yield from sorted(digest(value).encode() for value in values)
