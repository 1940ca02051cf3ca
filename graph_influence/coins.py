"""Randomness for compiled kernels: counters hashed to coins, so that a coin depends on its name and on nothing else.

The coin of arc e in run r of seed s is a function of (s, r, e): it is the same whatever was tossed before, whoever left
the graph and however many threads work. The hash is the finaliser of splitmix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unlearn.compiled import kernel
from unlearn.streams import bits

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(0xBF58476D1CE4E5B9)
_TWO = np.uint64(0x94D049BB133111EB)
_UNIT = 1.0 / 9007199254740992.0  # 2 ** -53


@kernel
def mixed(x: np.uint64) -> np.uint64:
    """A bijection of 64 bits that looks random."""
    x = np.uint64(x)
    x = (x ^ (x >> np.uint64(30))) * _ONE
    x = (x ^ (x >> np.uint64(27))) * _TWO
    return x ^ (x >> np.uint64(31))


@kernel
def stream(seed: np.uint64, run: np.uint64) -> np.uint64:
    """The key of one run: what `coin` hashes with the number of an arc, and where a sequence of draws may start."""
    return mixed(np.uint64(seed) + GOLDEN * mixed(np.uint64(run) + GOLDEN))


def purpose(seed: int, name: str) -> int:
    """The seed of one use of a seed that somebody gave: those of different names are independent.

    Cascades toss by the given seed itself. Whatever else names its coins by runs from 0 on needs a seed of its own, for
    else it tosses theirs.
    """
    return int(bits(seed, name)[0] >> np.uint64(1))


@kernel
def unit(x: np.uint64) -> float:
    """A number in [0, 1) from 64 bits: a multiple of 2 ** -53."""
    return np.float64(x >> np.uint64(11)) * _UNIT


def steps(probability: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Probabilities as numbers of steps of 2 ** -53: a coin is below p exactly where its number of steps is."""
    return np.ceil(probability * 2.0**53).astype(np.uint64)


@kernel
def coin(key: np.uint64, arc: np.uint64) -> float:
    """Uniform in [0, 1), by the key of a run and the number of an arc (or of a node, for thresholds)."""
    return unit(mixed(np.uint64(key) + GOLDEN * (np.uint64(arc) + np.uint64(1))))


@kernel
def coin_steps(key: np.uint64, arc: np.uint64) -> np.uint64:
    """The same coin as a number of steps of 2 ** -53, to be compared with those of `steps`."""
    return mixed(key + GOLDEN * (np.uint64(arc) + np.uint64(1))) >> np.uint64(11)
