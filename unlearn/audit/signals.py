"""What many models say about the same examples, and which of them had been trained on which."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Signals:
    """One row a model, one column an example (a record, or a user with all records of theirs).

    The larger a signal, the more it speaks for membership.

    Raises:
        ValueError: listing what does not fit together.
    """

    values: Tensor  # float64 [models, examples]
    member: Tensor  # bool [models, examples]: the model was trained on the example (and may have unlearned it since)
    blocks: Tensor | None = None
    """int64 [models]: models of one number are no independent draws (a subset under several seeds, its complement)."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.values.dim() != 2 or self.values.shape != self.member.shape:
            problems.append(
                f"`values` and `member` must both be [models, examples] for `Signals` "
                f"(got {list(self.values.shape)} and {list(self.member.shape)})"
            )
        if self.blocks is not None and self.blocks.shape != self.values.shape[:1]:
            problems.append(
                f"`blocks` must be one for each of {len(self.values)} models for `Signals` "
                f"(got {list(self.blocks.shape)})"
            )
        if not bool(self.values.isfinite().all()):
            problems.append(
                f"`values` must be finite for `Signals` (got {int((~self.values.isfinite()).sum())} that are not)"
            )
        if problems:
            raise ValueError("\n".join(problems))

    def __len__(self) -> int:
        return len(self.values)
