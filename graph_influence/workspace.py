"""A network and its graph in one folder that changes as a whole."""

from __future__ import annotations

from pathlib import Path

from graph_influence import store, surrogate_store
from graph_influence.network import Network
from graph_influence.snapshot import from_parquet, to_parquet
from unlearn.workspace import Workspace

GRAPH = "graph.parquet"


def at(folder: str | Path) -> Workspace:
    """The workspace in a folder, whether there is one yet or not."""
    return Workspace(Path(folder), marker=GRAPH, made_by="`unlearn influence prepare`", option="workspace")


def model_folder(folder: str | Path) -> Path:
    """Where sets, seeds and what a surrogate learned lie: the part without arcs."""
    return Path(folder) / "model"


def surrogate_file(folder: str | Path) -> Path:
    """Where a surrogate that learned from the graph lies: a file as `load_surrogate` takes it."""
    return model_folder(folder) / surrogate_store.SURROGATE


def save(network: Network, folder: str | Path) -> None:
    """Write the new state in full and swap it in.

    Raises:
        FileExistsError: the folder exists and is no workspace.
    """
    at(folder).replace(lambda new: write(network, new))


def write(network: Network, folder: Path) -> str:
    """Write the files of a workspace, and return the digest of the network."""
    digest = store.save(network, model_folder(folder))
    to_parquet(network.graph, folder / GRAPH)
    return digest


def load(folder: str | Path) -> Network:
    """The network that was saved.

    Raises:
        FileNotFoundError: the folder is no workspace.
        StoredNetworkError: a file was changed, or people have left the graph whom the sets still know.
    """
    with at(folder).read():
        graph = from_parquet(Path(folder) / GRAPH)
        if graph.nodes != store.people(model_folder(folder)):
            raise store.StoredNetworkError(
                f"{folder} must be as it was published (people are being forgotten in it); let `unlearn worker` finish"
            )
        return store.load(model_folder(folder), graph)
