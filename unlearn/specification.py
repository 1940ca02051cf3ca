"""What is typed for a method, a model or an objective: a name and its arguments, as in `iau:lr=0.02:steps=3`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from unlearn.registry import arguments

if TYPE_CHECKING:
    from unlearn.methods.base import Unlearner

T = TypeVar("T")
_COLON = re.compile(r":(?![^\[\]]*\])")  # outside of brackets


def read(specification: str) -> tuple[str, dict[str, str]]:
    """`iau:lr=0.02:steps=3` as `iau` and its arguments, still as text.

    What stands in square brackets is one value, without them: `diffim:surrogate=[mean_field:rounds=3]`.

    Raises:
        ValueError: listing every part that is no name=value, and every name that is given twice.
    """
    name, *parts = (part.strip() for part in _COLON.split(specification))
    pairs = [(key.strip(), _bare(value.strip())) for key, _, value in (part.partition("=") for part in parts)]
    problems = [
        f"`{name}` takes arguments as {name}:name=value:name=value (got {part!r} in {specification!r})"
        for part, (key, value) in zip(parts, pairs, strict=True)
        if not key or not value
    ]
    keys = [key for key, _ in pairs if key]
    problems += [
        f"`{key}` must be given once for `{name}` (got {specification!r})"
        for key in dict.fromkeys(keys)
        if keys.count(key) > 1
    ]
    if problems:
        raise ValueError("\n".join(problems))
    return name, dict(pairs)


def typed(name: str, kind: Callable[..., Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Arguments given as text, as the constructor or function `kind` declares them; "none" is None where that is
    allowed.

    Raises:
        ValueError: listing every argument that does not exist or is of another type.
    """
    known = arguments(kind)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, text in given.items():
        if key not in known:
            there = ", ".join(known) or "none"
            problems.append(f"`{key}` is no argument of `{name}`; there are {there}")
            continue
        try:
            values[key] = _parsed(text, known[key].annotation)
        except ValidationError as error:
            wanted = inspect.formatannotation(known[key].annotation)
            reason = error.errors()[0]["msg"]
            problems.append(f"`{key}` must be {wanted} for `{name}` (got {text!r}): {reason}")
        except PydanticSchemaGenerationError:
            problems.append(f"`{key}` of `{name}` cannot be given as text (got {text!r}); use it from Python")
    if problems:
        raise ValueError("\n".join(problems))
    return values


def built(specification: str, make: Callable[..., T]) -> T:
    """What `make(name, **arguments)` makes of a specification.

    Raises:
        ValueError: there is nothing of that name, or an argument is unknown, of another type or out of range.
    """
    name, given = read(specification)
    return make(name, **typed(name, type(make(name)), given))


def unlearner(specification: str) -> Unlearner:
    """The method of that name with these arguments.

    Raises:
        ValueError: there is no such method, or an argument is unknown, of another type or out of range.
    """
    from unlearn.methods.base import method

    return built(specification, method)


def unlearners(specifications: str) -> list[Unlearner]:
    """Methods separated by commas; `all` is every registered one, less what a comparison adds by itself.

    Raises:
        ValueError: listing everything that is wrong with any of them.
    """
    from unlearn.methods.base import method, methods

    everything = [name for name in methods() if not method(name).baseline]
    named = [name.strip() for name in specifications.split(",") if name.strip()]
    found: list[Unlearner] = []
    problems: list[str] = []
    for one in dict.fromkeys(each for name in named for each in (everything if name == "all" else [name])):
        try:
            found.append(unlearner(one))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return list(dict.fromkeys(found))  # however each was spelled


def written(one: Unlearner) -> str:
    """What to type for a method: its name, and the arguments that are not their defaults."""
    defaults = {name: parameter.default for name, parameter in arguments(type(one)).items()}
    given = {name: str(value) for name, value in one.arguments().items() if value != defaults.get(name, MISSING)}
    return ":".join([one.name, *(f"{name}={f'[{value}]' if ':' in value else value}" for name, value in given.items())])


def labels(methods: Sequence[Unlearner]) -> list[str]:
    """The methods' names; where one name occurs twice, as they would be typed."""
    names = [one.name for one in methods]
    return [one.name if names.count(one.name) == 1 else written(one) for one in methods]


def _bare(value: str) -> str:
    return value[1:-1].strip() if value.startswith("[") and value.endswith("]") else value


def _parsed(text: str, kind: Any) -> Any:
    if text.lower() == "none" and type(None) in get_args(kind):
        return None
    return TypeAdapter(kind).validate_strings(text)
