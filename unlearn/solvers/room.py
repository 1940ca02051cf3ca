"""Whether the vectors of L-BFGS fit into memory, before it begins."""

from __future__ import annotations

from torch import Tensor

from unlearn.memory import require_memory

_OTHERS = 12  # vectors that it and the landscape of `whole_data` hold beside the pairs, measured; others hold more


def require_room(start: Tensor, *, memory: int, max_iterations: int, remedy: str) -> None:
    """Refuse to minimise from `start` [p] with that many pairs where main memory cannot hold them.

    Raises:
        ValueError: saying how much is wanted and how much is free, with the remedy.
    """
    pairs = min(memory, max_iterations)
    if start.device.type == "cpu":  # other devices refuse by themselves what they have not
        needed = (2 * pairs + _OTHERS) * start.nbytes
        require_memory(needed, f"L-BFGS with {pairs} pairs of vectors of {start.numel():,} numbers", remedy)
