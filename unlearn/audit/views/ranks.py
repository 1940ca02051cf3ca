"""What users see: how their lists, the items' exposure and the gap between user groups moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from typing import Any

import torch
from torch import Tensor

from unlearn.audit.contract import Panel
from unlearn.audit.measures import jaccard, quantiles
from unlearn.audit.views.contract import Surroundings
from unlearn.problem import Fitted

_PERSISTENCE = 0.9
_EXAMPLES = (0.1, 0.5, 0.9)  # users at these quantiles of how much the deletion moved their list


def rank_shift(
    models: Mapping[str, Fitted], reference: Fitted, panel: Panel, surroundings: Surroundings
) -> dict[str, Any]:
    """Lists of the affected users against the reference's, by model; `original` must be among the models.

    `jaccard` and `rbo` are quantiles over users; `exposure` is the share of all places that a group of items holds;
    `exposure_distance` the total variation between the shares of single items and the reference's; `utility` as the
    panel has it, groups of users included; `fairness_gap` the NDCG of the most active group less that of the least
    active. `examples` are single users without ids, their items numbered by first
    appearance: the number means nothing beyond its example.
    """
    groups = surroundings.item_groups()
    n_items = 1 + max((int(rows.max()) for rows in groups.values() if len(rows)), default=0)
    everyone = {**models, "retrain": reference}
    lists = {name: panel.lists(model) for name, model in everyone.items()}
    n_items = max([n_items, *(int(found.max()) + 1 for found in lists.values() if found.numel())])
    shares = {name: _shares(found, n_items) for name, found in lists.items()}
    rows = {
        name: {
            "jaccard": asdict(quantiles(jaccard(found, lists["retrain"]).tolist())),
            "rbo": asdict(quantiles(rank_biased_overlap(found, lists["retrain"]).tolist())),
            "exposure": {group: float(shares[name][items].sum()) for group, items in groups.items()},
            "exposure_distance": float((shares[name] - shares["retrain"]).abs().sum()) / 2,
            "items_shown": int((shares[name] > 0).sum()),
            "utility": (utility := dict(panel.utility(everyone[name]))),
            "fairness_gap": utility.get("ndcg_at_20_high", nan) - utility.get("ndcg_at_20_low", nan),
        }
        for name, found in lists.items()
    }
    return {
        "users": len(panel.affected),
        "places": int(lists["retrain"].shape[1]),
        "persistence": _PERSISTENCE,
        "items_in_group": {group: len(items) for group, items in groups.items()},
        "models": rows,
        "examples": _examples(lists),
    }


def rank_biased_overlap(left: Tensor, right: Tensor, *, persistence: float = _PERSISTENCE) -> Tensor:
    """Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", 2010, extrapolated: [q].

        RBO_ext = (X_k / k) p^k + (1 - p) / p sum_{d=1..k} (X_d / d) p^d

    With X_d the number of items common to both first d places, and k the length of the longer list of the pair (-1
    marks an empty place; two empty lists agree). 1 for equal lists, 0 for disjoint ones; the top weighs most.

    **Differences from the paper:** lists of unequal length are compared at the longer one's depth as they are, not by
    the paper's equation for uneven lists.
    """
    q, k = left.shape
    same = (left[:, :, None] == right[:, None, :]) & (left >= 0)[:, :, None]
    places = torch.arange(k)
    depth = torch.maximum(places[:, None], places[None, :]).flatten()  # where both have come past the common item
    found = torch.zeros(q, k, dtype=torch.float64)
    found.index_add_(1, depth, same.flatten(1).double())
    agreement = found.cumsum(1) / (places + 1)
    weights = persistence ** (places + 1).double()
    length = torch.maximum((left >= 0).sum(1), (right >= 0).sum(1))
    inside = places[None, :] < length[:, None]
    head = (1 - persistence) / persistence * (agreement * weights * inside).sum(1)
    last = (length - 1).clamp_min(0)[:, None]
    tail = (agreement.gather(1, last) * weights.expand(q, k).gather(1, last))[:, 0]
    return torch.where(length > 0, head + tail, 1.0)


def _shares(lists: Tensor, n_items: int) -> Tensor:
    """Share [n_items] of all filled places that an item holds; NaN where no place is filled."""
    counts = torch.bincount(lists[lists >= 0], minlength=n_items).double()
    return counts / counts.sum() if counts.sum() > 0 else torch.full((n_items,), nan, dtype=torch.float64)


def _examples(lists: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """A few users, by how far the deletion itself moved their list (original against retrain)."""
    moved = rank_biased_overlap(lists["original"], lists["retrain"])
    if not len(moved):
        return []
    order = moved.argsort(stable=True)
    chosen = [(share, int(order[round(share * (len(order) - 1))])) for share in _EXAMPLES]
    examples: list[dict[str, Any]] = []
    for share, user in chosen:
        numbers: dict[int, int] = {}
        named = {
            name: [numbers.setdefault(item, len(numbers) + 1) for item in found[user].tolist() if item >= 0]
            for name, found in (("original", lists["original"]), *lists.items())
        }
        examples.append({"quantile": share, "rbo": float(moved[user]), "lists": named})
    return examples
