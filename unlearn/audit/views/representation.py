"""Where the rows went: every model in one space, on one projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from unlearn.audit.measures import quantiles, ratio
from unlearn.audit.views.contract import Surroundings
from unlearn.problem import Fitted
from unlearn.streams import permutation

_SHOWN = 60  # rows of a group on the map


def representation(
    models: Mapping[str, Fitted], reference: Fitted, surroundings: Surroundings, *, seed: int
) -> dict[str, Any] | None:
    """Rows of the last layer after the best rotation onto the reference's, and agreement by layer.

    Scores are dot products, so a rotation of all rows changes nothing: each model is first rotated onto the reference
    (`aligned`). The map is one principal component analysis of the reference's centred rows, applied to every model.
    `distance` is |row - reference's row| over the mean length of the reference's rows, by group, as quantiles; `cka`
    the linear kernel alignment of all remaining rows with the reference's, by layer. None where models have no tables,
    or nobody remains.
    """
    targets, groups = surroundings.tables(reference), surroundings.node_groups()
    if not targets or not groups:
        return None
    tables = {name: surroundings.tables(model) for name, model in models.items()}
    tables = {name: found for name, found in tables.items() if found.keys() == targets.keys()}
    rows = torch.cat(list(groups.values()))
    last = list(targets)[-1]
    target = targets[last].double()
    moved = {name: aligned(found[last].double(), target, rows) for name, found in tables.items()}
    width = max(2, target.shape[1], *(table.shape[1] for table in moved.values()))  # a map has two axes
    wide = {name: pad(table, (0, width - table.shape[1])) for name, table in {**moved, "retrain": target}.items()}
    scale = float(target[rows].norm(dim=1).mean())
    axes, center, explained = _components(wide["retrain"][rows])
    drawn = {group: _drawn(members, seed) for group, members in groups.items()}
    return {
        "layers": list(targets),
        "explained": explained,
        "distance": {
            name: {group: _distances(wide[name][members], wide["retrain"][members], scale) for group, members in
                   groups.items()}
            for name in moved
        },
        "cka": {
            name: {layer: linear_cka(found[layer][rows], targets[layer][rows]) for layer in targets}
            for name, found in tables.items()
        },
        "map": {
            group: {
                name: [[float(f"{x:.4g}") for x in point] for point in ((table[chosen] - center) @ axes).tolist()]
                for name, table in wide.items()
            }
            for group, chosen in drawn.items()
        },
    }  # fmt: skip


def aligned(table: Tensor, target: Tensor, rows: Tensor) -> Tensor:
    """`table` [n, d] Q with the orthogonal Q that brings its `rows` nearest to those of `target` [n, e].

    Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966: Q = U V^T with U S V^T the singular
    value decomposition of table^T target. The narrower of the two is padded with zero columns, which changes no score.
    """
    width = max(table.shape[1], target.shape[1])
    left, right = pad(table, (0, width - table.shape[1])), pad(target, (0, width - target.shape[1]))
    if not bool(left[rows].isfinite().all()):
        return torch.full_like(left, nan)
    u, _, vh = torch.linalg.svd(left[rows].T @ right[rows])
    return left @ u @ vh


def linear_cka(left: Tensor, right: Tensor) -> float:
    """Kornblith et al., "Similarity of neural network representations revisited", 2019, arXiv 1905.00414, linear.

        |X^T Y|^2 / (|X^T X| |Y^T Y|)

    for the centred X [n, d] and Y [n, e]; NaN if one of them is constant.
    """
    x, y = (table.double() - table.double().mean(0) for table in (left, right))
    return ratio(float((x.T @ y).square().sum()), float((x.T @ x).norm() * (y.T @ y).norm()))


def _components(table: Tensor) -> tuple[Tensor, Tensor, list[float]]:
    """The first two principal axes [d, 2], the center [d] and the shares of the variance; signs are fixed; d > 1."""
    center = table.mean(0)
    values, vectors = torch.linalg.eigh((table - center).T @ (table - center))
    axes = vectors[:, [-1, -2]]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0), center, (values.flip(0)[:2] / values.sum()).tolist()


def _distances(left: Tensor, right: Tensor, scale: float) -> dict[str, float | int]:
    return asdict(quantiles(((left - right).norm(dim=1) / scale).tolist()))


def _drawn(rows: Tensor, seed: int) -> Tensor:
    return rows[torch.from_numpy(permutation(seed, "audit/map", rows.numpy())[:_SHOWN])]
