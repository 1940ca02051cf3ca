"""The tracker contract. A tracker never receives a raw subject id: counts and keyed digests only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Run(Protocol):
    """One tracked run, open inside `with tracker.run(...)`."""

    @property
    def id(self) -> str | None:
        """The tracker's id of the run; None where nothing is kept."""
        ...

    def params(self, values: Mapping[str, object]) -> None:
        """Keep settings. Anything but text and numbers is kept as JSON."""
        ...

    def metrics(self, values: Mapping[str, float | None], *, step: int | None = None) -> None:
        """Keep figures, named like `recall_at_20`. NaN is a figure; None means that there is none and is left out."""
        ...

    def artifact(self, name: str, content: str | Path | Mapping[str, object]) -> None:
        """Keep a copy of a file, or a mapping as JSON, under `name` (slashes make folders)."""
        ...

    def figure(self, name: str, figure: Figure) -> None:
        """Keep a matplotlib figure; the suffix of `name` says in which format."""
        ...

    def dataset(self, name: str, *, digest: str, counts: Mapping[str, int], context: str) -> None:
        """Say which data the run used (`context`: train, test, forget, ...): a digest and counts, never ids."""
        ...

    def model(
        self,
        directory: str | Path,
        *,
        name: str,
        tags: Mapping[str, str] | None = None,
        announce: Callable[[str], object] | None = None,
    ) -> str | None:
        """Keep the model stored in `directory`; returns its id, or None where nothing is kept.

        Args:
            announce: is told the id before anything of the model is kept under it. Whoever lists what is to be
                destroyed some day lists it here: killed later, the model would be there and on no list.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Purged:
    """How many runs and models a purge destroyed."""

    runs: int
    models: int


class Tracker(Protocol):
    """Keeps runs, and can destroy them."""

    def run(
        self, name: str, *, tags: Mapping[str, str] | None = None, nested: bool = False
    ) -> AbstractContextManager[Run]:
        """Open a run; `nested` makes it a child of the run that is open."""
        ...

    def purge(self, *, runs: Iterable[str] = (), models: Iterable[str] = ()) -> Purged:
        """Destroy runs, the models they made, and further models: rows and bytes. Unknown ids count as done."""
        ...


DIGEST = "unlearn.digest"
"""The tag that tells one stored model from another."""


def lineage(*, method: str, parent_model: str | None, request_digest: str) -> dict[str, str]:
    """Tags that say where an unlearned model comes from; `parent_model` is a digest, of the request the keyed one."""
    tags = {"unlearn.method": method, "unlearn.request_digest": request_digest}
    return tags if parent_model is None else {**tags, "unlearn.parent_model": parent_model}
