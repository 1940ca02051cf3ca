"""What many models say about the same examples, and which of them had been trained on which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


class NoAnswer(ValueError):
    """A model has nothing to say that is a number, or cannot be asked."""


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
    models: tuple[int, ...] | None = None
    """Numbers of the models, one a row, where they are not 0, 1, ...; models of other pools have other numbers."""

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
        if self.models is not None and len(self.models) != len(self.values):
            problems.append(
                f"`models` must number the {len(self.values)} rows for `Signals` (got {len(self.models)} numbers)"
            )
        if problems:
            raise ValueError("\n".join(problems))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The models' numbers, one a row."""
        return tuple(range(len(self))) if self.models is None else self.models

    @property
    def draws(self) -> tuple[int, ...]:
        """The independent draw that each row belongs to."""
        return self.numbers if self.blocks is None else tuple(self.blocks.tolist())

    def rows(self, places: Sequence[int]) -> Signals:
        """Only these rows."""
        chosen, numbers = list(places), self.numbers
        blocks = None if self.blocks is None else self.blocks[chosen]
        return Signals(self.values[chosen], self.member[chosen], blocks, tuple(numbers[place] for place in chosen))

    def columns(self, examples: slice) -> Signals:
        """Only these examples."""
        return Signals(self.values[:, examples], self.member[:, examples], self.blocks, self.models)
