"""States: what maps of many networks read, numbered, and what steps of recipes make of them, each worked out once.

Axes along which nothing changes are kept beside a state, not in it: the channels behind a convolution, most of all.
Networks that differ in their widths go through the same few states, and a step that concerns such an axis alone costs
nothing. Whatever a step says of other axes is the engine's word (see `recipe.Value`), on the same values. `walks` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from fastrf.engine.axis_map import AxisMap
from fastrf.engine.factors import put
from fastrf.engine.recipe import Recipe, Value
from fastrf.system.locks import process_lock

__all__ = ["Met", "States"]

_Value = TypeVar("_Value", bound="_State")

#: An axis of a map: None for one of its state; sizes of one that was inserted, and stretched where they are two.
Free = tuple[int, ...] | None

_lock = process_lock()


class _State(Value, Protocol):
    """What a map reads, exactly or nominally."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...


class Met(NamedTuple):
    """A map: the number of its state, and its axes."""

    number: int
    axes: tuple[Free, ...]


class States(Generic[_Value]):
    """States of one kind, the input's being number 0, and the numbers of what steps make of them."""

    def __init__(self, first: _Value, key: Callable[[_Value], Hashable]) -> None:
        self._key: Callable[[_Value], Hashable] = key
        self._numbers: dict[Hashable, int] = {}
        self._after: dict[Hashable, tuple[Any, int]] = {}  # with the object whose id is in the key
        self.values: list[_Value] = []
        self.nbytes = 0
        self.start = self.met(first)

    def __len__(self) -> int:
        return len(self.values) + len(self._after)

    def met(self, value: _Value) -> Met:
        """A map that reads this."""
        key = self._key(value)
        with _lock:
            number = self._numbers.setdefault(key, len(self.values))
            if number == len(self.values):
                self.values.append(value)
                self.nbytes += value.nbytes
        return Met(number, (None,) * len(value.shape))

    def value(self, met: Met) -> _Value:
        """What a map reads, with all of its axes."""
        found = self.values[met.number]
        for axis, sizes in enumerate(met.axes):
            for number, size in enumerate(sizes or ()):
                found = found.stretch(axis, size) if number else found.insert(axis, size)
        return found

    def carried(self, recipe: Recipe, maps: Sequence[Met]) -> Met:
        """What a recipe makes of maps."""
        found = list(maps)
        for kind, arguments, sources in recipe.steps:
            found.append(self.step(kind, arguments, [found[k] for k in sources]))
        return found[recipe.result]

    def step(self, kind: str, arguments: tuple[Any, ...], maps: list[Met]) -> Met:
        """What one step makes of maps."""
        number, axes = maps[0].number, maps[0].axes
        if kind == "insert":
            axis, size = arguments
            return Met(number, (*axes[:axis], (size,), *axes[axis:]))
        if kind in ("map_axis", "reduce", "stretch"):
            axis = arguments[0]
            free = axes[axis]
            if free is None:
                return self._along_one(kind, arguments, maps[0])
            if kind == "reduce":
                return Met(number, put(axes, axis))
            if kind == "stretch" and free == (1,):
                return Met(number, put(axes, axis, (1, arguments[1])))
            if kind == "map_axis" and min(free[-1], arguments[1].n_out) > 1 and arguments[1].relation.occupied.is_full:
                return Met(number, put(axes, axis, (*free[:-1], arguments[1].n_out)))
        if kind in ("union", "along") and all(other.axes == axes for other in maps[1:]):
            return Met(self._number((kind, *[met.number for met in maps]), None, lambda: self._own(kind, maps)), axes)
        return self._general(kind, arguments, maps)

    def _along_one(self, kind: str, arguments: tuple[Any, ...], met: Met) -> Met:
        """A step along an axis of the state, the number of which among those may be another one."""
        axis, rest = arguments[0], arguments[1:]
        own = met.axes[:axis].count(None)
        keep: AxisMap | None = rest[0] if kind == "map_axis" else None
        key = (kind, met.number, own, *(rest if keep is None else (id(keep),)))
        number = self._number(key, keep, lambda: getattr(self.values[met.number], kind)(own, *rest))
        return Met(number, put(met.axes, axis) if kind == "reduce" else met.axes)

    def _own(self, kind: str, maps: Sequence[Met]) -> _Value:
        first, *others = [self.values[met.number] for met in maps]
        return cast("_Value", getattr(first, kind)(*others))

    def _general(self, kind: str, arguments: tuple[Any, ...], maps: Sequence[Met]) -> Met:
        """Any step, on all axes."""

        def made() -> _Value:
            first, *others = [self.value(met) for met in maps]
            return cast("_Value", getattr(first, kind)(*arguments, *others))

        keep = arguments if kind == "map_axis" else None
        key = (kind, *(arguments if keep is None else (arguments[0], id(arguments[1]))), *maps)
        number = self._number(key, keep, made)
        return Met(number, (None,) * len(self.values[number].shape))

    def _number(self, key: Hashable, keep: Any, make: Callable[[], _Value]) -> int:
        """The number of what a key stands for; `keep` is whatever the key knows by its id."""
        found = self._after.get(key)
        if found is None:
            found = self._after[key] = keep, self.met(make()).number
        return found[1]
