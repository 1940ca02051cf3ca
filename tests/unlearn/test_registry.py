"""What is asked for by name is found, once for each name, and whatever is not there is answered with what is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import ClassVar, assert_type

import pytest

from unlearn import registry as module
from unlearn.registry import Registry


class Tea:
    name: ClassVar[str]

    def __init__(self, cups: int = 1) -> None:
        self.cups = cups


class Green(Tea):
    name = "green"


class Black(Tea):
    name = "black"


offered: Registry[Tea]  # where the module of `white` registers


@pytest.fixture
def teas() -> Registry[Tea]:
    found = Registry(Tea, "tea")
    found.register(Green)
    found.register(Black)
    return found


@pytest.fixture
def white(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teas: Registry[Tea]) -> Iterator[str]:
    """Name of a module that nobody has imported yet, which registers the tea `white` in `offered`."""
    source = f"from {__name__} import Tea, offered\noffered.register(type('White', (Tea,), {{'name': 'white'}}))\n"
    (tmp_path / "of_white_tea.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "of_white_tea"
    sys.modules.pop("of_white_tea", None)


def test_names_are_in_order_and_lead_to_their_kinds(teas: Registry[Tea]) -> None:
    assert teas.names() == ["black", "green"]
    assert list(teas.kinds().items()) == [("black", Black), ("green", Green)]
    made = teas.make("green", cups=3)
    assert type(made) is Green and made.cups == teas.make("green", 3).cups == 3


def test_the_decorator_hands_back_the_class_as_what_it_is() -> None:
    teas = Registry(Tea, "tea")

    @teas.register
    class Oolong(Tea):
        name = "oolong"
        steepings = 7

    assert_type(Oolong.steepings, int)
    assert Oolong.steepings == 7 and teas.kinds() == {"oolong": Oolong}


def test_an_unknown_name_is_answered_with_those_there_are(teas: Registry[Tea]) -> None:
    with pytest.raises(ValueError, match="^`coffee` is no tea; there are black, green$"):
        teas.make("coffee")


def test_a_name_is_given_once(teas: Registry[Tea]) -> None:
    class Matcha(Tea):
        name = "green"

    with pytest.raises(ValueError, match="the tea `green` is registered already; give `Matcha` another name"):
        teas.register(Matcha)
    assert teas.kinds()["green"] is Green


def test_only_subclasses_of_the_base_are_registered(teas: Registry[Tea]) -> None:
    class Coffee:
        name: ClassVar[str] = "coffee"

    with pytest.raises(TypeError, match="`Coffee` must be a subclass of `Tea` to be a tea"):
        teas.register(Coffee)
    assert "coffee" not in teas.names()
    with pytest.raises(TypeError, match="`Nameless` must set `name`, by which this tea is found"):
        teas.register(type("Nameless", (Tea,), {}))


def test_what_is_made_by_its_name_alone_needs_nothing_else() -> None:
    """Else one kind that does breaks every listing, and whoever asked for another."""

    class Rooibos(Tea):
        name = "rooibos"

        def __init__(self, cups: int, leaves: float, sugar: int = 0) -> None: ...

    teas = Registry(Tea, "tea", bare=True)
    with pytest.raises(
        TypeError, match="`Rooibos` must have a default for `cups`, `leaves`: a tea is made by its name"
    ):
        teas.register(Rooibos)
    teas.register(Green)
    assert teas.names() == ["green"] and Registry(Tea, "tea").register(Rooibos) is Rooibos


def test_a_kind_on_demand_is_named_at_once_and_imported_when_it_is_asked_for(
    white: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    teas = Registry(Tea, "tea", on_demand={"white": white})
    monkeypatch.setattr(sys.modules[__name__], "offered", teas, raising=False)
    teas.register(Green)
    assert teas.names() == ["green", "white"]
    teas.make("green")
    assert white not in sys.modules
    assert teas.make("white").name == "white"
    assert list(teas.kinds()) == ["green", "white"]


def test_installed_packages_register_more_through_their_entry_points(
    white: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(*, group: str) -> EntryPoints:
        return EntryPoints([EntryPoint("third_party", white, group)])

    monkeypatch.setattr(module, "entry_points", entry_points)
    teas = Registry(Tea, "tea", group="tea.kinds")
    monkeypatch.setattr(sys.modules[__name__], "offered", teas, raising=False)
    assert teas.names() == ["white"]
    assert teas.make("white", cups=2).cups == 2
