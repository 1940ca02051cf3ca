"""Surrogates and minimisers from what is typed for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graph_influence.minimize import Minimizer
    from graph_influence.surrogate import Surrogate


def surrogate_of(specification: str, model: str = "ic") -> Surrogate:
    """`mean_field:rounds=15`, or `gcn:path=FILE` for one that was trained.

    Raises:
        ValueError: there is no such surrogate or argument, or the file holds another one or one of another model.
        FileNotFoundError: there is no such file.
    """
    from graph_influence.surrogate import load_surrogate, surrogate
    from unlearn.specification import built, read

    name, given = read(specification)
    if "path" not in given:
        return built(specification, lambda name, **typed: surrogate(name, **{"model": model} | typed))
    network = load_surrogate(Path(given["path"]))
    if (network.name, network.model) != (name, model) or len(given) > 1:
        raise ValueError(
            f"{given['path']} must hold a surrogate `{name}` of the model {model} (got {network.name} of "
            f"{network.model}), and `path` must be its only argument (got {specification!r})"
        )
    return network


def trained_surrogate_of(specification: str, model: str = "ic") -> Surrogate:
    """As `surrogate_of`, to be asked: one that has something to learn must come from a file.

    Raises:
        ValueError: as `surrogate_of`, or it has not learned.
    """
    from graph_influence.surrogate.chosen import untrained
    from unlearn.specification import read

    network = surrogate_of(specification, model)
    if "path" not in read(specification)[1] and list(network.parameters()):
        raise ValueError(untrained(network.name))
    return network


def minimizer_of(specification: str, surrogate: str | None = None, **shared: Any) -> Minimizer:
    """`ris:eps=0.2` with what all methods share; `diffim:surrogate=[gcn:path=FILE]` names what it reads, by
    default `surrogate`.

    Raises:
        ValueError: as `trained_surrogate_of`, or there is no such method or argument, or it reads no surrogate.
    """
    from graph_influence.minimize import minimizer
    from unlearn.specification import built, read

    name, given = read(specification)
    surrogate = given.pop("surrogate", surrogate)
    if surrogate is not None:
        shared = shared | {"surrogate": trained_surrogate_of(surrogate, shared["model"])}
    rest = ":".join([name, *(f"{key}={value}" for key, value in given.items())])
    try:
        return built(rest, lambda name, **typed: minimizer(name, **shared | typed))
    except TypeError:
        raise ValueError(f"`surrogate` must be left out for `{name}`, which reads none (got {surrogate!r})") from None
