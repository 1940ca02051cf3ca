"""A stored model comes back equal, holds no forgotten id, and does not load once changed."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from recsys.data import Interactions, to_parquet
from recsys.objectives import BPR, WholeData
from recsys.problem import RecommenderProblem
from recsys.store import StoredModelError, load, load_ranker, save
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.methods import method

CANARY = "canary-5f0c5d7ae9b14bd2"


@pytest.fixture(scope="module")
def problem() -> RecommenderProblem:
    users = [CANARY, CANARY, "b", "b", "c", "c", "d"]
    data = Interactions.from_frame(pd.DataFrame({"user": users, "item": [1, 2, 1, 3, 2, 3, 4]}))
    options = TrainingOptions(seed=3, max_iterations=30)
    return RecommenderProblem.build(
        data, model="lightgcn", objective=WholeData(l2=0.1, a=0.2), options=options, dim=4, layers=2
    ).fit()


def test_round_trip(problem: RecommenderProblem, tmp_path: Path) -> None:
    digest = save(problem, tmp_path)
    back = load(tmp_path, problem.data)
    assert torch.equal(back.params["table"], problem.params["table"])
    assert (back.objective_function, back.options, back.model.arguments()) == (
        problem.objective_function,
        problem.options,
        problem.model.arguments(),
    )
    for ours, theirs in zip(back.readout(), problem.readout(), strict=True):
        assert torch.equal(ours, theirs)
    assert back.history == problem.history
    assert back.residual() == pytest.approx(problem.residual())
    assert save(back, tmp_path / "again") == digest


def test_the_ranker_needs_no_data(problem: RecommenderProblem, tmp_path: Path) -> None:
    save(problem, tmp_path)
    ranker = load_ranker(tmp_path)
    scores = problem.readout()[0] @ problem.readout()[1].T
    row = int(problem.data.users.rows(["b"])[0])
    best = problem.data.items.take([int(scores[row].argmax())])
    assert ranker.recommend("b", k=1).ids.tolist() == best
    assert ranker.recommend("new", k=1, unknown="popular").ids.tolist() == [1]
    assert {file.name for file in tmp_path.iterdir()} == {
        "manifest.json", "model.safetensors", "users.parquet", "items.parquet"
    }  # fmt: skip


def test_a_forgotten_id_is_in_no_file(problem: RecommenderProblem, tmp_path: Path) -> None:
    forget = ForgetSet(users=(CANARY,))
    remaining = problem.without(forget)
    remaining = remaining.with_params(remaining.settled(forget))
    save(problem, tmp_path / "before")
    save(remaining, tmp_path / "after")
    found = {
        where: any(CANARY.encode() in file.read_bytes() for file in (tmp_path / where).iterdir())
        for where in ("before", "after")
    }
    assert found == {"before": True, "after": False}
    ranker = load_ranker(tmp_path / "after")
    assert ranker.user_ids == remaining.data.users
    assert ranker.users[~torch.tensor(ranker.user_ids.alive)].abs().sum() == 0
    assert torch.equal(load(tmp_path / "after", remaining.data).params["table"], remaining.params["table"])
    with pytest.raises(StoredModelError, match="must have the users"):
        load(tmp_path / "after", problem.data)


def test_another_model_is_not_overwritten_unasked(problem: RecommenderProblem, tmp_path: Path) -> None:
    save(problem, tmp_path)
    save(problem, tmp_path)  # the very same: nothing is lost
    other = problem.with_params({"table": problem.params["table"] + 1})
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(other, tmp_path)
    assert torch.equal(load(tmp_path, problem.data).params["table"], problem.params["table"])
    loaded = load(tmp_path, problem.data)
    save(other, tmp_path, overwrite=True)
    assert torch.equal(load(tmp_path, problem.data).params["table"], other.params["table"])
    assert torch.equal(loaded.params["table"], problem.params["table"])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        save(problem, tmp_path / "foreign")


def test_the_same_numbers_of_other_people_or_items_are_another_model(
    problem: RecommenderProblem, tmp_path: Path
) -> None:
    frame = problem.data.frame()
    digests = {save(problem, tmp_path / "own")}
    for name, of in (("users", frame.replace({"user": {"b": "bb"}})), ("items", frame.replace({"item": {4: 5}}))):
        data = Interactions.from_frame(of)
        assert (data.indptr == problem.data.indptr).all() and (data.indices == problem.data.indices).all()
        digests.add(save(replace(problem, data=data), tmp_path / name))
    assert len(digests) == 3


@pytest.mark.parametrize("name", ["model.safetensors", "users.parquet", "items.parquet"])
def test_a_changed_or_missing_file_is_an_error(problem: RecommenderProblem, tmp_path: Path, name: str) -> None:
    save(problem, tmp_path)
    file = tmp_path / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(StoredModelError, match=f"{name} was changed"):
        load_ranker(tmp_path)
    file.unlink()
    with pytest.raises(StoredModelError, match=f"{name} must exist"):
        load(tmp_path, problem.data)
    with pytest.raises(StoredModelError, match="no manifest"):
        load_ranker(tmp_path / "nowhere")


def test_a_manifest_that_was_cut_off_is_an_error_and_no_model(problem: RecommenderProblem, tmp_path: Path) -> None:
    save(problem, tmp_path)
    manifest = tmp_path / "manifest.json"
    whole = manifest.read_bytes()
    for end in (0, 1, len(whole) // 2, len(whole) - 3):
        manifest.write_bytes(whole[:end])
        for ask in (lambda: load(tmp_path, problem.data), lambda: load_ranker(tmp_path)):
            with pytest.raises(StoredModelError, match=r"manifest.json \(it was cut off\)"):
                ask()
        with pytest.raises(FileExistsError, match="with no model"):
            save(problem, tmp_path)
    save(problem, tmp_path, overwrite=True)
    assert load(tmp_path, problem.data).params.keys() == problem.params.keys()


def test_a_manifest_that_was_made_to_fit_other_files_is_an_error(problem: RecommenderProblem, tmp_path: Path) -> None:
    """Whoever changes a file can write its new digest into the manifest, but not into a certificate."""
    save(problem, tmp_path / "one")
    save(problem.with_params({"table": problem.params["table"] + 1.0}), tmp_path / "two")
    forged = json.loads((tmp_path / "two" / "manifest.json").read_text())
    honest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    for changes in (
        {"digest": honest["digest"]}, {"users": 99}, {"training": forged["training"] | {"removed": 7}},
        {"objective": {"name": "whole_data", "arguments": {"a": 0.5}}}, {"note": "all is well"},
    ):  # fmt: skip
        (tmp_path / "two" / "manifest.json").write_text(json.dumps(forged | changes))
        with pytest.raises(StoredModelError, match="manifest.json was changed"):
            load(tmp_path / "two", problem.data)


def test_the_key_that_does_not_fit_is_named(problem: RecommenderProblem, tmp_path: Path) -> None:
    save(problem, tmp_path)
    file, manifest = tmp_path / "model.safetensors", json.loads((tmp_path / "manifest.json").read_text())
    tensors = load_file(file)
    tensors["params.table"] = tensors["params.table"].double()
    tensors["readout.users"] = tensors["readout.users"][1:].clone()
    save_file(tensors, file)
    import hashlib

    manifest["files"]["model.safetensors"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoredModelError) as caught:
        load(tmp_path, problem.data)
    assert "`params.table` must be float32 [8, 4] (got float64 [8, 4])" in str(caught.value)
    assert "`readout.users` must be float32 [4, 4] (got float32 [3, 4])" in str(caught.value)


def test_what_training_kept_comes_back_and_goes_with_the_forgotten(problem: RecommenderProblem, tmp_path: Path) -> None:
    options = TrainingOptions(epochs=11, keep=frozenset(("checkpoints", "optimizer")), checkpoint_every=1)
    kept = RecommenderProblem.build(problem.data, objective=BPR(), options=options, dim=4).fit()
    save(kept, tmp_path)
    back = load(tmp_path, kept.data).history
    assert len(back.checkpoints) == 11
    for ours, theirs in zip(back.checkpoints, kept.history.checkpoints, strict=True):
        assert ours.epoch == theirs.epoch
        assert torch.equal(ours.params["table"], theirs.params["table"])
    states = ([*(one.optimizer for one in of.checkpoints), of.optimizer] for of in (back, kept.history))
    for ours, theirs in zip(*states, strict=True):
        assert ours is not None and theirs is not None
        assert (ours.steps, ours.rates) == (theirs.steps, theirs.rates)
        assert ours.mean.keys() == ours.square.keys() == {"table"}
        assert torch.equal(ours.mean["table"], theirs.mean["table"])
        assert torch.equal(ours.square["table"], theirs.square["table"])
    resumed = load(tmp_path, kept.data)
    assert isinstance(resumed, RecommenderProblem)
    assert torch.equal(resumed.resume(resumed.history.checkpoints[4]).params["table"], kept.params["table"])

    after = method("graph_drop").forget(kept, ForgetSet(users=(CANARY,))).problem
    assert isinstance(after, RecommenderProblem)
    save(after, tmp_path, overwrite=True)
    assert not (tmp_path / "history.safetensors").exists()
    assert not load(tmp_path, after.data).history.checkpoints


KILLED = """
import resource, signal, sys
from pathlib import Path
from recsys.data import from_parquet
from recsys.store import load, save
folder, room = Path(sys.argv[1]), int(sys.argv[2])
wide = load(folder / "wide", from_parquet(folder / "data.parquet"))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which ends the process in the middle of the write
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
save(wide, folder / "model")
"""


def test_a_killed_save_leaves_nothing_that_the_next_one_does_not_replace(
    problem: RecommenderProblem, tmp_path: Path
) -> None:
    wide = RecommenderProblem.build(problem.data, model="mf", dim=2_000)
    row = wide.params["table"][int(problem.data.users.rows([CANARY])[0])].numpy().tobytes()
    to_parquet(problem.data, tmp_path / "data.parquet")
    save(wide, tmp_path / "wide")
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(5 * len(row))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGXFSZ, done.stderr
    model = tmp_path / "model"
    assert any(row[:16] in file.read_bytes() for file in model.iterdir())
    request = ForgetSet(users=(CANARY,))
    remaining = problem.without(request)
    save(remaining.with_params(remaining.settled(request)), model, overwrite=True)
    assert {file.name for file in model.iterdir()} == {
        "manifest.json", "model.safetensors", "users.parquet", "items.parquet"
    }  # fmt: skip
    assert not any(row[:16] in file.read_bytes() for file in model.iterdir())


def test_a_full_disk_is_told_with_the_folder(problem: RecommenderProblem, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            save(problem, tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.filename == str(tmp_path / "model")


@pytest.mark.parametrize("absent", ["files", "tensors", "digest", None])
def test_a_manifest_that_is_not_all_there_is_told(
    problem: RecommenderProblem, tmp_path: Path, absent: str | None
) -> None:
    save(problem, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    left = [manifest] if absent is None else {key: value for key, value in manifest.items() if key != absent}
    (tmp_path / "manifest.json").write_text(json.dumps(left))
    with pytest.raises(StoredModelError, match="whole manifest.json" if absent is None else absent):
        load(tmp_path, problem.data)
