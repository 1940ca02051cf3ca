"""What an observer of the scores alone can tell of a tie between two users: that they are recommended to alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ties import joined, located
from unlearn.forget import ForgetSet
from unlearn.streams import bits, integers

_TRIES = 16  # draws of somebody whom a user is not tied to


def likeness(users: Tensor, items: Tensor, pairs: Tensor) -> Tensor:
    """Cosines [k] of the score rows of pairs of users [k, 2], for embeddings [n_users, d] and [n_items, d].

    s_u . s_v = z_u (Z_I^T Z_I) z_v, so no score is formed. The attack on links of He et al., "Stealing links from graph
    neural networks", 2021, arXiv 2005.02131 that knows answers alone calls those tied who are answered most alike.
    """
    told = users @ (items.T @ items)

    def product(left: Tensor, right: Tensor) -> Tensor:
        return (told[left] * users[right]).sum(1)

    first, second = pairs.unbind(1)
    lengths = (product(first, first) * product(second, second)).clamp_min(1e-30).sqrt()
    return product(first, second) / lengths


@dataclass(frozen=True, eq=False)
class TiedPairs:
    """Pairs of users [p, 2] who are tied no longer, and [q, 2] of one of them and somebody never tied to them."""

    cut: Tensor
    never: Tensor

    @classmethod
    def drawn(cls, data: Interactions, remaining: Interactions, forget: ForgetSet, *, seed: int) -> TiedPairs:
        """Of the ties that `forget` names: both ends have one pair of the second kind, drawn by the seed.

        Who is tied to nearly everybody may have none.
        """
        ends = np.column_stack([data.users.rows([tie[k] for tie in forget.ties]) for k in (0, 1)])
        ends = joined(ends)
        ends = ends[located(joined(remaining.ties), ends, data.n_users) < 0]  # one of two directions cuts nothing
        asked = np.concatenate([ends, ends[:, ::-1]])
        people = np.flatnonzero(data.users.alive)
        keys = bits(0, "ties", *data.users.keys[asked].T)
        draws = people[integers(seed, "audit/untied", len(people), keys[:, None], np.arange(_TRIES))]
        pairs = np.stack([np.broadcast_to(asked[:, :1], draws.shape), draws], axis=-1)
        known = located(joined(data.ties), np.sort(pairs.reshape(-1, 2), axis=1), data.n_users).reshape(draws.shape)
        free = (known < 0) & (pairs[..., 0] != pairs[..., 1])
        never = pairs[np.arange(len(asked)), free.argmax(axis=1)][free.any(axis=1)]
        return cls(torch.from_numpy(ends), torch.from_numpy(never))
