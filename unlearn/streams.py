"""Counter-based random streams: a draw depends on its own key and on nothing drawn before it.

Training that draws through these streams is *coupled*: without one user, everybody else's negatives, batches
and initial rows stay what they were, bit for bit. The mixing function is SplitMix64 (Steele, Lea and Flood,
"Fast Splittable Pseudorandom Number Generators", OOPSLA 2014) absorbed once per counter.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Counter = npt.NDArray[np.uint64] | npt.NDArray[np.int64] | int

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * _A
    x = (x ^ (x >> np.uint64(27))) * _B
    return x ^ (x >> np.uint64(31))


def bits(seed: int, purpose: str, *counters: Counter) -> npt.NDArray[np.uint64]:
    """64 random bits for every combination of counters.

    Args:
        seed: the run's seed.
        purpose: names the use ("negatives", "rows", ...); different purposes are independent streams.
        counters: integers or integer arrays, broadcast together; shape of the result is the broadcast shape.
    """
    root = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=8).digest()
    state = np.asarray(int.from_bytes(root, "little"), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for counter in counters:
            word = np.asarray(counter)
            word = word.astype(np.uint64) if word.dtype != np.uint64 else word
            state = _mix((state + _GAMMA) ^ _mix(word + _GAMMA))
        return _mix(np.atleast_1d(state) + _GAMMA)


def uniforms(seed: int, purpose: str, *counters: Counter) -> npt.NDArray[np.float64]:
    """Uniform draws in [0, 1), one for every combination of counters (53 random bits each)."""
    return (bits(seed, purpose, *counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, purpose: str, *counters: Counter) -> npt.NDArray[np.int64]:
    """0, ..., n - 1 in random order, by one draw for each of n keys: without some of them the others keep theirs."""
    return np.argsort(uniforms(seed, purpose, *counters), kind="stable")


def integers(seed: int, purpose: str, high: int, *counters: Counter) -> npt.NDArray[np.int64]:
    """Uniform draws from {0, ..., high - 1}; the bias of at most high / 2^53 is below any use here.

    Raises:
        ValueError: `high` is below 1.
    """
    if high < 1:
        raise ValueError(f"`high` must be a positive integer for `integers` (got {high})")
    return (uniforms(seed, purpose, *counters) * high).astype(np.int64)


def normals(seed: int, purpose: str, *counters: Counter) -> npt.NDArray[np.float64]:
    """Standard normal draws by the Box-Muller transform, one for every combination of counters."""
    radius = np.sqrt(-2.0 * np.log1p(-uniforms(seed, purpose + "/radius", *counters)))
    return radius * np.cos(2.0 * np.pi * uniforms(seed, purpose + "/angle", *counters))
