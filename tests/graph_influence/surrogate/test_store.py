"""A stored surrogate answers the same, and a file that holds none says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from graph_influence.surrogate import (
    GCN,
    Capped,
    Hybrid,
    MeanField,
    StoredSurrogateError,
    load_surrogate,
    save_surrogate,
)
from tests.graph_influence.surrogate.regime import REGIME


@pytest.mark.parametrize("network", [GCN(2, 4, seed=3), Capped(2, 3, "lt"), Hybrid(None, 3), MeanField(4).double()])
def test_a_stored_surrogate_answers_the_same(network, tmp_path):
    path = tmp_path / "one.safetensors"
    save_surrogate(network, path, {"seed": 1})
    graph = REGIME.draw("train", 1)[0]
    again = load_surrogate(path)
    assert again.arguments() == network.arguments() and type(again) is type(network)
    with torch.no_grad():
        assert torch.equal(again(graph.graph, graph.seeds), network(graph.graph, graph.seeds))
    double = str(tmp_path / "double.safetensors")
    save_surrogate(network.double(), double)
    assert all(p.dtype == torch.float64 for p in load_surrogate(double).parameters())


def test_what_cannot_be_loaded_is_told(tmp_path):
    path = tmp_path / "one.safetensors"
    for none in (path, tmp_path):
        with pytest.raises(FileNotFoundError, match="must be a file that holds a surrogate"):
            load_surrogate(none)
    path.write_bytes(b"nothing")
    with pytest.raises(StoredSurrogateError, match="must hold a surrogate .it cannot be read"):
        load_surrogate(path)
    save_surrogate(GCN(2, 4), path)
    tensors = load_file(path)
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(StoredSurrogateError, match="of format 'surrogate 1' .got None."):
        load_surrogate(tmp_path / "bare.safetensors")
    _with(path, tensors | {"readout.weight": torch.zeros(1, 3), "more": torch.zeros(1)})
    with pytest.raises(StoredSurrogateError) as told:
        load_surrogate(path)
    assert "`readout.weight` must be float32 [1, 4] (got float32 [1, 3])" in str(told.value)
    assert "`more` must be absent (got float32 [1])" in str(told.value)


def _with(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = file.metadata()
    save_file(tensors, path, about)
