"""unlearn influence train-surrogate"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from graph_influence.commands.options import Model, Seed
from unlearn.command import Json, command, terminal
from unlearn.interruption import answered

_ITS_OWN = "default: the surrogate's own"


@command
def train_surrogate(
    *,
    surrogate: Annotated[
        str, typer.Argument(help="gcn, capped or hybrid; with arguments as in gcn:width=64 or hybrid:rounds=15.")
    ],
    out: Annotated[Path, typer.Option(help="File to write, read by --surrogate gcn:path=FILE.")],
    graphs: Annotated[
        int | None, typer.Option(min=1, help=f"How many random graphs to learn from ({_ITS_OWN}).")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help=f"How often to learn from each seed set ({_ITS_OWN}).")
    ] = None,
    lr: Annotated[float | None, typer.Option(help=f"Adam's rate at first ({_ITS_OWN}).")] = None,
    perturbed: Annotated[
        float | None, typer.Option(help=f"Share of seed sets that spread on less than their graph ({_ITS_OWN}).")
    ] = None,
    model: Model = "ic",
    device: Annotated[str, typer.Option(help="Where to train, as torch names it: cpu, cuda, cuda:1.")] = "cpu",
    seed: Seed = 0,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Train a surrogate on cascades over random power-law graphs.

    An interrupt while it learns ends it with the best so far, which is kept (exit code 0); before, with nothing.
    """
    from graph_influence.commands.specified import surrogate_of
    from graph_influence.surrogate import save_surrogate, train
    from graph_influence.surrogate.recipes import recipe
    from unlearn.devices import unusable
    from unlearn.outputs import require_writable

    if (wrong := unusable(device)) is not None:
        raise ValueError(wrong)
    network = surrogate_of(surrogate, model).to(device)
    require_writable(out=out)
    regime, options = recipe(network)
    given = {"graphs": graphs, "perturbed": perturbed}, {"epochs": epochs, "lr": lr}
    drawn, asked = ({name: value for name, value in one.items() if value is not None} for one in given)
    regime = replace(regime, **drawn, model=model, seed=seed)
    options = replace(options, **asked, seed=seed, progress=not json_)
    examples = regime.draw("train", progress=not json_)
    validation = regime.draw("validation", max(1, regime.graphs // 5), progress=not json_)
    with answered():
        trained = train(network, examples, validation, options)
    result = {
        "surrogate": network.name,
        "arguments": network.arguments(),
        "regime": asdict(regime),
        "options": asdict(options),
        **asdict(trained),
    }
    save_surrogate(network, out, result)
    if not json_:
        console = terminal(highlight=False)
        least = trained.validation[trained.epoch]
        console.print(f"{network.name}: {sum(len(one) for one in examples)} seed sets, {trained.seconds:.0f} s")
        console.print(
            f"Loss on validation: {trained.validation[0]:.4g} before, {least:.4g} after epoch {trained.epoch}"
        )
        if trained.interrupted:
            console.print(f"Interrupted; {out.name} holds the best so far")
    return result
