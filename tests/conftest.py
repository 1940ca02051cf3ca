"""What every test may ask for: the data directory, a fixed number of threads, a seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports them: a test talks to nobody, and a plot needs no screen.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    """Pin torch to two threads, so that sums are split alike on every machine."""
    import torch

    torch.set_num_threads(2)


@pytest.fixture
def seed() -> int:
    """The seed of every test that does not care which."""
    return 20_260_101


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of real data sets named by UNLEARN_DATA; skips without one, fails if UNLEARN_REQUIRE_DATA=1."""
    named = os.environ.get("UNLEARN_DATA")
    if named and Path(named).is_dir():
        return Path(named)
    came = f"UNLEARN_DATA={named!r} is no directory" if named else "UNLEARN_DATA is not set"
    if os.environ.get("UNLEARN_REQUIRE_DATA") == "1":
        pytest.fail(f"needs real data, but {came} and UNLEARN_REQUIRE_DATA=1")
    pytest.skip(f"needs real data: {came}")
