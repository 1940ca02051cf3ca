"""Kinds that are asked for by name: methods, selectors, metrics, and what the plug-ins have of the sort."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from unlearn.plugins import loaded


class Named(Protocol):
    """What has a name of its class."""

    name: ClassVar[str]


T = TypeVar("T", bound=Named)
Kind = TypeVar("Kind", bound="type[Any]")  # a subclass of T, which no bound can say


def hyper_parameters(one: object) -> dict[str, Any]:
    """The fields of a dataclass by name: what makes another one like it.

    Raises:
        TypeError: it is no dataclass, so what it was made with is not known.
    """
    if not is_dataclass(one):
        raise TypeError(f"`{type(one).__name__}` must be a dataclass of its hyper-parameters: @dataclass(frozen=True)")
    return {f.name: getattr(one, f.name) for f in fields(one)}


def arguments(kind: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The arguments that have a default, their types evaluated, of a function or of a class's constructor.

    Those that a constructor passes on to a base are included. A field that a dataclass fills by a factory, or leaves
    out of comparisons, holds state and is no argument.
    """
    if not isinstance(kind, type):
        hints = get_type_hints(kind)
        parameters = inspect.signature(kind).parameters
        return {
            name: parameter.replace(annotation=hints[name])
            for name, parameter in parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }
    found: dict[str, inspect.Parameter] = {}
    held = fields(kind) if is_dataclass(kind) else ()
    state = {f.name for f in held if f.default_factory is not MISSING or not f.compare}
    for cls in kind.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(cls).parameters
        hints = get_type_hints(cls if is_dataclass(cls) else cls.__init__)
        for name, parameter in parameters.items():
            if parameter.default is not inspect.Parameter.empty and name not in state:
                found.setdefault(name, parameter.replace(annotation=hints[name]))
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return found


class Registry(Generic[T]):
    """The subclasses of one base by name.

    Args:
        base: what every kind is a subclass of.
        noun: what the kinds are called in messages, in the singular.
        group: of the entry points by which installed packages name the modules that register more.
        on_demand: module by name of the kind that it registers, for those imported only when they are asked for.
        bare: a kind is made by its name alone, so whatever its constructor takes must have a default.
    """

    def __init__(
        self,
        base: type[T],
        noun: str,
        *,
        group: str | None = None,
        on_demand: Mapping[str, str] | None = None,
        bare: bool = False,
    ) -> None:
        self._base, self._noun, self._group, self._bare = base, noun, group, bare
        self._on_demand = on_demand or {}
        self._kinds: dict[str, type[T]] = {}

    def register(self, cls: Kind) -> Kind:
        """Class decorator: makes a kind findable by its `name`.

        Raises:
            TypeError: it is no subclass of the base, has no name, or cannot be made by it alone where it must.
            ValueError: the name is another's already.
        """
        if not issubclass(cls, self._base):
            raise TypeError(f"`{cls.__name__}` must be a subclass of `{self._base.__name__}` to be a {self._noun}")
        if not isinstance(getattr(cls, "name", None), str):
            raise TypeError(f"`{cls.__name__}` must set `name`, by which this {self._noun} is found")
        if self._bare and (needed := [f"`{one.name}`" for one in _parameters(cls) if one.default is one.empty]):
            raise TypeError(
                f"`{cls.__name__}` must have a default for {', '.join(needed)}: a {self._noun} is made by its name "
                "alone"
            )
        if cls.name in self._kinds:
            raise ValueError(f"the {self._noun} `{cls.name}` is registered already; give `{cls.__name__}` another name")
        self._kinds[cls.name] = cls
        return cls

    def names(self) -> list[str]:
        """All names in order, those that installed packages register included.

        Raises:
            UnusablePlugin: one of these packages cannot be imported.
        """
        if self._group is not None:
            for point in entry_points(group=self._group):
                loaded(point)
            self._group = None  # once it has all been loaded
        return sorted(self._kinds.keys() | self._on_demand)

    def kinds(self) -> dict[str, type[T]]:
        """All kinds by name, in the order of names."""
        return {name: self._kind(name) for name in self.names()}

    def make(self, name: str, /, *positional: Any, **arguments: Any) -> T:
        """One of the kind of that name, with these hyper-parameters.

        Raises:
            ValueError: there is none; the message lists those there are.
        """
        there = self.names()
        if name not in there:
            raise ValueError(f"`{name}` is no {self._noun}; there are {', '.join(there)}")
        make: Callable[..., T] = self._kind(name)
        return make(*positional, **arguments)

    def _kind(self, name: str) -> type[T]:
        if name not in self._kinds:
            import_module(self._on_demand[name])
        return self._kinds[name]


def _parameters(cls: type[Any]) -> list[inspect.Parameter]:
    """What a constructor takes under a name."""
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one for one in inspect.signature(cls).parameters.values() if one.kind not in starred]
