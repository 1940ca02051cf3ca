"""After a restore: whoever is back leaves again, whatever was open meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.house import Failing, House
from tests.unlearn.target.example import KIND
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.ledger import Ledger
from unlearn.requests.restoring import returned
from unlearn.requests.states import RequestState
from unlearn.target import Subject

ADA = Subject(KIND, PEOPLE[0])


@pytest.mark.parametrize("step", ["unlearn", "publish", "purge"])
def test_whom_an_open_batch_has_removed_before_is_asked_for_again(
    sqlite_ledger: Ledger, tmp_path: Path, clock: Clock, step: str
) -> None:
    """It would not remove them again: its purge finds them, and would do so for ever."""
    house = House(sqlite_ledger, tmp_path / "house")
    kiosk, folder = house.targets["kiosk"], house.folder / "kiosk"
    shutil.copytree(folder, tmp_path / "backup")
    house.targets["kiosk"] = Failing(kiosk, step)
    request = house.ask(ADA.value)
    house.worker().run_once()
    house.targets["kiosk"] = kiosk
    assert house.status(request).targets["kiosk"] == step
    assert returned(house.ledger, house.targets).people == ()
    for name in ("rows.json", "published.json"):
        shutil.copyfile(tmp_path / "backup" / name, folder / name)
    shutil.rmtree(folder / "sealed")
    assert returned(house.ledger, house.targets).people == (ADA,)
    again = house.ask(ADA.value)
    assert returned(house.ledger, house.targets).people == ()
    for _ in range(2):
        clock.advance(minutes=1)
        while house.worker().run_once():
            pass
    assert {house.status(one).state for one in (request, again)} == {RequestState.COMPLETED}
    assert ADA.value not in "".join(path.read_text("utf-8") for path in folder.glob("*.json"))
