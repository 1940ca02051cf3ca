"""Loops compiled to machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function to machine code, cached on disk, without the interpreter's lock."""
    return cast("F", numba.njit(nogil=True, cache=True)(function))
