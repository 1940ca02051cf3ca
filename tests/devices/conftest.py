"""What is computed twice, on the CPU and on a GPU; without a GPU every test of this folder is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

GPU = "cuda"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    return torch.device(GPU)
