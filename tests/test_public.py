"""What is public says so: types that public functions, methods and members give are exported themselves."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator

import pytest

import fastrf
from fastrf import anchors, ops, plot, spaces, tiling, zoo

PLACES = (fastrf, anchors, ops, plot, spaces, tiling, zoo)
PUBLIC = [getattr(place, name) for place in PLACES for name in place.__all__]


def own_types(hint: object) -> Iterator[type]:
    """Classes of fastrf in an annotation."""
    if isinstance(hint, type) and hint.__module__.startswith("fastrf."):
        yield hint
    for part in typing.get_args(hint):
        yield from own_types(part)


def given_by(value: object) -> Iterator[object]:
    """What a function returns, or what members of a class are and methods of it return."""
    if inspect.isfunction(value):
        yield hints(value).get("return")
    elif inspect.isclass(value):
        yield from hints(value).values()
        for name, member in vars(value).items():
            plain = (
                getattr(member, "fget", None)
                or getattr(member, "__func__", None)
                or getattr(member, "function", member)
            )
            if inspect.isfunction(plain) and not name.startswith("_"):
                yield hints(plain).get("return")


def hints(value: object) -> dict[str, object]:
    """The annotations of public names, those that a type checker alone can read left out."""
    try:
        found = typing.get_type_hints(value, localns=LATER)
    except NameError:
        return {}
    return {name: hint for name, hint in found.items() if not name.startswith("_")}


LATER = {name: getattr(fastrf, name) for name in fastrf.__all__}


@pytest.mark.parametrize("value", PUBLIC, ids=lambda value: getattr(value, "__qualname__", type(value).__name__))
def test_types_that_are_given_are_exported(value):
    exported = {id(one) for one in PUBLIC}
    missing = {found for hint in given_by(value) for found in own_types(hint) if id(found) not in exported}
    assert not missing
