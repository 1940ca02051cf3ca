"""What all commands share: readable errors, exit codes, help, words for people."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from graph_influence.maximize import maximizers
from graph_influence.minimize import minimizers
from graph_influence.readers import Format
from graph_influence.schemes import SCHEMES
from recsys.data import Interactions
from recsys.data.readers.formats import FORMATS
from tests.cli.run import digest, program, refusal, unlearn
from unlearn.audit.attacks import metrics
from unlearn.cli import app
from unlearn.worst_case import selectors

COMMANDS = (
    "demo", "train", "forget", "recommend", "explain", "evaluate", "audit", "worst-case", "report", "methods", "models"
)  # fmt: skip


def bad_values(table: Path, model: Path, elsewhere: Path) -> dict[str, tuple[tuple[str | Path, ...], tuple[str, ...]]]:
    """Arguments, and what the message must say."""
    train = ("train", "--data", table, "--out", elsewhere)
    forget = ("forget", "--model", model, "--user", "u000001")
    evaluate = ("evaluate", "--data", table)
    return {
        "no data": (("train", "--data", "nowhere.csv", "--out", elsewhere), ("nowhere.csv",)),
        "split": ((*train, "--split", "thirds"), ("`split` must be", "'thirds'")),
        "no given split": ((*train, "--split", "given"), ("--split ratio",)),
        "no times": ((*train, "--split", "temporal-user"), ("time",)),
        "model": ((*train, "--model", "gpt"), ("`gpt` is no model", "lightgcn, mf")),
        "objective": ((*train, "--objective", "[/]"), ("`[/]` is no objective", "bpr, multinomial")),
        "dim": ((*train, "--dim", "0"), ("`dim` must be a positive integer", "(got 0)")),
        "dim that is none": ((*train, "--dim", "wide"), ("`--dim` must be a positive integer or auto (got 'wide')",)),
        "dim that nothing finds": (
            (*train, "--model", "ngcf:dim=8", "--objective", "bpr", "--dim", "auto"),
            (
                "must be given once",
                "go with lightgcn, mf, social_lightgcn under whole_data",
                "(got --model ngcf:dim=8 --obj",
            ),
        ),
        "dim of a closed form": ((*train, "--model", "ease", "--dim", "auto"), ("(got --model ease)",)),
        "layers": ((*train, "--layers", "-1"), ("`layers` must be", "(got -1)")),
        "l2": ((*train, "--l2", "-1"), ("`l2` must be at least 0 for `whole_data` (got -1.0)",)),
        "a elsewhere": (
            (*train, "--objective", "bpr", "--a", "0.1"),
            ("`--a` belongs to", "whole_data (got --objective bpr)"),
        ),
        "numbers that are none": (
            (*train, "--l2", "inf", "--threshold", "nan"),
            ("`--threshold` must be a finite number (got nan)", "`--l2` must be a finite number (got inf)"),
        ),
        "epochs": ((*train, "--objective", "bpr", "--epochs", "0"), ("`epochs` must be positive", "(got 0)")),
        "stochastic": (
            (*train, "--batch-size", "9", "--keep", "optimizer"),
            ("--batch-size, --keep must go with a stochastic objective: bpr", "(got --objective whole_data)"),
        ),
        "converging": (
            (*train, "--objective", "bpr", "--max-iterations", "9"),
            ("--max-iterations must go with a converging objective: multinomial", "(got --objective bpr)"),
        ),
        "max iterations": ((*train, "--max-iterations", "0"), ("`max_iterations` must be positive", "(got 0)")),
        "keep": (
            (*train, "--objective", "bpr", "--keep", "optimizer,all"),
            ("`keep` must be empty or of", "(got ['all', 'optimizer'])"),
        ),
        "no layers": ((*train, "--model", "mf", "--layers", "2"), ("`--layers` belongs to lightgcn", "--model mf")),
        "twice": (
            (*train, "--model", "lightgcn:dim=8", "--dim", "4"),
            ("`--dim` must be given once (got --model lightgcn:dim=8 beside it)",),
        ),
        "model argument": (
            (*train, "--model", "lightgcn:width=8:layers=two"),
            ("`width` is no argument of `lightgcn`; there are dim, layers", "`layers` must be int", "'two'"),
        ),
        "foreign folder": (("train", "--data", table, "--out", table.parent), ("`out` must be a new folder",)),
        "no model": (("recommend", "--model", elsewhere, "--user", "x"), ("`model` must be a folder",)),
        "k": (("recommend", "--model", model, "--user", "u000001", "--k", "0"), ("`k` must be a positive", "(got 0)")),
        "method": ((*forget, "--method", "magic"), ("`magic` is no unlearning method", "reconverge")),
        "pair": ((*forget, "--interaction", "u000001"), ("`interaction` must be USER,ITEM (got 'u000001')",)),
        "several": (
            (*forget, "--unknown", "ask", "--on-failure", "cry", "--interaction", "x"),
            ("`unknown` must be raise or skip (got 'ask')", "`on-failure` must be", "`interaction` must be"),
        ),
        "foreign result": ((*forget, "--out", table.parent), ("`out` must be a new folder",)),
        "delete": ((*evaluate, "--delete", "half"), ("`delete` must be", "(got 'half')")),
        "share": ((*evaluate, "--delete", "random:2"), ("between 0 and 1",)),
        "seeds": ((*evaluate, "--delete", "users:2", "--seeds", "0"), ("`seeds` must be a positive integer",)),
        "sizes of an audit": (
            ("audit", "--data", table, "--delete", "users:2", "--seeds", "0", "--examples", "0", "--jobs", "-2"),
            ("`seeds` must be a positive", "`examples` must be a positive", "`jobs` must be a positive integer, or -1"),
        ),
        "methods": (
            (*evaluate, "--delete", "users:2", "--methods", "magic,iau:lr=fast:gold=1,fine_tune:lr=-1,iau:lr"),
            (
                "`magic` is no unlearning method",
                "`lr` must be float for `iau` (got 'fast')",
                "`gold` is no argument of `iau`; there are update, scale",
                "`lr` must be positive for `fine_tune` (got -1.0)",
                "`iau` takes arguments as iau:name=value:name=value (got 'lr' in 'iau:lr')",
            ),
        ),
        "solved": (
            (*train, "--model", "ease:l2=high", "--l2", "3", "--objective", "bpr", "--dim", "8"),
            (
                "`l2` must be float for `ease` (got 'high')",
                "`--dim` belongs to lightgcn, mf",
                "`--objective` must go with a model that an objective trains (got --model ease:l2=high)",
                "`--l2` must go with a model that an objective trains",
                "as in ease:name=value",
            ),
        ),
        "everything": (
            (*train, "--model", "mf:layers=1", "--objective", "bpr:margin=1", "--a", "0.1", "--layers", "3"),
            ("`layers` is no argument of `mf`", "`--layers` belongs", "`margin` is no argument of", "`--a` belongs"),
        ),
    }


@pytest.mark.parametrize("case", list(bad_values(Path(), Path(), Path())))
def test_bad_values_give_one_readable_error(case: str, trained: tuple[Path, Any], table: Path, tmp_path: Path) -> None:
    before = digest(trained[0]), digest(table.parent)
    arguments, said = bad_values(table, trained[0], tmp_path / "new")[case]
    message = refusal(2, *arguments)
    assert all(part in message for part in said), message
    assert "Traceback" not in message
    assert (digest(trained[0]), digest(table.parent)) == before
    assert list(tmp_path.iterdir()) == []


def test_without_json_it_talks_to_people(model: Path, table: Path, data: Interactions, tmp_path: Path) -> None:
    user = str(data.users.ids[2])
    said = unlearn("train", "--data", table, "--out", tmp_path / "[new]", "--model", "mf", "--dim", "4").stdout
    assert "Trained mf (dim 4) on Interactions(60 users, 40 items" in said
    assert f"Kept in {tmp_path / '[new]'}" in said
    assert user in unlearn("recommend", "--model", model, "--user", user).stdout
    assert "Forgot ForgetSet(1 users)" in unlearn("forget", "--model", model, "--user", user).stdout


def test_the_installed_program_helps_and_exits_as_documented(trained: tuple[Path, Any], tmp_path: Path) -> None:
    helped = program("--help", cwd=tmp_path)
    assert helped.returncode == 0
    assert all(name in helped.stdout for name in (*COMMANDS, "Exit codes"))
    assert program("train", cwd=tmp_path).returncode == 2
    model = str(trained[0])
    unknown = program("recommend", "--model", model, "--user", "nobody", "--json", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert json.loads(unknown.stderr)["exit_code"] == 3
    served = program("recommend", "--model", model, "--user", "u000001", "--json", cwd=tmp_path)
    assert (served.returncode, served.stderr) == (0, "")
    assert json.loads(served.stdout)["recommendations"][0]["user"] == "u000001"
    assert list(tmp_path.iterdir()) == []


def every(place: Any, *named: str) -> dict[str, Any]:
    """Every command by the words that call it."""
    commands = getattr(place, "commands", None)
    if commands is None:
        return {" ".join(named): place}
    return {words: one for name, command in commands.items() for words, one in every(command, *named, name).items()}


@pytest.mark.parametrize("words", every(get_command(app)))
def test_every_command_explains_itself_to_the_letter(words: str) -> None:
    helped = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": "500"})
    assert helped.exit_code == 0
    assert ("--json" in helped.stdout) == (words != "serve")
    parameters = every(get_command(app))[words].params
    assert [one.name for one in parameters if (one.help or "") not in helped.stdout] == []
    assert re.search(r"\S\n\S", every(get_command(app))[words].help or "") is None  # wrapped by the terminal alone


@pytest.mark.parametrize(
    ("words", "option", "names"),
    [
        ("influence maximize", "method", maximizers()),
        ("influence minimize", "method", minimizers()),
        ("influence maximize", "scheme", list(SCHEMES)),
        ("worst-case", "selector", selectors()),
        ("audit", "metrics", list(metrics())),
        ("train", "format", list(FORMATS)),
        ("influence maximize", "format", list(get_args(Format))),
    ],
)
def test_help_lists_all_that_there_are(words: str, option: str, names: list[str]) -> None:
    (said,) = (one.help or "" for one in every(get_command(app))[words].params if one.name == option)
    assert set(names) - set(re.findall(r"[\w+]+", said.partition("; ")[0])) == set()


def test_help_answers_without_loading_torch(tmp_path: Path) -> None:
    code = """
import sys
from unlearn.cli import app
for arguments in (["--help"], ["evaluate", "--help"]):
    try:
        app(arguments)
    except SystemExit as stop:
        assert not stop.code
print("loaded", sorted({"torch", "pandas", "mlflow", "scipy"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "loaded []")
