"""`--device` of the commands and `device` of the service: the whole way there, and what is not there is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from graph_influence.surrogate import load_surrogate
from recsys.errors import InvalidInteractions
from recsys.plugin import Serving, target
from tests.cli.run import SMALL, answer, lists, unlearn
from tests.recsys.plugin.workspaces import KEY, people, stored
from unlearn.target import Batch, Pseudonyms


@pytest.fixture(autouse=True)
def computed_there(gpu: torch.device) -> Iterator[None]:
    """Fails if the device was named and not used."""
    torch.cuda.reset_peak_memory_stats(gpu)
    before = torch.cuda.memory_allocated(gpu)
    yield
    assert torch.cuda.max_memory_allocated(gpu) > before


def test_train_forget_and_recommend(gpu: torch.device, tmp_path: Path) -> None:
    ends = []
    for device in (str(gpu), "cpu"):
        model = tmp_path / device
        answer("train", "--out", model, "--device", device, *SMALL)
        answer("forget", "--model", model, "--user", "u000010", "--device", device)
        ends.append([one["item"] for one in lists(model, "u000011")["u000011"]])
    assert ends[0] == ends[1]


def test_a_surrogate_is_trained(gpu: torch.device, tmp_path: Path) -> None:
    asked = ("--graphs", "3", "--epochs", "2", "--device", str(gpu))
    answer("influence", "train-surrogate", "gcn:width=4", "--out", tmp_path / "gcn", *asked)
    found = load_surrogate(tmp_path / "gcn")
    assert found.device.type == "cpu" and all(value.isfinite().all() for value in found.parameters())


@pytest.mark.parametrize("command", ["evaluate", "worst-case", "audit"])
def test_evaluations(gpu: torch.device, command: str, tmp_path: Path) -> None:
    of = {
        "evaluate": ["--delete", "users:5", "--methods", "reconverge,iau"],
        "worst-case": ["--budget", "users:1%", "--selector", "bilevel:rounds=2", "--methods", "reconverge"],
        "audit": ["--delete", "users:5", "--models", "4", "--examples", "20"],
    }[command]
    out = tmp_path / "out.json"
    found = unlearn(command, *of, "--seeds", "1", "--device", str(gpu), "--json", out, *SMALL)
    assert found.exit_code == 0, found.output
    assert json.loads(out.read_text("utf-8"))


@pytest.mark.parametrize("kind", ["whole_data", "bpr"])
def test_a_batch_of_the_service(gpu: torch.device, kind: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored(kind), tmp_path / "model"))
    served = target({"workspace": str(folder), "device": str(gpu)}, Pseudonyms(KEY))
    batch = Batch("b1", people(3, 17))
    served.suppress(batch.subjects)
    served.remove(batch)
    version = served.unlearn(batch, retrain=False)
    assert served.verify(batch, version).passed
    served.publish(batch, version)
    served.purge(batch)
    again = target({"workspace": str(folder)}, Pseudonyms(KEY))
    assert not any(again.resolve(batch).values())
    assert Serving(again).recommend(people(20)[0].value, k=3) is not None


def test_the_service_refuses_it_for_a_closed_form(gpu: torch.device) -> None:
    torch.ones(1, device=gpu)  # all that is computed there
    with pytest.raises(InvalidInteractions, match="`device` must be cpu for a model in closed form"):
        target({"workspace": str(stored("ease")), "device": str(gpu)}, Pseudonyms(KEY))
