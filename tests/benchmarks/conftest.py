"""Benchmarks as programs that are run, and as modules that are looked into."""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

Command = Callable[..., list[str]]
Run = Callable[..., dict[str, Any]]
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="session")
def command() -> Command:
    """The command line of a benchmark."""
    return lambda name, *flags: [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, flags)]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Run:
    """What a benchmark writes under --quick; each command line runs once a session."""

    @cache
    def result(name: str, *flags: str) -> dict[str, Any]:
        out = tmp_path_factory.mktemp(name) / "result.json"
        line = command(name, "--quick", "--json", out, *flags)
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=out.parent)
        assert done.returncode == 0, done.stderr
        text = out.read_text("utf-8")
        for private in (str(BENCHMARKS.parent), str(out.parent), platform.node()):
            assert private not in text + done.stdout
        assert [path.name for path in out.parent.iterdir()] == ["result.json"]
        return json.loads(text)

    return result


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """A benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # they import one another by bare name

    def module(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, found)  # where dataclasses look themselves up
        spec.loader.exec_module(found)
        return found

    return module
