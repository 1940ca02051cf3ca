"""Whom a command must not answer to: the list that the deletion-request service keeps beside a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.plugin import RecommenderTarget
from unlearn.requests.commands.options import settings
from unlearn.requests.keyring import Keyring
from unlearn.requests.service import load_targets
from unlearn.requests.settings import UnusableSettings
from unlearn.staging import Staging


def serving(model: Path, config: Path | None) -> RecommenderTarget | None:
    """The target that says who is suppressed in the workspace; None where no service has ever suppressed anybody in it.

    The list holds pseudonyms: without the service's key nobody can say who is on it.

    Raises:
        UnusableSettings: it cannot be told who is on the list, for the settings do not name this workspace.
    """
    folder = model.resolve()
    blocked = Staging.beside(folder).blocked
    if not blocked.is_file() or not blocked.stat().st_size:
        return None
    for name, options in _tables(config).items():
        if "workspace" in options and Path(options["workspace"]).resolve() == folder:
            found = load_targets({name: options}, Keyring.read(settings(config).keyring).pseudonyms)[name]
            if isinstance(found, RecommenderTarget):
                return found
    raise UnusableSettings(
        f"`config` must be the settings of the service that runs {model}: people are suppressed there, whom nothing "
        "may answer to any more, and its key alone tells who they are"
    )


def _tables(config: Path | None) -> Mapping[str, Mapping[str, Any]]:
    """The targets of the settings; none where there are no usable settings and none were asked for."""
    try:
        return settings(config).targets
    except UnusableSettings:
        if config is not None:
            raise
        return {}
