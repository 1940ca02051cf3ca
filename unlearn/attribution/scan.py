"""The k most similar rows: by reading all of them, or by bytes first and half precision for what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearn.attribution.sketch import Basis
from unlearn.compiled import kernel

_BLOCK = 512  # rows converted at a time: in single precision they stay in the processor's cache
_STEPS = 32_000  # of a query's largest coordinate; with bytes and a few hundred dimensions sums stay within 32 bits
_ROUNDING = 1e-5  # of a query's length: what single precision may lose in a similarity, generously


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Rows [q, k], best first, and their similarities. `exact` [q]: no other row can be among the best."""

    rows: Tensor
    scores: Tensor
    exact: Tensor
    candidates: Tensor  # [q], rows that were read in half precision


def scan(rows: NDArray[np.float16], queries: Tensor, k: int, weights: NDArray[np.float32]) -> Found:
    """Every row [n, width], by its weight [n], against every query [q, width], with a running best."""
    n, k = len(rows), min(k, len(rows))
    columns = queries.float().T.contiguous()
    best = torch.full((len(queries), k), -torch.inf)
    where = torch.zeros(len(queries), k, dtype=torch.int64)
    for start in range(0, n, _BLOCK):
        part = slice(start, start + _BLOCK)
        similar = (torch.from_numpy(rows[part]).float() @ columns).T * torch.from_numpy(weights[part])
        numbers = torch.arange(start, start + similar.shape[1]).expand_as(similar)
        best, place = torch.cat([best, similar], 1).topk(k, 1)
        where = torch.cat([where, numbers], 1).gather(1, place)
    return Found(where, best, torch.ones(len(queries), dtype=torch.bool), torch.full((len(queries),), n))


def two_stage(
    rows: NDArray[np.float16],
    heads: NDArray[np.int8],
    spans: NDArray[np.float32],
    basis: Basis,
    queries: Tensor,
    k: int,
    weights: NDArray[np.float32],
    budget: int,
) -> Found:
    """Bytes of all rows with a bound on what they leave out, then half precision where the bound leaves it open.

    The bytes `heads` and `spans` are those of a `GradientStore`; otherwise as `scan`.
    """
    n, k = len(rows), min(k, len(rows))
    centres, uppers = np.empty(n, np.float32), np.empty(n, np.float32)
    best, scores = torch.zeros(len(queries), k, dtype=torch.int64), torch.zeros(len(queries), k)
    exact, read = torch.zeros(len(queries), dtype=torch.bool), torch.zeros(len(queries), dtype=torch.int64)
    # Scaled to the size of numbers whose squares single precision can hold.
    sizes = queries.float().abs().amax(1, keepdim=True)
    sizes[sizes == 0] = 1.0
    for number, query in enumerate((queries.float() / sizes).numpy()):
        head = basis.vectors @ query
        step = np.float32(max(float(np.abs(head).max(initial=0.0)) / _STEPS, 1e-30))
        integers = np.rint(head / step).astype(np.int16)
        rest = np.float32(np.linalg.norm(head - step * integers) + _ROUNDING * np.linalg.norm(query))
        outside = np.float32(np.linalg.norm(query - basis.vectors.T @ head))
        inside = np.float32(np.linalg.norm(head)) + rest
        lowest = _bounds(heads, spans, weights, integers, step, inside, outside, rest, np.empty(k), centres, uppers)
        open_ = uppers >= lowest
        exact[number] = bool(np.count_nonzero(open_) <= budget)
        if not exact[number]:
            # About as many as the budget, by a sample: to sort a million takes longer than to read their bytes.
            wanted = min(max(budget, 2 * k), n)
            sample = centres[:: max(1, n // (32 * budget))]
            least = len(sample) - (wanted * len(sample) // n or 1)
            open_ = centres >= np.partition(sample, least)[least]
            if np.count_nonzero(open_) < k:  # a sample of few rows may set the threshold too high
                open_ = centres >= np.partition(centres, n - wanted)[n - wanted]
        candidates = np.flatnonzero(open_)
        read[number] = len(candidates)
        similar = torch.from_numpy(rows[candidates]).float() @ torch.from_numpy(query)
        scores[number], place = (similar * torch.from_numpy(weights[candidates])).topk(k)
        best[number] = torch.from_numpy(candidates)[place]
    return Found(best, scores * sizes, exact, read)


@kernel
def _bounds(
    heads: NDArray[np.int8],
    spans: NDArray[np.float32],
    weights: NDArray[np.float32],
    integers: NDArray[np.int16],
    step: np.float32,
    inside: np.float32,
    outside: np.float32,
    rest: np.float32,
    best: NDArray[np.float64],
    centres: NDArray[np.float32],
    uppers: NDArray[np.float32],
) -> float:
    """Fills for every row the similarity by bytes and its upper bound; returns the k-th best lower bound."""
    best[:] = -np.inf
    lowest = 0
    for i in range(heads.shape[0]):
        total = np.int32(0)
        for j in range(heads.shape[1]):
            total += np.int32(heads[i, j]) * np.int32(integers[j])
        centre = total * step * spans[i, 0] * weights[i]
        spread = (inside * spans[i, 1] + outside * spans[i, 2] + rest) * weights[i]
        centres[i] = centre
        uppers[i] = centre + spread
        if centre - spread > best[lowest]:
            best[lowest] = centre - spread
            lowest = np.argmin(best)
    return best[lowest]
