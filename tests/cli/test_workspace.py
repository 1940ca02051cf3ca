"""A workspace survives whoever is killed, and two at a time; what was forgotten is in no file beside it."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recsys import workspace
from recsys.data import Interactions
from recsys.problem import RecommenderProblem
from tests.cli.run import naming
from unlearn.forget import ForgetSet

# Saves what forgets the user, once into each folder, each time in a process that kills itself at another place.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from recsys import workspace
from unlearn.forget import ForgetSet

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def between(self, target, rename=Path.rename):
    rename(self, target)
    die()

PLACES = {"before": (Path, "rename", die), "between": (Path, "rename", between), "after": (shutil, "rmtree", die)}
request, parent = ForgetSet(users=(sys.argv[1],)), Path(sys.argv[2])
for name, (owner, attribute, last) in PLACES.items():
    folder = parent / name / "model"
    after = workspace.load(folder).without(request)
    if not (child := os.fork()):
        setattr(owner, attribute, last)
        workspace.save(after, folder)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, name
"""


def forgotten(problem: RecommenderProblem, user: str) -> RecommenderProblem:
    forget = ForgetSet(users=(user,))
    remaining = problem.without(forget)
    return remaining.with_params(remaining.settled(forget))


@pytest.fixture(scope="module")
def user(data: Interactions) -> str:
    return str(data.users.ids[7])


@pytest.fixture(scope="module")
def killed(trained: tuple[Path, object], user: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workspaces whose last change was killed, by where it was."""
    parent = tmp_path_factory.mktemp("killed")
    for name in ("before", "between", "after"):
        shutil.copytree(trained[0], parent / name / "model")
    command = [sys.executable, "-c", KILLED, user, str(parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return parent


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def beside(folder: Path) -> set[str]:
    return {path.name.removeprefix(".model.unlearn-") for path in folder.parent.iterdir()} - {"model"}


@pytest.mark.parametrize(
    ("where", "left", "gone"),
    [("before", {"new"}, False), ("between", {"new", "old"}, True), ("after", {"old"}, True)],
)
def test_the_next_one_finishes_what_a_killed_process_began(
    killed: Path, user: str, tmp_path: Path, where: str, left: set[str], gone: bool
) -> None:
    model, again = (Path(shutil.copytree(killed / where, tmp_path / name)) / "model" for name in ("load", "save"))
    assert beside(model) == left | {"lock"}
    assert naming(model.parent, [user])  # wherever it was killed, the old state is still somewhere

    problem = workspace.load(model)
    assert (user not in problem.data.users) == gone
    assert beside(model) == {"lock"}
    assert bool(naming(model.parent, [user])) != gone

    workspace.save(problem if gone else forgotten(problem, user), again)
    assert beside(again) == {"lock"}
    assert naming(again.parent, [user]) == set()
    assert user not in workspace.load(again).data.users


def test_an_old_state_never_comes_back(killed: Path, user: str, tmp_path: Path) -> None:
    model = Path(shutil.copytree(killed / "after", tmp_path / "moved")) / "model"
    shutil.rmtree(model)
    assert naming(model.parent, [user])
    with pytest.raises(FileNotFoundError, match="`model` must be a folder"):
        workspace.load(model)
    assert beside(model) == {"lock"}


def test_of_two_changes_at_a_time_neither_undoes_the_other(model: Path, data: Interactions) -> None:
    first, second = map(str, data.users.ids[[3, 5]])
    command = [str(Path(sys.executable).with_name("unlearn")), "forget", "--model", str(model), "--user", second]
    with workspace.at(model).held():
        problem = workspace.load(model)
        other = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert other.stderr is not None
        assert other.stderr.readline().startswith("waiting for another process")
        workspace.save(forgotten(problem, first), model)
    said, wrong = other.communicate(timeout=120)
    assert (other.returncode, wrong) == (0, ""), wrong
    assert "Forgot" in said
    left = workspace.load(model).data.users
    assert first not in left and second not in left
    assert naming(model.parent, [first, second]) == set()


def test_what_nobody_can_write_is_read_without_a_lock(
    model: Path, data: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, for whom nothing is read-only; the question itself is the seam.
    monkeypatch.setattr("os.access", lambda path, mode: path != model.parent)
    assert len(workspace.load(model).data) == len(data)
    assert beside(model) == set()


def test_who_may_look_into_it_stays_as_it_was(model: Path, user: str) -> None:
    problem, seen = workspace.load(model), list[int]()
    model.chmod(0o700)
    workspace.save(forgotten(problem, user), model)
    assert model.stat().st_mode & 0o777 == 0o700

    def write(new: Path) -> None:
        seen.append(new.stat().st_mode & 0o777)  # what is written is as closed as what was there
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.at(model).replace(write)
    assert seen == [0o700]


@pytest.mark.parametrize("room", [0, 1_000, 5_000])
def test_a_full_disk_leaves_the_old_state_and_names_the_folder(model: Path, user: str, room: int) -> None:
    problem, before = workspace.load(model), contents(model)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"{model} could not be written \(file too large\); make room there"):
            workspace.save(forgotten(problem, user), model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(model) == before and beside(model) == {"lock"}


def test_only_a_workspace_is_replaced(model: Path, tmp_path: Path) -> None:
    problem = workspace.load(model)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(FileExistsError, match="`out` must be a new folder"):
        workspace.save(problem, mine)
    assert (mine / "notes.txt").read_text("utf-8") == "mine"
    with pytest.raises(FileNotFoundError, match="`model` must be a folder"):
        workspace.load(tmp_path / "nowhere")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "mine", ".model.unlearn-lock"}


def test_a_folder_may_be_named_by_its_text(model: Path, tmp_path: Path) -> None:
    problem = workspace.load(str(model))
    assert isinstance(problem, RecommenderProblem)
    workspace.save(problem, str(tmp_path / "again"))
    again = workspace.load(tmp_path / "again")
    assert isinstance(again, RecommenderProblem) and again.digest() == problem.digest()
