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
from fastrf.sweeps.axes import Parts
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


class _Kind(Protocol[_Value]):
    """What `axes` knows of values of one kind."""

    def key(self, value: _Value) -> Hashable: ...
    def is_one(self, value: _Value) -> bool: ...
    def split(self, value: _Value) -> Parts | None: ...
    def joined(self, parts: Parts) -> _Value: ...


class States(Generic[_Value]):
    """States of one kind, the input's being number 0, and the numbers of what steps make of them.

    Those whose axes have nothing to do with each other are known by the numbers of their axes, and put together when
    something asks for the whole.
    """

    def __init__(self, first: _Value, kind: _Kind[_Value]) -> None:
        self._kind = kind
        self._numbers: dict[Hashable, int] = {}
        self._after: dict[Hashable, tuple[Any, int]] = {}  # with the object whose id is in the key
        self._values: list[_Value | None] = []
        self._parts: list[Parts | None] = []
        self._axes: list[_Value] = []
        self._axis_numbers: dict[Hashable, int] = {}
        self.nbytes = 0
        self.start = self.met(first)

    def __len__(self) -> int:
        return len(self._values) + len(self._after)

    def met(self, value: _Value) -> Met:
        """A map that reads this."""
        parts = self._kind.split(value)
        if parts is None:
            number = self._numbered(self._kind.key(value), None, value)
        else:
            axes = tuple([(self._axis(one), named) for one, named in parts.axes])
            number = self._of_axes(Parts(axes, parts.rest))
        return Met(number, (None,) * len(value.shape))

    def _numbered(self, key: Hashable, parts: Parts | None, value: _Value | None) -> int:
        with _lock:
            number = self._numbers.setdefault(key, len(self._values))
            if number == len(self._values):
                self._parts.append(parts)
                self._values.append(value)
                self.nbytes += 0 if value is None else value.nbytes
        return number

    def _of_axes(self, parts: Parts) -> int:
        return self._numbered(parts, parts, None)

    def _axis(self, value: _Value) -> int:
        """The number of an axis by itself."""
        key = self._kind.key(value)
        with _lock:
            number = self._axis_numbers.setdefault(key, len(self._axes))
            if number == len(self._axes):
                self._axes.append(value)
                self.nbytes += value.nbytes
        return number

    def state(self, number: int) -> _Value:
        """What a state reads."""
        found = self._values[number]
        if found is None:
            parts = self._parts[number]
            assert parts is not None
            axes = tuple([(self._axes[one], named) for one, named in parts.axes])
            found = self._values[number] = self._kind.joined(Parts(axes, parts.rest))
        return found

    def value(self, met: Met) -> _Value:
        """What a map reads, with all of its axes."""
        found = self.state(met.number)
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
        found = self._after.get(key)
        if found is None:
            number = None if keep is None else self._mapped(met.number, own, keep)
            if number is None:
                number = self.met(getattr(self.state(met.number), kind)(own, *rest)).number
            found = self._after[key] = keep, number
        return Met(found[1], put(met.axes, axis) if kind == "reduce" else met.axes)

    def _mapped(self, number: int, axis: int, axis_map: AxisMap) -> int | None:
        """The number of a state read through a map along an axis by itself; None where that tells too little."""
        parts = self._parts[number]
        if parts is None:
            return None
        one, named = parts.axes[axis]
        found = self._after.get(("axis", one, id(axis_map)))
        if found is None:
            value = self._axes[one].map_axis(0, axis_map)
            after = self._axis(value) if self._kind.is_one(value) else -1
            found = self._after["axis", one, id(axis_map)] = axis_map, after
        return None if found[1] < 0 else self._of_axes(Parts(put(parts.axes, axis, (found[1], named)), parts.rest))

    def _own(self, kind: str, maps: Sequence[Met]) -> _Value:
        first, *others = [self.state(met.number) for met in maps]
        return cast("_Value", getattr(first, kind)(*others))

    def _general(self, kind: str, arguments: tuple[Any, ...], maps: Sequence[Met]) -> Met:
        """Any step, on all axes."""

        def made() -> _Value:
            first, *others = [self.value(met) for met in maps]
            return cast("_Value", getattr(first, kind)(*arguments, *others))

        keep = arguments if kind == "map_axis" else None
        key = (kind, *(arguments if keep is None else (arguments[0], id(arguments[1]))), *maps)
        number = self._number(key, keep, made)
        return Met(number, (None,) * len(self.state(number).shape))

    def _number(self, key: Hashable, keep: Any, make: Callable[[], _Value]) -> int:
        """The number of what a key stands for; `keep` is whatever the key knows by its id."""
        found = self._after.get(key)
        if found is None:
            found = self._after[key] = keep, self.met(make()).number
        return found[1]
