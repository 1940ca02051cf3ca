"""A stored network is told from what is left of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graph_influence import store
from graph_influence.network import Network, Plan
from graph_influence.synthetic import power_law


def test_a_manifest_that_is_none_is_told(tmp_path: Path) -> None:
    graph = power_law(60)
    store.save(Network.build(graph, Plan(k=3)), tmp_path)
    assert store.load(tmp_path, graph).plan == Plan(k=3)
    for left in (b'{"format": 1, "pla', b"[1]", b"\xff\xfe", b"{}"):
        (tmp_path / "manifest.json").write_bytes(left)
        with pytest.raises(store.StoredNetworkError, match="must hold a network of format 1"):
            store.load(tmp_path, graph)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(store.StoredNetworkError):
        store.described(tmp_path)


def test_a_manifest_that_was_changed_is_not_loaded(tmp_path: Path) -> None:
    graph = power_law(60)
    store.save(Network.build(graph, Plan(k=3)), tmp_path)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    for changed in ({"above": 1.0}, {"plan": manifest["plan"] | {"k": 2}}, {"seed": manifest["seed"] + 1}):
        path.write_text(json.dumps(manifest | changed), "utf-8")
        with pytest.raises(store.StoredNetworkError, match="its digest is of something else"):
            store.load(tmp_path, graph)
