"""Rows of sets compared."""

from __future__ import annotations

import numpy as np

from graph_influence.rrsets.rows import Rows


def same_rows(one: Rows, other: Rows) -> bool:
    one, other = one.packed(), other.packed()
    return np.array_equal(one.length, other.length) and np.array_equal(one.data[: one.used], other.data[: other.used])
