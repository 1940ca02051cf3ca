"""Trained parameters on disk, each under the digest of all that they came from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from unlearn import durable
from unlearn.history import History, TrainingHook, prefixed
from unlearn.params import Params

FORMAT = 1
_PARAMS = "params."
_REST = ("options", "seconds", "peak_bytes")


@dataclass(frozen=True)
class Stored:
    """What training ended with."""

    params: Params
    history: History
    options: dict[str, Any]  # what training settled of its own options
    seconds: float
    peak_bytes: int  # the most memory that the process had held until then


@dataclass(frozen=True)
class Store:
    """A folder of models: safetensors and a JSON manifest each, written whole or not at all.

    The manifest comes last and has the checksum of the tensors: what was interrupted or damaged is no model, and is
    trained again. Neither file names anything of the data.
    """

    folder: Path

    def load(
        self, address: str, device: torch.device | str = "cpu", hooks: tuple[TrainingHook, ...] = ()
    ) -> Stored | None:
        """The model of that address; None where there is none, or not the whole of it."""
        try:
            manifest = json.loads(self._manifest(address).read_text("utf-8"))
            content = self._tensors(address).read_bytes()
        except (FileNotFoundError, ValueError):  # a manifest cut short is no JSON, or not even text
            return None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            return None
        if manifest.get("sha256") != hashlib.sha256(content).hexdigest():
            return None
        tensors = {name: value.to(device) for name, value in load(content).items()}
        history = History.restored(manifest["training"], tensors, manifest["checkpoints"], hooks)
        rest = {name: manifest[name] for name in _REST}
        return Stored(prefixed(tensors, _PARAMS), history, **rest)

    def save(self, address: str, stored: Stored) -> None:
        """Write it, in place of what there may be."""
        history = stored.history
        tensors = {f"{_PARAMS}{name}": value for name, value in stored.params.items()} | history.tensors()
        content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
        manifest = {
            "format": FORMAT,
            "sha256": hashlib.sha256(content).hexdigest(),
            "training": history.facts(),
            "checkpoints": [one.epoch for one in history.checkpoints],
        } | {name: getattr(stored, name) for name in _REST}
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self._tensors(address), content)
        _write(self._manifest(address), (json.dumps(manifest, indent=1) + "\n").encode())

    def retain(self, addresses: Iterable[str]) -> int:
        """Delete all that is not under one of the addresses, halves of writes included; how many models went."""
        kept = {path for one in addresses for path in (self._tensors(one), self._manifest(one))}
        gone = 0
        for path in sorted(self.folder.glob("*")):
            if path not in kept and path.name.endswith((".safetensors", ".json", ".part")):
                path.unlink(missing_ok=True)
                gone += path.suffix == ".safetensors"
        return gone

    def _tensors(self, address: str) -> Path:
        return self.folder / f"{address}.safetensors"

    def _manifest(self, address: str) -> Path:
        return self.folder / f"{address}.json"


def _write(path: Path, content: bytes) -> None:
    """Under its own name only once it is whole; a process has a name of its own for what it is writing."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with durable.named(path):
        part.write_bytes(content)
    part.replace(path)
