"""Hyper-parameters that are out of range are refused together, by what each must be."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf, nan
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_type_hints

import numpy as np
import pytest

from unlearn.audit.attacks import metrics
from unlearn.invalid import require
from unlearn.methods import method, methods

if TYPE_CHECKING:
    from collections.abc import Sequence

Leaf = Literal["green", "black", "white"]


@dataclass(frozen=True, kw_only=True)
class Brew:
    leaf: Leaf = "green"
    milk: Literal["no", "yes"] = "no"
    hint: Literal["once"] = "once"
    minutes: float = 3.0
    cups: list[int] = field(default_factory=list)
    spoons: int = 1
    rest: float | None = None
    refills: int | None = None
    iced: bool = False

    name: ClassVar[str] = "brew"

    def __post_init__(self) -> None:
        require(self, minutes=("positive", self.minutes > 0), cups=("not too many", len(self.cups) < 3))


def test_what_is_in_range_passes() -> None:
    assert Brew(leaf="white", milk="yes", minutes=0.5).leaf == "white"


def test_everything_that_is_out_of_range_is_listed_with_what_it_must_be() -> None:
    with pytest.raises(ValueError) as caught:
        Brew(leaf="red", milk="YES", hint="twice", minutes=-1.0, cups=[1, 2, 3])  # pyright: ignore[reportArgumentType]
    assert str(caught.value).splitlines() == [
        '`leaf` must be "green", "black" or "white" for `brew` (got \'red\')',
        '`milk` must be "no" or "yes" for `brew` (got \'YES\')',
        "`hint` must be \"once\" for `brew` (got 'twice')",
        "`minutes` must be positive for `brew` (got -1.0)",
        "`cups` must be not too many for `brew` (got [1, 2, 3])",
    ]


def test_numbers_are_of_their_kind_and_finite() -> None:
    brewed = Brew(minutes=3, spoons=np.int64(2), rest=np.float32(0.5), refills=0)  # pyright: ignore[reportArgumentType]
    assert (brewed.spoons, brewed.rest) == (2, 0.5)
    with pytest.raises(ValueError) as caught:
        Brew(minutes=inf, spoons=1.5, rest=nan, refills=2.0)  # pyright: ignore[reportArgumentType]
    assert str(caught.value).splitlines() == [
        "`minutes` must be a finite number for `brew` (got inf)",
        "`spoons` must be an integer for `brew` (got 1.5)",
        "`rest` must be a finite number or None for `brew` (got nan)",
        "`refills` must be an integer or None for `brew` (got 2.0)",
    ]
    with pytest.raises(ValueError, match="^`minutes` must be positive for `brew` .got nan.$"):  # the rule says more
        Brew(minutes=nan)


def test_a_truth_is_no_number_and_nothing_else_is_a_truth() -> None:
    assert Brew(iced=np.bool_(True)).iced  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError) as caught:
        Brew(minutes=True, spoons=True, rest=True, refills=False, iced="false")  # pyright: ignore[reportArgumentType]
    assert str(caught.value).splitlines() == [
        "`minutes` must be a finite number for `brew` (got True)",
        "`spoons` must be an integer for `brew` (got True)",
        "`rest` must be a finite number or None for `brew` (got True)",
        "`refills` must be an integer or None for `brew` (got False)",
        "`iced` must be True or False for `brew` (got 'false')",
    ]


@pytest.mark.parametrize("kind", [*(type(method(name)) for name in methods()), *metrics().values()])
def test_every_method_and_metric_is_held_to_it(kind: Any) -> None:
    """Each hyper-parameter by itself."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        for of, wrong in ((int, 1.5), (int, True), (float, inf), (float, True), (bool, 1)):
            if hints[one.name] in (of, of | None):
                with pytest.raises(ValueError, match=f"^`{one.name}` must be "):
                    kind(**{one.name: wrong})


def test_a_subclass_is_held_to_its_own_choices() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Strong(Brew):
        leaf: Literal["black"] = "black"  # pyright: ignore[reportIncompatibleVariableOverride]

    with pytest.raises(ValueError, match='`leaf` must be "black" for `brew`'):
        Strong(leaf="green")  # pyright: ignore[reportArgumentType]


def test_what_is_no_dataclass_goes_by_the_rules_it_gives_and_by_its_class() -> None:
    class Kettle:
        def __init__(self, litres: float) -> None:
            self.litres = litres
            require(self, litres=("at most 2", litres <= 2))

    with pytest.raises(ValueError, match=r"^`litres` must be at most 2 for `Kettle` \(got 3\)$"):
        Kettle(3)


def test_what_is_no_dataclass_is_held_to_what_its_constructors_declare_as_far_as_it_has_it() -> None:
    class Pot:
        name = "pot"

        def __init__(self, *, cups: int = 4, lid: Literal["glass", "tin"] = "tin", handles: int = 1) -> None:
            self.cups, self.lid = cups, lid
            require(self, cups=("positive", cups > 0))
            self.handles = handles

    class Samovar(Pot):
        def __init__(self, *, heat: float = 0.5, **rest: Any) -> None:
            self.heat = heat
            super().__init__(**rest)

    assert Samovar(cups=2, handles=2.5).handles == 2.5  # it is looked at before it is there
    with pytest.raises(ValueError) as caught:
        Samovar(heat=nan, cups=2.5, lid="none")
    assert str(caught.value).splitlines() == [
        "`heat` must be a finite number for `pot` (got nan)",
        "`cups` must be an integer for `pot` (got 2.5)",
        '`lid` must be "glass" or "tin" for `pot` (got \'none\')',
    ]


def test_a_class_whose_types_only_a_type_checker_knows_goes_by_the_rules_it_gives() -> None:
    @dataclass(frozen=True)
    class Tray:
        cups: Sequence[str] = ()
        spoons: int = 1

        def __post_init__(self) -> None:
            require(self, spoons=("positive", self.spoons > 0))

    class Kettle:
        def __init__(self, *, sizes: Sequence[float] = (), watts: int = 800) -> None:
            self.sizes, self.watts = sizes, watts
            require(self)

    assert Tray(cups=["one"], spoons=2).spoons == 2 and Kettle().watts == 800
    with pytest.raises(ValueError, match=r"`spoons` must be positive for `Tray` \(got 0\)"):
        Tray(spoons=0)
