"""After a restore: whoever is back leaves again, whatever was open meanwhile, and whatever keys are left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.house import Failing, House
from tests.unlearn.target.example import KIND
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.cancelling import Cancelling
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring, UnusableKeyring
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.restoring import Reread, reread, returned
from unlearn.requests.states import RequestState
from unlearn.requests.status import listed
from unlearn.requests.tables import Request
from unlearn.target import Subject

ADA, BOB = (Subject(KIND, person) for person in PEOPLE[:2])


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


@pytest.fixture
def outlived(sqlite_url: str, clock: Clock, tmp_path: Path) -> Iterator[House]:
    """A house whose ledger has requests about two people, one of them with a stranger, and no key that opens them."""
    path = tmp_path / "keys" / "keyring.json"
    keyring = Keyring.create(path)
    house = House(Ledger(Database(sqlite_url), keyring, clock), tmp_path / "house")
    house.ask(ADA.value, "a stranger")
    house.ask(BOB.value)
    for _ in range(2):
        Keyring.rotate(path, sealed=())
    yield house
    house.intake.close()
    house.ledger.database.close()


def test_whom_no_key_names_any_more_the_targets_do(outlived: House, clock: Clock) -> None:
    house, released = outlived, list[Subject]()
    cancelling = Cancelling(house.ledger, released.extend)
    with_a_stranger, cancelled = (status.subject_request_id for _, status in listed(house.ledger))
    with pytest.raises(UnusableKeyring, match="unlearn request reapply"):
        cancelling.cancel(None, cancelled)
    assert house.status(cancelled).state is RequestState.PENDING  # and keeps nobody from being released
    assert reread(house.ledger, house.targets) == Reread(2, ()) and reread(house.ledger, house.targets) == Reread(0, ())
    cancelling.cancel(None, cancelled)
    assert released == [BOB]
    assert house.worker().run_once() and house.status(with_a_stranger).state is RequestState.COMPLETED
    assert house.events().count("request.reread") == 2
    kept = (house.folder / "shop" / "rows.json").read_text("utf-8")
    assert ADA.value not in kept and BOB.value in kept


def test_who_may_be_where_nobody_can_tell_is_not_given_up(outlived: House) -> None:
    """One who was found is: nothing else is known of the request with a stranger, who may be in the other target."""
    outlived.targets["kiosk"] = Failing(outlived.targets["kiosk"], "purge")
    with_a_stranger, alone = (status.subject_request_id for _, status in listed(outlived.ledger))
    assert reread(outlived.ledger, outlived.targets) == Reread(1, (with_a_stranger,))
    with outlived.ledger.database.read() as session:
        of = select(Request.payload).where(Request.subject_request_id == alone)
        assert outlived.ledger.keyring.open(session.scalars(of).one() or b"") == (BOB,)


def test_by_the_keys_of_another_ledger_nobody_is_given_up(outlived: House, tmp_path: Path) -> None:
    other = replace(outlived.ledger, keyring=Keyring.create(tmp_path / "other" / "keyring.json"))
    with pytest.raises(Refused, match="must be that of this ledger"):
        reread(other, outlived.targets)
