"""Exponential draws without a logarithm: one multiplication and one comparison in 98 of 100 cases.

The area under exp(-x) is cut into 256 layers of one size. A draw picks a layer and a point in it, from one word of 64
bits; a point left of where the next layer begins lies under the curve for sure. What is left, beside the curve or in
the tail, is decided by further draws (Marsaglia and Tsang, "The ziggurat method for generating random variables",
Journal of Statistical Software 2000). Exact up to the 53 bits of a point.
"""

from __future__ import annotations

import numpy as np

from graph_influence.coins import GOLDEN, mixed, unit
from unlearn.compiled import kernel

_TAIL, _AREA = 7.69711747013104972, 0.0039496598225815571993  # where the tail begins, and the size of a layer

_edges = np.zeros(257)  # how far each layer reaches, from the lowest, which has the tail; the topmost begins at 0
_edges[0], _edges[1] = _AREA * np.exp(_TAIL), _TAIL
for _layer in range(2, 256):
    _edges[_layer] = -np.log(_AREA / _edges[_layer - 1] + np.exp(-_edges[_layer - 1]))
_HEIGHT = np.exp(-_edges)
_WIDTH = _edges[:256] * 2.0**-53
_SURE = np.floor(_edges[1:] / _edges[:256] * 2.0**53).astype(np.uint64)


@kernel
def exponential(state: np.uint64) -> tuple[np.float64, np.uint64]:
    """An exponential draw of mean 1 from the word `state` of a stream, and the last word that it used."""
    layer = np.int64(state & np.uint64(255))
    point = state >> np.uint64(11)
    x = np.float64(point) * _WIDTH[layer]
    if point < _SURE[layer]:
        return x, state
    return _decided(layer, x, state)


@kernel
def _decided(layer: np.int64, x: np.float64, state: np.uint64) -> tuple[np.float64, np.uint64]:
    """The draw where the first word did not decide it."""
    while True:
        state = mixed(state + GOLDEN)
        if layer == 0:
            return _TAIL - np.log(1.0 - unit(state)), state
        if _HEIGHT[layer] + unit(state) * (_HEIGHT[layer + 1] - _HEIGHT[layer]) < np.exp(-x):
            return x, state
        state = mixed(state + GOLDEN)
        layer = np.int64(state & np.uint64(255))
        point = state >> np.uint64(11)
        x = np.float64(point) * _WIDTH[layer]
        if point < _SURE[layer]:
            return x, state
