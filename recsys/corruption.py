"""Requests that know only a part of what is false."""

from __future__ import annotations

import numpy as np

from unlearn.forget import ForgetSet
from unlearn.streams import permutation


def split_known(false: ForgetSet, share: float, *, seed: int) -> tuple[ForgetSet, ForgetSet | None]:
    """The known part of false interactions, which a request names, and the unknown rest; None where all are known.

    Raises:
        ValueError: `share` is out of range, leaves a side empty, or the set names more than single interactions.
    """
    if not 0 < share <= 1:
        raise ValueError(f"`known` must lie in (0, 1] for a corrective request (got {share})")
    if share == 1:
        return false, None
    pairs = false.interactions
    count = round(share * len(pairs))
    if false != ForgetSet(interactions=pairs) or not 0 < count < len(pairs):
        raise ValueError(
            f"`known` must leave known and unknown interactions of a corrupted:SHARE request (got {share} of {false!r})"
        )
    order = permutation(seed, "request/known", np.arange(len(pairs)))
    parts = (tuple(pairs[place] for place in sorted(chosen)) for chosen in (order[:count], order[count:]))
    known, unknown = (ForgetSet(interactions=part) for part in parts)
    return known, unknown
