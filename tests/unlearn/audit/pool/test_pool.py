"""The pool against training by hand: the same models, found again, told apart by content, and erased."""

from __future__ import annotations

import gc
import signal
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import ridge, tiny_data, tiny_recommender
from unlearn.audit.pool import ModelPool, Plan
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.methods import method
from unlearn.problem import Problem


def losses(model: Problem) -> Tensor:
    """Minus the loss of every record of the ridge regression, those the model was not trained on included."""
    return -ridge().record_losses(model.params)


def user_pool(folder: Path, models: int = 4, **arguments: Any) -> ModelPool:
    problem = tiny_recommender()
    keys = problem.units("user").keys
    return ModelPool(problem, Plan.halves(len(keys), models, 0, unit="user", keys=keys), folder, **arguments)


def sampled() -> RecommenderProblem:
    options = TrainingOptions(epochs=3, batch_size=64, keep=frozenset({"checkpoints", "optimizer"}), checkpoint_every=1)
    return RecommenderProblem.build(tiny_data(), model="simgcl", objective=BPR(), options=options, dim=4)


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("build", "unit"),
    [(ridge, "record"), (tiny_recommender, "user"), (tiny_recommender, "interaction"), (sampled, "item")],
)
def test_a_model_is_what_training_on_its_part_gives_now_and_from_disk(build: Any, unit: Any, tmp_path: Path) -> None:
    problem = build()
    units = problem.units(unit)
    plan = Plan.halves(len(units), 2, seed=5, unit=unit, keys=units.keys)
    pool = ModelPool(problem, plan, tmp_path, jobs=1)
    left_out = units.forget_set((~plan.member[1]).nonzero().flatten().numpy())
    remaining = problem.without(left_out)
    direct = remaining.fit(options=replace(problem.options, seed=plan.seeds[1]))
    for model in (pool.model(1), pool.model(-1)):  # trained, then read
        assert model.n_records == direct.n_records < problem.n_records
        assert model.digest() == direct.digest() != remaining.digest()
        assert all(torch.equal(model.params[name], value) for name, value in direct.params.items())
        assert model.history.facts() | {"seconds": None} == direct.history.facts() | {"seconds": None}
        assert [c.epoch for c in model.history.checkpoints] == [c.epoch for c in direct.history.checkpoints]
        kept = model.history.tensors()
        assert all(torch.equal(kept[name], value) for name, value in direct.history.tensors().items())
    assert len(list(tmp_path.iterdir())) == 2 and {path.suffix for path in tmp_path.iterdir()} == {
        ".json",
        ".safetensors",
    }
    # Whoever goes on from the stored model trains as from the fresh one.
    again, fresh = pool.model(1).fit().params, direct.fit().params
    assert all(torch.equal(again[name], value) for name, value in fresh.items())


def test_processes_make_the_same_models_as_this_one_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    here, there = (user_pool(tmp_path / name, jobs=jobs) for name, jobs in (("here", 1), ("there", 2)))
    records = torch.stack([here.problem.graph.rows, here.problem.graph.cols], 1)  # pyright: ignore
    owners = torch.from_numpy(here.problem.units("user").owners)
    signals = [pool.signals(lambda model: model.outputs(records), units=owners) for pool in (here, there)]
    tensors = [
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.safetensors")} for name in ("here", "there")
    ]
    assert tensors[0] == tensors[1] and len(tensors[0]) == 4
    assert torch.equal(signals[0].values, signals[1].values)
    assert torch.equal(signals[0].member, here.plan.member[:, owners])
    before = content(tmp_path / "there")
    there.fill()
    assert content(tmp_path / "there") == before


def test_signals_know_who_was_trained_on_what(tmp_path: Path) -> None:
    pool = ModelPool(ridge(), Plan.halves(40, 4, seed=0), tmp_path, jobs=1)
    found = pool.signals(losses)
    assert torch.equal(found.member, pool.plan.member) and found.values.dtype == torch.float64
    assert torch.equal(found.blocks, torch.tensor([0, 0, 1, 1]))  # pyright: ignore[reportArgumentType]
    for j in range(4):
        assert torch.equal(found.values[j], losses(pool.model(j)))
    held_out = pool.signals(lambda model: losses(model)[:3], units=torch.tensor([-1, 7, 7]))
    assert not held_out.member[:, 0].any() and torch.equal(held_out.member[:, 1], pool.plan.member[:, 7])
    with pytest.raises(ValueError, match=r"`units` must name the unit of each of the 3 examples .*\(got \[40\]\)"):
        pool.signals(lambda model: losses(model)[:3])


