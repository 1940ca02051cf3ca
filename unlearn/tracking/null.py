"""The tracker that keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn.tracking.base import Purged

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class _NullRun:
    id: str | None = None

    def params(self, values: Mapping[str, object]) -> None: ...

    def metrics(self, values: Mapping[str, float | None], *, step: int | None = None) -> None: ...

    def artifact(self, name: str, content: str | Path | Mapping[str, object]) -> None: ...

    def figure(self, name: str, figure: Figure) -> None: ...

    def dataset(self, name: str, *, digest: str, counts: Mapping[str, int], context: str) -> None: ...

    def model(
        self,
        directory: str | Path,
        *,
        name: str,
        tags: Mapping[str, str] | None = None,
        announce: Callable[[str], object] | None = None,
    ) -> str | None: ...


class NullTracker:
    """Takes everything, keeps nothing."""

    @contextmanager
    def run(self, name: str, *, tags: Mapping[str, str] | None = None, nested: bool = False) -> Generator[_NullRun]:
        """Open a run that forgets at once."""
        yield _NullRun()

    def purge(self, *, runs: Iterable[str] = (), models: Iterable[str] = ()) -> Purged:
        """Nothing was kept, so nothing is destroyed."""
        return Purged(runs=0, models=0)
