"""Every benchmark runs from end to end and writes what it says; times are for a machine at rest, not for tests."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.data import ratio, synthetic
from tests.benchmarks.conftest import BENCHMARKS
from tests.tolerances import EXACT64


@pytest.mark.parametrize("name", ["audit", "gradient", "pool", "proof", "social", "solver", "train", "tune"])
def test_says_what_was_measured_and_by_which_machine(run: Any, name: str) -> None:
    result = run(name, "--test", "--seeds", "1") if name == "tune" else run(name)
    assert result["benchmark"] == name and result["quick"] is True
    assert result["machine"]["torch"] == torch.__version__ and result["machine"]["cores"] == os.cpu_count()
    assert result["data"]["train"] > result["data"]["test"] > 0 and len(result["data"]["digest"]) >= 32
    assert name in ("tune", "social") or result["settings"]["layers"] == 3  # which are tuned, or the model's own


def test_gradient_ratios_are_to_the_floor_of_the_same_round(run: Any) -> None:
    result = run("gradient")
    floor = result["gradient"]["floor"]
    parts = [floor[name]["values"] for name in ("propagations", "gram_products", "edge_terms")]
    assert floor["sum"]["values"] == [sum(row) for row in zip(*parts, strict=True)]
    assert set(result["gradient"]["contenders"]) == {"step", "fresh", "autograd"}
    for figures in result["gradient"]["contenders"].values():
        rounds = zip(figures["seconds"]["values"], floor["sum"]["values"], strict=True)
        assert figures["ratio"]["values"] == pytest.approx([mine / least for mine, least in rounds])
    for figures in result["memory"].values():
        peaks = figures["peak_bytes"]
        assert 2**27 < peaks["reading"] <= peaks["gradient"] <= peaks["training"]
    tried = result["quality"]["validation"]
    chosen = max(tried, key=lambda row: row["ndcg_at_20"])
    assert result["quality"]["chosen"] == {"a": chosen["a"], "l2": chosen["l2"]}
    assert 0 < result["quality"]["recall_at_20"] < 1


def test_train_ratios_follow_from_the_curves(run: Any) -> None:
    result = run("train")
    for row, curve in zip(result["speed"]["by_learning_rate"], result["peer_curves"], strict=True):
        best = max(curve["ndcg_at_20"])
        assert (row["learning_rate"], row["peer_ndcg_at_20"]) == (curve["key"], best)
        assert row["peer_seconds"] == curve["seconds"][curve["ndcg_at_20"].index(best)]
        reached = [
            next(s for s, n in zip(ours["seconds"], ours["ndcg_at_20"], strict=True) if n >= best)
            for ours in result["ours_curves"]
        ]
        assert row["ratio"]["values"] == pytest.approx([row["peer_seconds"] / seconds for seconds in reached])
    assert len(result["ours_curves"]) == 3  # before, between and after the peer's runs
    assert set(result["test"]) == {
        f"{who}, {part}" for who in ("ours", "peer") for part in ("train", "train and validation")
    }


def test_solver_measures_every_start_and_goal_and_each_part_helps(run: Any) -> None:
    result = run("solver")
    starts, goals = (
        {"cold", "5 %", "20 users", "one user"},
        {"residual 0.01", "residual 0.001", "residual 0.0001", "gap 0.3", "gap 0.1"},
    )
    by_key = {(row["start"], row["goal"], row["contender"]): row for row in result["contenders"] + result["stiffness"]}
    labels = {"ours", "exact search", "strong Wolfe", "stiffness 2", "stiffness 5", "stiffness 10", "stiffness 20"}
    assert set(by_key) == {(s, g, c) for s in starts for g in goals for c in labels}

    def evaluations(contender: str) -> float:
        return by_key["cold", "residual 0.001", contender]["evaluations"]["median"]

    for (start, goal, contender), row in by_key.items():
        if "ratio" in row and contender in ("exact search", "strong Wolfe"):
            ours = by_key[start, goal, "ours"]["seconds"]["values"]
            pairs = zip(row["seconds"]["values"], ours, strict=True)
            assert row["ratio"]["seconds"]["values"] == pytest.approx([theirs / mine for theirs, mine in pairs])
    assert by_key["cold", "residual 0.001", "ours"]["ratio"]["seconds"]["median"] == 1.0

    # Counts, not times: the same on every machine up to rounding.
    assert evaluations("ours") < evaluations("exact search") and evaluations("ours") < evaluations("strong Wolfe")
    assert evaluations("stiffness 2") != evaluations("stiffness 20")


PROGRAMS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "def main" in path.read_text("utf-8"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_explains_itself(name: str, load: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit, match="^0$"):
        load(name).main()
    said = capsys.readouterr().out
    assert "--json" in said and "--quick" in said


def test_without_data_it_says_what_it_wants(command: Any) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "UNLEARN_DATA"}
    done = subprocess.run(command("solver"), capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2 and "UNLEARN_DATA" in done.stderr and "--quick" in done.stderr


def test_the_peer_is_pyg_lightgcn_and_learns(load: Any) -> None:
    from torch_geometric.nn import LightGCN

    data = ratio(synthetic(60, 40, 900, seed=0)).train
    peer = load("peer").Peer(data, dim=8, layers=3, learning_rate=1e-2, seed=0)
    plain = LightGCN(data.n_users + data.n_items, 8, 3)
    plain.load_state_dict(peer._model.state_dict())
    one_way = torch.stack([torch.from_numpy(data.user_rows()), torch.from_numpy(data.indices) + data.n_users])
    with torch.no_grad():
        expected = plain.get_embedding(torch.cat([one_way, one_way.flip(0)], 1))
    torch.testing.assert_close(torch.cat(peer.embeddings()), expected, rtol=1e-5, atol=1e-7)

    def margin() -> float:
        users, items = peer.embeddings()
        scores = users @ items.T
        return float(scores[one_way[0], one_way[1] - data.n_users].mean() - scores.mean())

    before = margin()
    for _ in range(5):
        peer.epoch(128)
    assert margin() > before + 0.01


def test_the_clock_stands_while_paused(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    common = load("common")
    now = [100.0]
    monkeypatch.setattr(common.time, "perf_counter", lambda: now[0])
    watch = common.Stopwatch()
    now[0] += 2.0
    with watch.paused():
        now[0] += 5.0
    now[0] += 1.0
    torch.testing.assert_close(torch.tensor(watch.seconds), torch.tensor(3.0), **EXACT64)


def test_contenders_take_turns_and_the_first_round_is_not_counted(load: Any) -> None:
    order: list[str] = []
    seconds = load("common").alternate({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert order == list("ab" * 3) and {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_a_run_goes_on_from_its_own_file_and_from_no_other(load: Any, tmp_path: Path) -> None:
    common = load("common")
    options = argparse.Namespace(json=tmp_path / "deep" / "result.json")
    head = {"benchmark": "x", "settings": {"draws": 3, "grid": (1, 2)}}
    assert common.kept(options, head, "rows") == []
    common.finish(options, head | {"rows": [{"figure": 0.25}]})
    assert common.kept(options, head, "rows") == [{"figure": 0.25}]
    with pytest.raises(SystemExit, match=r"settings: \{'draws': 3.*there, \{'draws': 2"):
        common.kept(options, head | {"settings": {"draws": 2, "grid": (1, 2)}}, "rows")
    with pytest.raises(SystemExit, match="pass --json OUT"):
        common.kept(argparse.Namespace(json=None), head, "rows")


def test_averages_carry_their_interval_and_are_plain_json(load: Any) -> None:
    common = load("common")
    figures = common.average([1.0, 2.0, 3.0])
    half = 4.302652729911275 / 3**0.5  # Student's t with two degrees of freedom, a deviation of 1
    assert (figures["mean"], figures["low"], figures["high"]) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert common.around(figures, ".2f") == "2.00 ± 2.48"
    single = common.average([1.0])
    assert common.around(single) == "1.0000" and "NaN" not in json.dumps(single)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nan", "x"])
def test_flags_refuse_what_cannot_be(load: Any, text: str) -> None:
    common = load("common")
    assert (common.at_least(2)("2"), common.above_zero(1.0)("0.5")) == (2, 0.5)
    for read in (common.at_least(2), common.above_zero(1.0)):
        with pytest.raises(argparse.ArgumentTypeError, match="must be"):
            read(text)


def test_closed_form_judges_what_it_measured(run: Any) -> None:
    result = run("closed_form")
    quality, deletion = result["quality"], result["deletion"]
    best = max(quality["validation"], key=lambda row: row["recall_at_20"] + row["ndcg_at_20"])
    assert quality["chosen"] == {"rank": best["rank"], "alpha": best["alpha"]}
    assert 0 < quality["recall_at_20"] < 1 and quality["processor_seconds"] > 0
    joint = set(result["settings"]["als"])
    expected = {"item-item filter", "EASE", "filter with low-pass"} | joint | {f"half-step of {name}" for name in joint}
    assert set(deletion) == expected
    assert all(len(row["seconds"]["values"]) == result["settings"]["users"] for row in deletion.values())
    # A cold refit ends where the reference does; what was not unlearned at all would have a gap of 1.
    for name in ("filter with low-pass", *joint):
        gap, floor = deletion[name]["gap"], max(deletion[name]["cold_refit_gap"])
        assert floor < 1e-3 and gap["high"] < 0.5
    assert deletion["EASE"]["difference_to_refit"]["high"] < 1e-12


def test_social_chooses_on_validation_and_says_what_ties_did(run: Any) -> None:
    result = run("social")
    assert {row["tie_weight"] for row in result["cells"]} == {None, 0.1, 1.0}
    for kind, row in result["best"].items():
        mine = [one for one in result["cells"] if (one["tie_weight"] is None) is (kind == "lightgcn")]
        assert row["ndcg_at_20"]["mean"] == max(one["ndcg_at_20"]["mean"] for one in mine)
    for found in result["test"].values():
        change = found["difference"]
        assert change["mean"] == pytest.approx(found["social_lightgcn"] - found["lightgcn"], abs=1e-12)
        assert change["low"] < change["mean"] < change["high"]
    assert set(result["newcomers"]) == {"ties", "random ties", "popular"}
