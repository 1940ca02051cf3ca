"""Published versions in MLflow, where the settings name a store."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn.target import Batch, Pseudonyms, Version

if TYPE_CHECKING:
    from unlearn.tracking.registry import ModelRegistry, OldVersions


@dataclass(frozen=True)
class Tracked:
    """The registry that follows the published version of a workspace. To be called while that is held.

    Args:
        location: of the store; None where there is none, and nothing happens.
    """

    location: str | None
    model: str
    old_versions: OldVersions
    pseudonyms: Pseudonyms

    @cached_property
    def _registry(self) -> ModelRegistry:
        from unlearn.tracking.registry import ModelRegistry

        assert self.location is not None
        return ModelRegistry(self.location, model=self.model, old_versions=self.old_versions)

    def publish(self, model: Path, batch: Batch, version: Version) -> None:
        """Make the published version, which lies in the folder `model`, the champion; it is known by its digest."""
        if self.location is None:
            return
        from unlearn.tracking import lineage

        figures = {name: value for name, value in version.facts.items() if not isinstance(value, str)}
        tags = lineage(method=version.method, parent_model=version.replaces, request_digest=self.request_digest(batch))
        self._registry.publish(
            model, digest=version.digest, name=batch.id, tags=tags | {"unlearn.batch": batch.id}, figures=figures
        )

    def purge(self, digest: str) -> dict[str, int]:
        """Destroy everything but the version that is published; what is left is counted."""
        if self.location is None:
            return {}
        left = self._registry.purge(digest)
        return {f"tracked_{name}": getattr(left, name) for name in ("versions", "runs", "models", "folders")}

    def request_digest(self, batch: Batch) -> str:
        """Names whom a batch is about to whoever has the key of the pseudonyms, and to nobody else."""
        names = sorted(map(self.pseudonyms.of, batch.subjects))
        return hashlib.sha256(json.dumps([batch.id, *names]).encode()).hexdigest()
