"""What every test may ask for: the data directory, a fixed number of threads, a seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports them: a test talks to nobody, and a plot needs no screen.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "Agg"
# Threads that spin while they wait bring everything to a halt as soon as two processes share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep torch to one thread: sums are then the same on every machine, and tiny tensors gain nothing from more."""
    import torch

    torch.set_num_threads(1)


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
