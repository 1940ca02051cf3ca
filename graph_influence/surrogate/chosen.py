"""The surrogate that a method reads: one that it is given, or one by name that has nothing to learn."""

from __future__ import annotations

from graph_influence.surrogate.base import Surrogate, surrogate
from graph_influence.surrogate.criticality import warn_if_supercritical
from graph_influence.surrogate.messages import NonBacktracking
from graph_influence.surrogate.tensors import TensorGraph

Given = Surrogate | str | None


def chosen_surrogate(given: Given, model: str) -> Surrogate:
    """The surrogate itself, or a new one of that name and model; by default non-backtracking message passing.

    Raises:
        ValueError: there is no surrogate of that name.
    """
    return given if isinstance(given, Surrogate) else surrogate(given or NonBacktracking.name, model=model)


def wrong_surrogate(given: Given, model: str) -> list[str]:
    """What keeps a method for this model from reading it."""
    if isinstance(given, Surrogate):
        if given.model == model:
            return []
        return [f"`surrogate` must be one of the model {model!r} (got {given})"]
    try:
        learns = [] if given is None else list(surrogate(given).parameters())
    except ValueError as error:
        return [str(error)]
    return [untrained(str(given))] if learns else []


def untrained(name: str) -> str:
    """That a surrogate of this name, newly made, is nothing to go by."""
    return (
        f"`{name}` must have learned before it is asked (a new one has not); train it with `train-surrogate`, name it "
        f"as {name}:path=FILE, or from Python pass what `load_surrogate` gives"
    )


def warn_where_untold(network: Surrogate, graph: TensorGraph) -> None:
    """Warns: SupercriticalWarning, where activity takes off and the surrogate has not learned to tell."""
    if not list(network.parameters()):
        warn_if_supercritical(graph)
