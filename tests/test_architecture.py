"""The house keeps its shape: who may import whom, what importing costs, and that the installed package is tested."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from inspect import ismodule
from pathlib import Path

import pytest

PACKAGES = ("unlearn", "recsys", "graph_influence")
ROOT = Path(__file__).resolve().parent.parent
# Of `unlearn`, the plug-ins may use the contracts and the solvers; a method that a plug-in contributes also builds on
# the others' base; whatever forgets by a method uses one: a stored model, a target of the service, which tracks
# versions too, and a surrogate that stands while people leave. A command that a plug-in contributes is an application,
# above both floors, and may use everything.
CONTRACTS = (
    "blocklist",
    "command",
    "compiled",
    "curvature",
    "devices",
    "digests",
    "durable",
    "forget",
    "history",
    "hooks",
    "interruption",
    "invalid",
    "memory",
    "parallel",
    "params",
    "problem",
    "registry",
    "seal",
    "solvers",
    "staging",
    "streams",
    "tables",
    "target",
    "units",
    "vocabulary",
    "workspace",
    "workspace_target",
)
BUILT_ON = ("methods", "specification", "tracking")
METHODS = (
    "recsys/forgetting.py",
    "recsys/methods",
    "recsys/plugin",
    "graph_influence/methods",
    "graph_influence/plugin",
    "graph_influence/standing_surrogate.py",
)
APPLICATIONS = ("recsys/commands", "graph_influence/commands")


def imports(source: Path) -> Iterator[str]:
    """Every absolute dotted name that a file imports, relative imports resolved."""
    package = source.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level] if node.level else ()
            base = ".".join((*parents, *filter(None, [node.module])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no files in {ROOT / package}"
    return found


def module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def top(name: str) -> str:
    return name.partition(".")[0]


def within(file: Path, folders: tuple[str, ...]) -> bool:
    return any(file.is_relative_to(ROOT / folder) for folder in folders)


def test_unlearn_knows_neither_recommenders_nor_social_graphs() -> None:
    wrong = [(str(f), name) for f in files("unlearn") for name in imports(f) if top(name) in PACKAGES[1:]]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_plug_ins_use_only_the_contracts(package: str) -> None:
    others = set(PACKAGES) - {package, "unlearn"}
    wrong = [
        (str(f), name)
        for f in files(package)
        for name in imports(f)
        if top(name) in others
        or (
            top(name) == "unlearn"
            and name.split(".")[1] not in (*CONTRACTS, *(BUILT_ON if within(f, METHODS) else []))
            and not within(f, APPLICATIONS)
        )
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    """What is imported for its type alone, or not before it is needed, counts as well."""
    modules = {module(file): file for package in PACKAGES for file in files(package)}

    def imported(name: str) -> str:
        return name if name in modules or not name else imported(name.rpartition(".")[0])

    arrows = {(name, imported(other)) for name, file in modules.items() for other in imports(file)}
    arrows = {(name, other) for name, other in arrows if other and other != name}
    assert ("recsys.problem", "recsys.linear.locality") in arrows
    below = {name: {other for one, other in arrows if one == name} for name in modules}
    assert len(list(TopologicalSorter(below).static_order())) == len(modules)  # else: CycleError, which names it


def test_every_import_is_a_declared_dependency() -> None:
    declared = {
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        for requirement in importlib.metadata.requires("unlearn-recsys") or []
    }
    providers = importlib.metadata.packages_distributions()
    undeclared = {
        (str(f.relative_to(ROOT)), name)
        for package in PACKAGES
        for f in files(package)
        for name in map(top, imports(f))
        if name not in sys.stdlib_module_names
        and name not in PACKAGES
        and not {p.lower().replace("_", "-") for p in providers.get(name, [])} & declared
    }
    assert undeclared == set()


@pytest.mark.parametrize("package", ["unlearn", "unlearn.cli", "recsys", "graph_influence"])
def test_importing_a_library_package_stays_light(package: str, tmp_path: Path) -> None:
    heavy = "{'mlflow', 'fastapi', 'sqlalchemy', 'cryptography', 'ray', 'faiss'}"
    code = f"import sys, {package}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_seeds_are_selected_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from graph_influence.graph import SocialGraph; from graph_influence.maximize import maximize; "
        "maximize(SocialGraph.from_arcs([0, 1], [1, 2], nodes=3), 1); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


@pytest.mark.skipif("PYTHONPATH" in os.environ, reason="PYTHONPATH may put the checkout before the installed package")
def test_the_installed_package_is_under_test(tmp_path: Path) -> None:
    code = f"import sys, {', '.join(PACKAGES)}; print(*({', '.join(f'{p}.__file__' for p in PACKAGES)}), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    elsewhere = [where for where in done.stdout.split() if "site-packages" not in Path(where).parts]
    assert elsewhere == []


def test_every_file_of_the_packages_is_installed() -> None:
    recorded = {str(f) for f in importlib.metadata.files("unlearn-recsys") or []}
    missing = [str(f.relative_to(ROOT)) for p in PACKAGES for f in files(p) if str(f.relative_to(ROOT)) not in recorded]
    assert missing == []


def test_every_entry_point_leads_somewhere() -> None:
    points = [p for p in importlib.metadata.distribution("unlearn-recsys").entry_points if top(p.module) in PACKAGES]
    assert {p.group for p in points} >= {"console_scripts", "unlearn.commands", "unlearn.methods"}
    loaded = [(point.group, point.load()) for point in points]
    assert all(ismodule(found) if group == "unlearn.methods" else callable(found) for group, found in loaded)
