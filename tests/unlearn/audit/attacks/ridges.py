"""A pool of ridge regressions in closed form, thousands a second: the tiny problem on which audits are calibrated.

As in a real pool, every model is trained on a random half of the records (models 2k and 2k + 1 are complements), then
made to forget the part of the request that it was trained on. Every draw has data, halves and noise of its own, so
draws are independent of each other; nothing is reused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unlearn.audit.attacks import Evidence
from unlearn.audit.signals import Signals

Floats = NDArray[np.float64]
PENALTY, NOISE = 0.1, 0.05


@dataclass(frozen=True)
class Sizes:
    models: int = 24
    forget: int = 12
    retain: int = 18
    held_out: int = 12
    columns: int = 12  # nearly as many as a half has records, so that each leaves its mark


def draw(seed: int, *, left: float = 0.0, sizes: Sizes | None = None, relearning: int = 12) -> Evidence:
    """All evidence of a method that leaves the share `left` of what the forgotten had done to the parameters.

    0 is an exact retrain by another seed of the noise, 1 does nothing. `retrained` and `clean` are the second half of
    the models, retrained; "unknown" is a part of the forgotten under another name.
    """
    sizes = sizes or Sizes()
    generator = np.random.default_rng(seed)
    n, k = sizes.forget + sizes.retain, sizes.models
    x = generator.normal(size=(n + sizes.held_out, sizes.columns))
    y = x @ generator.normal(size=sizes.columns) + 2 * generator.normal(size=len(x))
    first = generator.random((k // 2, n)) < 0.5
    member = np.stack([first, ~first], 1).reshape(k, n)
    forgotten = np.arange(n) < sizes.forget

    def fitted(mask: Floats) -> Floats:
        """Weights [models, columns] of the records that each model has, and the noise of its training."""
        gram = np.einsum("kn,nc,nd->kcd", mask, x[:n], x[:n]) + PENALTY * np.eye(sizes.columns)
        weights = np.linalg.solve(gram, np.einsum("kn,nc,n->kc", mask, x[:n], y[:n])[..., None])[..., 0]
        return weights + NOISE * generator.normal(size=weights.shape)

    def said(weights: Floats) -> Floats:
        """Log-likelihood [models, examples] of every record under unit noise."""
        return -0.5 * np.square(weights @ x.T - y)

    remaining = (member & ~forgotten).astype(np.float64)
    before, retrained, again = fitted(member.astype(np.float64)), fitted(remaining), fitted(remaining)
    after = left * before + (1 - left) * again
    groups = {
        "forget": slice(0, sizes.forget),
        "retain": slice(sizes.forget, n),
        "held_out": slice(n, n + sizes.held_out),
        "unknown": slice(0, sizes.forget),
    }
    everyone = np.concatenate([member, np.zeros((k, sizes.held_out), dtype=np.bool_)], axis=1)
    parts: dict[str, Signals] = {}
    for stage, weights in (("before", before), ("unlearned", after), ("reinserted", after)):
        for group, where in groups.items():
            parts[f"{stage}.{group}"] = _signals(said(weights)[:, where], everyone[:, where])
    others = tuple(range(k // 2, k))
    for stage in ("retrained", "clean"):
        for group, where in groups.items():
            parts[f"{stage}.{group}"] = _signals(said(retrained)[k // 2 :, where], everyone[k // 2 :, where], others)
    if relearning:
        for stage, weights in (("before", before), ("unlearned", after), ("retrained", retrained)):
            curves = -_losses(weights, x[: sizes.forget], y[: sizes.forget], relearning)
            rows = slice(k // 2, k) if stage == "retrained" else slice(0, k)
            none = np.zeros_like(curves[rows], dtype=np.bool_)
            parts[f"{stage}.relearning"] = _signals(curves[rows], none, others if stage == "retrained" else None)
    return Evidence(parts)


def _losses(weights: Floats, x: Floats, y: Floats, steps: int) -> Floats:
    """Loss [models, steps + 1] on the forgotten while gradient descent learns them."""
    found: list[Floats] = []
    for _ in range(steps + 1):
        errors = weights @ x.T - y
        found.append(0.5 * np.square(errors).sum(1))
        weights = weights - 0.01 * errors @ x
    return np.stack(found, axis=1)


def _signals(values: Floats, member: NDArray[np.bool_], models: tuple[int, ...] | None = None) -> Signals:
    numbers = tuple(range(len(values))) if models is None else models
    blocks = torch.tensor(numbers) // 2
    return Signals(torch.from_numpy(values.copy()), torch.from_numpy(member.copy()), blocks, numbers)
