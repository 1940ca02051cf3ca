"""With what an audit was made: versions, machine, time. Taken when it is made, so that a report can be made twice."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any

import torch

_PACKAGES = ("unlearn-recsys", "torch", "numpy", "scipy", "torch-geometric")


def provenance() -> dict[str, Any]:
    """Versions, hardware and the present time in UTC.

    The machine's name and who is logged in are left out on purpose.
    """
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit that the installed package was built from, where the installer recorded one."""
    try:
        recorded = distribution(_PACKAGES[0]).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    return None if recorded is None else json.loads(recorded).get("vcs_info", {}).get("commit_id")
