"""What `[targets.recsys]` may say, examined: everything wrong or unsafe at once, with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys import workspace
from recsys.store import solved
from unlearn.devices import unusable
from unlearn.invalid import Problems
from unlearn.methods.base import Unlearner
from unlearn.specification import unlearner
from unlearn.tracking.copies import Copies
from unlearn.tracking.reach import database_kind, sqlite_file
from unlearn.workspace_target import IDENTITY, InvalidOptions, text_options

if TYPE_CHECKING:
    from unlearn.tracking.registry import OldVersions

_KNOWN = ("workspace", "identity_type", "method", "tracking", "registered_model", "old_versions", "device")
_NAME = re.compile(r"[A-Za-z0-9_. -]{1,250}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a recommender; see `recsys.plugin`."""

    workspace: Path
    identity_type: str = IDENTITY
    method: Unlearner | None = None
    tracking: str | None = None
    registered_model: str = "recommender"
    old_versions: OldVersions = "destroy"
    device: str = "cpu"

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Options:
        """From a table of settings.

        Raises:
            InvalidOptions: an option is unknown, has no usable value or is unsafe; the message lists all of them.
            FileNotFoundError: the workspace is none.
        """
        problems = Problems("the options of a recommender", InvalidOptions)
        texts = text_options(options, _KNOWN, problems, made_by="`unlearn train`")
        _check_tracking(texts, problems)
        if (wrong := unusable(texts.get("device", "cpu"))) is not None:
            problems.add(wrong)
        problems.raise_any()
        folder = Path(texts.pop("workspace")).resolve()
        workspace.at(folder).require()
        _check_copies(folder, problems)
        if texts.get("device", "cpu") != "cpu" and solved(workspace.model_folder(folder)):
            problems.add("`device` must be cpu for a model in closed form, which is solved in main memory")
        problems.raise_any()
        chosen = texts.pop("method", None)
        return cls(workspace=folder, method=None if chosen is None else unlearner(chosen), **texts)  # pyright: ignore[reportArgumentType]


def _check_copies(folder: Path, problems: Problems) -> None:
    copies = Copies.of(folder)
    for copy in copies.listed():
        if database_kind(copy.store) is None:
            problems.add(
                f"`workspace` must have no copy of its model where nothing can be destroyed (got {copy.model_id} in "
                f"{copy.store}, by `unlearn train --track`); destroy it on that server (`mlflow gc`), then its line in "
                f"{copies.file}"
            )


def _check_tracking(texts: Mapping[str, str], problems: Problems) -> None:
    for name in ("registered_model", "old_versions"):
        if name in texts and "tracking" not in texts:
            problems.add(f"`{name}` must go with `tracking`, the MLflow store in which there are versions (got none)")
    if not _NAME.fullmatch(texts.get("registered_model", "recommender")):
        problems.add("`registered_model` must be 1 to 250 letters, digits, '_', '.', '-' or spaces")
    if (old := texts.get("old_versions", "destroy")) not in ("destroy", "record"):
        problems.add(
            f"`old_versions` must be destroy, or record to keep their figures and digests (got {old!r}): weights that "
            "were kept would outlive the erasure of those whom they were learned from"
        )
    where = texts.get("tracking", "mlflow.db")
    kind = database_kind(where) if ":" in where or where == "databricks" else "sqlite"
    if kind is None:
        problems.add(
            f"`tracking` must be a SQLite file or the URI of a database (got {where.partition(':')[0]}:...): through a "
            "tracking server nothing can be destroyed, so nothing about people may be written there; name its backend "
            "store"
        )
    elif kind == "sqlite" and "workspace" in texts:
        file, folder = (sqlite_file(where) or Path(where)).resolve(), Path(texts["workspace"]).resolve()
        if file.is_dir():
            problems.add("`tracking` must name a file (got a folder): append mlflow.db")
        if any(file.is_relative_to(one) for one in (folder, folder.with_name(f"{folder.name}.service"))):
            problems.add(
                "`tracking` must lie outside of the workspace and the folder beside it, which are replaced as a whole "
                "with every version"
            )