def test_unlearned_models_have_forgotten_their_own_part(tmp_path: Path) -> None:
    pool = ModelPool(ridge(), Plan.halves(40, 4, seed=0), tmp_path, jobs=1)
    forget = ForgetSet(records=(0, 1, 2))
    before = pool.signals(losses)
    after, nothing = (
        pool.unlearned(unlearner, forget, losses) for unlearner in (method("retrain", coupled=True), method("no_op"))
    )
    assert torch.equal(after.member, before.member) and torch.equal(nothing.values, before.values)
    for j, member in enumerate(pool.plan.member):
        left_out = sorted({*(~member).nonzero().flatten().tolist(), 0, 1, 2})
        direct = ridge(seed=pool.plan.seeds[j]).without(ForgetSet(records=tuple(left_out))).fit()
        torch.testing.assert_close(after.values[j], losses(direct), rtol=0, atol=1e-9)
        assert torch.equal(after.values[j], before.values[j]) != bool(member[:3].any())
    with pytest.raises(UnknownIds):
        pool.unlearned(method("no_op"), ForgetSet(records=(40,)), losses)
    with pytest.raises(ValueError, match="`no_op` must end in finite signals .got 160 of 160"):
        pool.unlearned(method("no_op"), forget, lambda model: losses(model) / 0.0)


def test_content_names_the_model(tmp_path: Path) -> None:
    plan = Plan.halves(40, 2, seed=0)
    pool = ModelPool(ridge(), plan, tmp_path, jobs=1)
    pool.fill()
    names = content(tmp_path).keys()
    ModelPool(ridge().fit(), Plan(plan.member[[1]], "record", plan.seeds[1:]), tmp_path, jobs=1).fill()
    assert content(tmp_path).keys() == names  # the same model under another plan
    for other in (
        ModelPool(ridge(tolerance=1e-9), plan, tmp_path, jobs=1),
        ModelPool(ridge(), Plan(plan.member, "record", (1, 2)), tmp_path, jobs=1),
        ModelPool(ridge(), Plan(plan.member.roll(1, 1), "record", plan.seeds), tmp_path, jobs=1),
        ModelPool(ridge(), plan, tmp_path, jobs=1, identity="ridge"),
        ModelPool(ridge(), plan, tmp_path, jobs=1, identity="another"),
    ):
        before = len(content(tmp_path))
        other.fill()
        assert len(content(tmp_path)) == before + 4


def test_what_is_damaged_is_trained_again(tmp_path: Path) -> None:
    pool = user_pool(tmp_path, jobs=1)
    pool.fill()
    before = content(tmp_path)
    tensors, manifests = (sorted(tmp_path.glob(f"*.{kind}")) for kind in ("safetensors", "json"))
    whole = tensors[0].read_bytes()
    flipped = bytes([*whole[:-1], whole[-1] ^ 1])
    tensors[0].write_bytes(flipped)
    tensors[1].write_bytes(tensors[1].read_bytes()[:-8])
    manifests[2].write_text(manifests[2].read_text("utf-8")[:40], "utf-8")
    untouched = {name: value for name, value in before.items() if tensors[3].stem in name}
    pool.fill()
    after = content(tmp_path)
    assert {name: data for name, (_, data) in after.items() if name.endswith("safetensors")} == {
        name: data for name, (_, data) in before.items() if name.endswith("safetensors")
    }
    assert after.items() >= untouched.items() and len(untouched) == 2
    assert sum(after[name][0] != before[name][0] for name in after) == 6
    manifests[0].unlink()
    pool.model(0), pool.model(1), pool.model(2), pool.model(3)
    assert content(tmp_path).keys() == before.keys()


def test_an_interrupted_training_leaves_no_model(tmp_path: Path) -> None:
    epochs: list[int] = []

    def hook(problem: Problem, params: dict[str, Tensor]) -> Tensor:
        epochs.append(1)
        if len(epochs) == 8:
            signal.raise_signal(signal.SIGINT)
        return next(iter(params.values())).new_zeros(())

    bare = sampled()
    problem = bare.with_params(bare.params, history=replace(bare.history, hooks=(hook,)))
    pool = ModelPool(problem, Plan.halves(40, 2, 0, unit="user"), tmp_path, jobs=1, identity="interrupted")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        pool.fill()
    assert len(list(tmp_path.glob("*"))) == 0 and signal.getsignal(signal.SIGINT) is handler
    assert pool.model(0).history.checkpoints[-1].epoch == 3
    assert len(list(tmp_path.glob("*"))) == 2


