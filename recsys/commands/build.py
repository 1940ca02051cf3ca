"""From options to data and an untrained model. Imported by the commands when they run: it loads everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from recsys.closed_form import ClosedForm
from recsys.closed_form import registered as closed_forms
from recsys.commands.options import AUTO, OBJECTIVE, Setup, columns
from recsys.data import (
    Interactions,
    Split,
    everything,
    leave_last_out,
    ratio,
    read,
    synthetic,
    temporal,
    temporal_user,
)
from recsys.linear.growth import fit_width
from recsys.models import LinearRecommender, Recommender
from recsys.models import registered as models
from recsys.objectives import Objective, SampledObjective, WholeData
from recsys.objectives import registered as objectives
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.devices import unusable
from unlearn.methods.base import Unlearner
from unlearn.registry import arguments
from unlearn.specification import read as read_specification
from unlearn.specification import typed

T = TypeVar("T")
_CONVERGING = ("max_iterations",)
_STOCHASTIC = ("epochs", "batch_size", "lr", "keep")


def load_split(setup: Setup, seed: int, *, left_out: Callable[[int], object] | None = None) -> Split:
    """The data as train, validation and test; `left_out` is told how many ratings were below the threshold.

    Raises:
        ValueError: the data cannot be read, or cannot be split that way; with what `build_model` would refuse whatever
            the data, so that all is told at once.
    """
    problems: list[str] = []
    _recipe(setup, (1, 1), problems, seed=seed, progress=False, keep=frozenset())
    try:
        parts = _loaded(setup, seed, left_out)
    except ValueError as error:
        if not problems:
            raise
        raise ValueError("\n".join([str(error), *problems])) from error
    _refuse(problems)
    return parts


def _loaded(setup: Setup, seed: int, left_out: Callable[[int], object] | None) -> Split:
    data, split = setup.data, setup.split
    by_name = {
        "ratio": lambda found: ratio(found, seed=seed),
        "none": everything,
        "leave-last-out": leave_last_out,
        "temporal-user": temporal_user,
        "temporal": temporal,
    }
    if split not in (None, "given", *by_name):
        raise ValueError(f"`split` must be given, {', '.join(by_name)} (got {split!r})")
    if data is None:
        found = synthetic(seed=seed)
    else:
        found = read(
            data,
            format=setup.format,  # pyright: ignore[reportArgumentType]
            **columns(setup.column),
            threshold=setup.threshold,
            duplicates=setup.duplicates,  # pyright: ignore[reportArgumentType]
            seed=seed,
            left_out=left_out,
        )
    if isinstance(found, Split):
        if split not in (None, "given"):
            raise ValueError(f"`split` must be given for `{data}`, which brings its own (got {split!r})")
        return found
    assert isinstance(found, Interactions)
    if split == "given":
        raise ValueError(f"`split` given needs a folder with a train and a test file (got `{data}`); use --split ratio")
    return by_name[split or "ratio"](found)


def judging_split(setup: Setup) -> Split:
    """One split for all seeds, whose test is what models are judged by.

    Raises:
        ValueError: see `load_split`, or nothing would be held out.
    """
    if setup.split == "none":
        raise ValueError("`split` must hold something out to judge by (got none, which is for `unlearn train`)")
    return load_split(setup, 0)


def build_model(
    setup: Setup, data: Interactions, *, seed: int, progress: bool, keep: frozenset[str] = frozenset()
) -> RecommenderProblem | ClosedForm:
    """An untrained model on `data`; `keep` is what a stochastic objective keeps unless `--keep` says otherwise.

    Raises:
        ValueError: listing what does not exist, and every argument that is another's or out of range.
    """
    problems: list[str] = []
    solved, trained = _recipe(setup, (data.n_users, data.n_items), problems, seed=seed, progress=progress, keep=keep)
    _refuse(problems)
    if solved is not None:
        return solved(data).to(setup.device)
    assert trained is not None
    model, objective, options = trained
    problem = RecommenderProblem.build(data, model=model, objective=objective, options=options, device=setup.device)
    return fit_width(problem) if setup.dim == AUTO else problem


_Trained = tuple[Recommender, Objective, TrainingOptions]


def _recipe(
    setup: Setup, sizes: tuple[int, int], problems: list[str], *, seed: int, progress: bool, keep: frozenset[str]
) -> tuple[Callable[[Interactions], ClosedForm] | None, _Trained | None]:
    """How the model is solved, or else what trains it over so many users and items; what is wrong is added."""
    if (wrong := unusable(setup.device)) is not None:
        problems.append(wrong)
    options = {"dim": _width(setup, problems), "layers": setup.layers}
    chosen = _chosen("model", setup.model, {**models(), **closed_forms()}, options, problems)
    if chosen is not None and issubclass(solved := chosen[0], ClosedForm):
        problems += [
            f"`{_flag(name)}` must go with a model that an objective trains (got --model {setup.model}); "
            f"give {solved.name} its own arguments as in {solved.name}:name=value"
            for name in ("objective", "l2", "a", *_CONVERGING, *_STOCHASTIC)
            if getattr(setup, name) is not None
        ]
        problems += _unfit_for_auto(setup, chosen, None)
        seeded: dict[str, Any] = {"seed": seed} if "seed" in arguments(solved) else {}
        given = seeded | chosen[1]
        return lambda data: solved(data=data, **given), None
    own = {"l2": setup.l2, "a": setup.a}
    objective = _chosen("objective", setup.objective or OBJECTIVE, objectives(), own, problems)
    training = {} if objective is None else _training(setup, objective[0], keep, problems)
    problems += _unfit_for_auto(setup, chosen, objective)
    if problems or chosen is None or objective is None:
        return None, None
    kind, given = chosen
    assert issubclass(kind, Recommender)
    made = _made(lambda: kind(*sizes, **given), problems)
    minimised = _made(lambda: objective[0](**objective[1]), problems)
    trained = _made(lambda: TrainingOptions(seed=seed, progress=progress, **training), problems)
    return None, None if made is None or minimised is None or trained is None else (made, minimised, trained)


def _width(setup: Setup, problems: list[str]) -> int | None:
    """The columns that `--dim` asks for; None where it leaves them to the model or to short trainings."""
    if setup.dim is None or setup.dim == AUTO:
        return None
    try:
        return int(setup.dim)
    except ValueError:
        problems.append(f"`--dim` must be a positive integer or {AUTO} (got {setup.dim!r})")
        return None


def _unfit_for_auto(
    setup: Setup, model: tuple[type, Mapping[str, Any]] | None, objective: tuple[type, Mapping[str, Any]] | None
) -> list[str]:
    """Why no short training can find the width, where one is to."""
    if setup.dim != AUTO or model is None:
        return []
    kind, given = model
    problems: list[str] = []
    if "dim" in given:
        problems.append(f"`--dim` must be given once (got --model {setup.model} beside it)")
    if not issubclass(kind, LinearRecommender) or (objective is not None and not issubclass(objective[0], WholeData)):
        linear = ", ".join(name for name, one in models().items() if issubclass(one, LinearRecommender))
        under = "" if objective is None else f" --objective {setup.objective or OBJECTIVE}"
        problems.append(
            f"`--dim {AUTO}` must go with {linear} under {WholeData.name} (got --model {setup.model}{under})"
        )
    return problems


def kept_for(methods: Iterable[Unlearner]) -> frozenset[str]:
    """What training has to keep for these methods, as `TrainingOptions.keep` names it."""
    return frozenset(need.removeprefix("history.") for one in methods for need in one.requires)


def described(model: RecommenderProblem | ClosedForm) -> dict[str, Any]:
    """Names and arguments of a model, its objective and its training, as JSON has them."""
    if isinstance(model, ClosedForm):
        return {"model": model.name, "model_arguments": _plain(model.arguments())}
    named = _STOCHASTIC if isinstance(model.objective_function, SampledObjective) else _CONVERGING
    training = {name: getattr(model.options, name) for name in named if name != "keep"}
    return {
        "model": model.model.name,
        "model_arguments": _plain(model.model.arguments()),
        "objective": model.objective_function.name,
        "objective_arguments": _plain(model.objective_function.arguments()),
        "training_arguments": training,
    }


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(arguments, default=str))


def _training(setup: Setup, objective: type[Objective], keep: frozenset[str], problems: list[str]) -> dict[str, Any]:
    """Training options that were given: those of an objective that samples are not those of one that converges."""
    samples = issubclass(objective, SampledObjective)
    own, others = (_STOCHASTIC, _CONVERGING) if samples else (_CONVERGING, _STOCHASTIC)
    if misplaced := [_flag(name) for name in others if getattr(setup, name) is not None]:
        fitting = [name for name, kind in objectives().items() if issubclass(kind, SampledObjective) is not samples]
        problems.append(
            f"{', '.join(misplaced)} must go with {'a converging' if samples else 'a stochastic'} objective: "
            f"{', '.join(fitting)} (got --objective {setup.objective or OBJECTIVE})"
        )
    given: dict[str, Any] = {name: value for name in own if (value := getattr(setup, name)) is not None}
    if not samples:
        return given
    kept = given.get("keep")
    return given | {"keep": keep if kept is None else frozenset(part.strip() for part in kept.split(","))}


def _chosen(
    what: str, specification: str, kinds: Mapping[str, type[T]], options: Mapping[str, object], problems: list[str]
) -> tuple[type[T], dict[str, Any]] | None:
    """The class that a specification names, and its arguments from there and from the options that were given.

    What is wrong is added to `problems`: an argument that is not the class's or was given twice; None without a class.
    """
    try:
        name, given = read_specification(specification)
        if name not in kinds:
            raise ValueError(f"`{name}` is no {what}; there are {', '.join(kinds)}")
    except ValueError as error:
        problems.append(str(error))
        return None
    kind = kinds[name]
    values = {key: value for key, value in options.items() if value is not None}
    for key in values:
        if key not in arguments(kind):
            owners = ", ".join(other for other, one in kinds.items() if key in arguments(one))
            problems.append(f"`{_flag(key)}` belongs to {owners} (got --{what} {specification})")
        elif key in given:
            problems.append(f"`{_flag(key)}` must be given once (got --{what} {specification} beside it)")
    try:
        values |= typed(name, kind, given)
    except ValueError as error:
        problems.append(str(error))
    return kind, values


def _made(make: Callable[[], T], problems: list[str]) -> T | None:
    """What `make` makes; None where its arguments are out of range, which is added to `problems`."""
    try:
        return make()
    except ValueError as error:
        problems.append(str(error))
        return None


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError("\n".join(problems))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
