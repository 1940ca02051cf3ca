"""The command `unlearn` as a test runs it, in this process or as the installed program."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner, Result

from unlearn.cli import app

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text("utf-8")
SMALL = ("--dim", "6", "--layers", "2", "--l2", "1.0", "--a", "0.1")


def unlearn(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: str | Path) -> Any:
    """What a command that must succeed says under --json; nothing but that is on standard output."""
    result = unlearn(*arguments, "--json")
    assert (result.exit_code, result.exception) == (0, None), result.output
    said = json.loads(result.stdout)
    assert undocumented(str(arguments[0]), said) == []
    return said


def undocumented(command: str, said: dict[str, Any]) -> list[str]:
    """Fields of an answer, and of the rows of its lists, that the section of `docs/json.md` on the command has not."""
    sections = dict(re.findall(r"^## (.*)\n([\s\S]*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE))
    section = sections.get(f"`unlearn {command}`", sections["The service"])
    if "as `unlearn evaluate`" in section.lower():
        section += sections["`unlearn evaluate`"]
    words = set(re.findall(r"`(\w+)`", section))
    endings = [word for word in words if word.startswith("_")]
    rows = [row for value in said.values() if isinstance(value, list) for row in value if isinstance(row, dict)]
    fields = dict.fromkeys([*said, *(name for row in rows for name in row)])
    return [name for name in fields if not {name, *(name.removesuffix(ending) for ending in endings)} & words]


def refusal(code: int, *arguments: str | Path) -> str:
    """The message of a command that must exit with `code`: readable, on standard error, and the same under --json."""
    result = unlearn(*arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit | None)  # no traceback
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    if arguments[0] not in ("evaluate", "audit", "worst-case"):  # whose --json takes a path
        said = json.loads(unlearn(*arguments, "--json").stderr)
        assert said["exit_code"] == code
        assert result.stderr.removeprefix("error: ").strip() == said["error"].strip()
    return result.stderr


def digest(folder: Path) -> dict[str, tuple[str, int]]:
    """Content and time of every file below a folder."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def lists(model: Path, *users: str) -> dict[str, list[Any]]:
    said = answer("recommend", "--model", model, *(part for user in users for part in ("--user", user)), "--k", "5")
    return {row["user"]: row["items"] for row in said["recommendations"]}


def naming(folder: Path, names: Iterable[object]) -> set[str]:
    """Names of the files below a folder that contain one of these ids, byte for byte."""
    wanted = [str(name).encode() for name in names]
    files = ((path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    return {name for name, content in files if any(each in content for each in wanted)}


def unknown(words: Iterable[str]) -> str | None:
    """What of a command line there is not: a command, or an option of it; None where all of it exists."""
    place: Any = get_command(app)
    rest, named = list(words), list[str]()
    while (commands := getattr(place, "commands", None)) and rest and not rest[0].startswith("-"):
        named.append(rest.pop(0))
        if named[-1] not in commands:
            return f"no command {' '.join(named)}"
        place = commands[named[-1]]
    options = {option for parameter in place.params for option in (*parameter.opts, "--help")}
    missing = {word.partition("=")[0] for word in rest if word.startswith("--")} - options
    return f"{' '.join(named)} has no {', '.join(sorted(missing))}" if missing else None


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("unlearn")), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