@pytest.mark.parametrize("identity", [None, "tiny"])
def test_purge_deletes_whatever_was_trained_on_the_forgotten_and_keeps_the_rest(
    identity: str | None, tmp_path: Path
) -> None:
    pool = user_pool(tmp_path, models=6, jobs=1, identity=identity)
    pool.fill()
    (tmp_path / "elsewhere.safetensors").write_bytes(b"of an older plan")
    (tmp_path / "half.safetensors.7.part").write_bytes(b"left by a kill")
    (tmp_path / "notes.txt").write_text("not ours", "utf-8")
    gone, other = pool.problem.data.users.take([3, 8])  # pyright: ignore
    trained_on = pool.plan.member[:, 3].tolist()
    with pytest.raises(UnknownIds):
        pool.purge(ForgetSet(users=("nobody",)))
    before = content(tmp_path)
    assert pool.purge(ForgetSet(users=(gone,))) == sum(trained_on) + 1 == 4
    after = content(tmp_path)
    assert len(after) == 1 + 2 * trained_on.count(False) and before.items() >= after.items()
    assert not pool.plan.member[:, 3].any()
    for name, (_, data) in after.items():
        assert all(str(one) not in name and str(one).encode() not in data for one in (gone, other))
    with pytest.raises(UnknownIds):
        pool.problem.resolve(ForgetSet(users=(gone,)))
    pool.fill()
    filled = content(tmp_path)
    assert filled.items() >= after.items() and len(filled) == 1 + 2 * 6
    assert not any(model.data.users.alive[3] for model in map(pool.model, range(6)))  # pyright: ignore
    # A pool that is opened on the remaining data finds all of it.
    remaining = tiny_recommender().without(ForgetSet(users=(gone,)))
    ModelPool(remaining, pool.plan, tmp_path, jobs=1, identity=identity).fill()
    assert content(tmp_path) == filled


def test_purge_of_numbered_records_takes_their_columns_with_it(tmp_path: Path) -> None:
    pool = ModelPool(ridge(), Plan.halves(40, 4, seed=0), tmp_path, jobs=1)
    pool.fill()
    lots = pool.plan.member
    assert pool.purge(ForgetSet(records=(0, 5))) == int(lots[:, [0, 5]].any(1).sum())
    kept = [i for i in range(40) if i not in (0, 5)]
    assert torch.equal(pool.plan.member, lots[:, kept]) and pool.plan.seeds == Plan.halves(40, 4, seed=0).seeds
    direct = ridge(seed=pool.plan.seeds[2]).without(
        ForgetSet(records=tuple({0, 5, *(~lots[2]).nonzero().flatten().tolist()}))
    )
    torch.testing.assert_close(pool.model(2).params, direct.fit().params, rtol=0, atol=0)


def test_at_most_one_model_is_held_at_a_time(tmp_path: Path) -> None:
    pool = ModelPool(ridge(), Plan.halves(40, 4, seed=0), tmp_path, jobs=1)
    seen: list[weakref.ref[Problem]] = []

    def told(model: Problem) -> Tensor:
        gc.collect()
        assert all(one() is None for one in seen)
        seen.append(weakref.ref(model))
        return losses(model)

    pool.signals(told)
    assert len(seen) == 4


def test_an_estimate_goes_by_a_model_that_is_there(tmp_path: Path) -> None:
    pool = user_pool(tmp_path, jobs=1)
    first = pool.estimate()
    assert (first.models, first.missing, first.workers) == (4, 3, 1) and first.seconds > 0
    assert first.disk_bytes == 4 * pool.model(0).params["table"].nbytes and first.peak_bytes > 2**26
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    pool.fill()
    done = pool.estimate()
    assert (done.missing, done.seconds) == (0, 0.0)
    assert str(done).startswith("0 of 4 models to train")


def test_what_a_pool_cannot_be_made_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'`plan` must be for the 40 units "record" of this problem \(got 41\)'):
        ModelPool(ridge(), Plan.halves(41, 2, 0), tmp_path)
    with pytest.raises(ValueError, match='"user"'):
        ModelPool(ridge(), Plan.halves(40, 2, 0, unit="user"), tmp_path)
    hooked = ridge()
    unknown = hooked.with_params(hooked.params, history=replace(hooked.history, hooks=(np.add,)))  # pyright: ignore
    with pytest.raises(ValueError, match="ufunc"):
        ModelPool(unknown, Plan.halves(40, 2, 0), tmp_path)
    ModelPool(unknown, Plan.halves(40, 2, 0), tmp_path, identity="named")
