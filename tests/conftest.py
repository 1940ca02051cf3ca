"""What every test may ask for: the data directory, a browser, an MLflow store, a fixed number of threads, a seed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from unlearn.tracking import MlflowTracker

# Before anything imports them: a test talks to nobody, and a plot needs no screen.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "Agg"
# Tests share the cores, and so do the programs that they start: with tiny tensors two threads take twice the time of
# one, and those that spin while they wait bring everything to a halt.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# How long an example takes says nothing where other processes want the cores.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep torch to one thread: sums are then the same on every machine, and tiny tensors gain nothing from more."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_draws(seed: int) -> None:
    """What a test draws from torch's own generator is the same whichever tests ran before it."""
    import torch

    torch.manual_seed(seed)


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The chromium on the path; skips without one, fails if UNLEARN_REQUIRE_BROWSER=1.

    Once a file: its event loop runs until the end, and tests of another file could not run one of their own.
    """
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("UNLEARN_REQUIRE_BROWSER") == "1":
            pytest.fail("needs a browser, but there is no `chromium` on the path and UNLEARN_REQUIRE_BROWSER=1")
        pytest.skip("needs a browser: there is no `chromium` on the path (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    quiet = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet]
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store: made once, because migrations take ten seconds, and copied for each test."""
    store = tmp_path_factory.mktemp("store") / "template.db"
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.models import SqlExperiment  # noqa: F401  (registers the tables)

    engine = utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{store}")
    utils._initialize_tables(engine)
    engine.dispose()
    return store


@pytest.fixture
def location(migrated_store: Path, tmp_path: Path) -> Path:
    """A fresh store of this test's own."""
    return Path(shutil.copyfile(migrated_store, tmp_path / "mlflow.db"))


@pytest.fixture
def tracker(location: Path) -> MlflowTracker:
    from unlearn.tracking import MlflowTracker

    return MlflowTracker(location, experiment="tests")
