"""When a stream of approximate deletions asks for a retrain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from unlearn.invalid import require


@dataclass(frozen=True, slots=True)
class RetrainRule:
    """When what approximate unlearning has left behind asks for a retrain, judged without one.

    With b_k and a_k the residuals before and after request k since the last training, request k alone left
    sqrt(b_k^2 - a_{k-1}^2), as far as requests are independent. A retrain is due when a_k exceeds `residual` times the
    root mean square of that (the debt is that of so many requests not served at all), or when more than `removed` of
    the records that the last training saw are gone. Where there are no residuals (training that samples, models that
    are no problems), the share decides alone; what an exact method removed does not count.

    Raises:
        ValueError: listing every threshold that is out of range.
    """

    residual: float = 1.0
    removed: float = 0.1

    def __post_init__(self) -> None:
        require(
            self,
            residual=("positive", self.residual > 0),
            removed=("above 0 and at most 1", 0 < self.removed <= 1),
        )

    def due(self, residuals: Sequence[tuple[float, float]], removed: int, n_records: int) -> str | None:
        """Why a retrain is due, or None.

        Args:
            residuals: (before, after) of each request since the last training, the latest last.
            removed: records forgotten approximately since then; n_records: those that are left.
        """
        share = removed / max(removed + n_records, 1)
        if share > self.removed:
            return f"{share:.1%} of the records are gone since the last training (the limit is {self.removed:.1%})"
        if not residuals:
            return None
        left_before = [0.0, *(after for _, after in residuals[:-1])]
        pushes = [max(b * b - a * a, 0.0) for (b, _), a in zip(residuals, left_before, strict=True)]
        single = sqrt(sum(pushes) / len(pushes))
        debt = residuals[-1][1]
        if not debt <= self.residual * single:
            return (
                f"the residual is {debt:.3g} where a single request leaves {single:.3g} "
                f"(the limit is {self.residual:g} times that)"
            )
        return None
