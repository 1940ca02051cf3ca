"""Benchmarks as programs that are run, and as modules that are looked into."""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

Command = Callable[..., list[str]]
Run = Callable[..., dict[str, Any]]
Load = Callable[[str], ModuleType]


class Benchmark(Protocol):
    def __call__(self, name: str, *flags: object, cwd: Path) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def command() -> Command:
    """The command line of a benchmark."""
    return lambda name, *flags: [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, flags)]


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Iterator[Benchmark]:
    """A benchmark as a process of its own that has ended, by way of `preloaded`."""
    output = tmp_path_factory.mktemp("output")
    preloaded = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("preloaded.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert preloaded.stdin is not None and preloaded.stdout is not None
    orders, endings = preloaded.stdin, preloaded.stdout

    def ended(name: str, *flags: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        _, *line = command(name, *flags)
        said = {stream: output / stream for stream in ("stdout", "stderr")}
        for path in said.values():
            path.write_bytes(b"")
        orders.write(json.dumps({"line": line, "cwd": str(cwd), **{k: str(path) for k, path in said.items()}}) + "\n")
        code = int(endings.readline())
        return subprocess.CompletedProcess(line, code, *(path.read_text("utf-8") for path in said.values()))

    with preloaded:
        yield ended
        orders.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, benchmark: Benchmark) -> Run:
    """What a benchmark writes under --quick; each command line runs once a session."""

    @cache
    def result(name: str, *flags: str) -> dict[str, Any]:
        out = tmp_path_factory.mktemp(name) / "result.json"
        done = benchmark(name, "--quick", "--json", out, *flags, cwd=out.parent)
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
