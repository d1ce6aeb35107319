"""Strides of the layers that a module runs on tensors without data, and the lengths that they get."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from fastrf.frontends.torch.symbols import number_of
from fastrf.queries.sizes.lengths import Places
from fastrf.queries.sizes.trace import Need, Trace, is_uncropped
from fastrf.queries.sizes.values import UnreadError

__all__ = ["Strides"]

#: Operators of other libraries are not looked into; these have no strides but those that are read below.
_KNOWN = ("aten", "prim", "prims", "torchvision")
_END = 1 << 62


class _Padded(NamedTuple):
    """A tensor that is another one padded: its shape ahead of that, and all that is put around it."""

    tensor: torch.Tensor
    shape: tuple[Any, ...]
    padding: tuple[Any, ...]


class _Stride(NamedTuple):
    """A layer with a stride by module and axis: what it gets, what of that is not padding, and the padding."""

    place: tuple[str, int]
    stride: int
    size: Any
    bare: Any
    padding: tuple[Any, ...]
    parts: int = 1


class Strides:
    """The strides of a run, noted while `watched` lasts; `inside` names the modules that are running.

    `operators` counts what has run.
    """

    def __init__(self, inside: Sequence[str]) -> None:
        self._inside, self._found = inside, list[_Stride]()
        self._padded: dict[int, _Padded] = {}
        self._known = True
        self.operators = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Note what runs."""
        with _Operators(self), _Functions(self):
            yield

    @property
    def following(self) -> set[tuple[str, int]]:
        """Modules and axes that follow the input."""
        return {one.place for one in self._found if isinstance(one.size, torch.SymInt)}

    def needs(self, domain: Places, following: Collection[tuple[str, int]]) -> list[Need] | None:
        """What layers get is a multiple of their strides, for sizes of a domain; None where that is not known.

        `following` holds the places that follow the input: a size of 1 may be a number there, since PyTorch takes one.
        """
        trace = Trace(domain)
        try:
            for one in self._found if self._known else ():
                trace.node = one.place[0]
                size = one.bare if is_uncropped(trace, [list(map(number_of, one.padding))]) else one.size
                if one.place in following:
                    trace.stride(one.stride, number_of(size), one.parts, follows=True)
        except UnreadError:
            return None
        return trace.strides if self._known else None

    def note(self, x: torch.Tensor, axis: int, stride: Any, parts: int = 1) -> None:
        """A stride along an axis."""
        if isinstance(stride, torch.SymInt):
            self.unknown()
        elif stride > 1:
            padded = self._padded.get(id(x), _Padded(x, tuple(x.shape), ()))
            place = (self._inside[-1] if self._inside else "", axis)
            self._found.append(_Stride(place, stride, x.shape[axis], padded.shape[axis], padded.padding, parts))

    def pad(self, x: torch.Tensor, padding: Sequence[Any], made: torch.Tensor) -> None:
        """A tensor is another one padded."""
        old = self._padded.get(id(x), _Padded(x, tuple(x.shape), ()))
        self._padded[id(made)] = _Padded(made, old.shape, (*old.padding, *padding))

    def unknown(self) -> None:
        """A layer of which it is not known what its stride is."""
        self._known = False

    def operator(self, function: Any, arguments: Sequence[Any], made: Any) -> None:
        """Note what an operator has of strides."""
        self.operators += 1
        name = function.name().partition(".")[0]
        if name.partition("::")[0] not in _KNOWN or name == "aten::as_strided":
            self.unknown()
        elif name in _READERS:
            _READERS[name](self, arguments, made)


def _last_axes(seen: Strides, x: torch.Tensor, stride: Any, n: int) -> None:
    """A stride along each of the last axes."""
    listed = [stride] * n if isinstance(stride, int | torch.SymInt) else list(stride) * (n if len(stride) == 1 else 1)
    for axis, step in zip(range(x.ndim - n, x.ndim), listed, strict=True):
        seen.note(x, axis, step)


def _convolution(seen: Strides, arguments: Sequence[Any], _: Any) -> None:
    if not arguments[6]:
        _last_axes(seen, arguments[0], arguments[3], arguments[1].ndim - 2)


def _pool(n: int) -> Callable[[Strides, Sequence[Any], Any], None]:
    def read(seen: Strides, arguments: Sequence[Any], _: Any) -> None:
        stride = arguments[2] if len(arguments) > 2 else ()
        _last_axes(seen, arguments[0], stride or arguments[1], n)

    return read


def _slice(seen: Strides, arguments: Sequence[Any], made: Any) -> None:
    given: list[Any] = [*arguments, *(None, 0, None, None, 1)[len(arguments) :]]
    x, axis, start, stop, step = given
    if isinstance(step, int) and step == 1:
        return
    numbers = all(n is None or isinstance(n, int) for n in (start, stop, step))
    if numbers and (start or 0) in range(step) and (stop is None or stop > _END):
        seen.note(x, axis, step)
    elif isinstance(made.shape[axis], torch.SymInt):
        seen.unknown()  # a stretch, of which the length is not told


_READERS: Mapping[str, Callable[[Strides, Sequence[Any], Any], None]] = {
    "aten::convolution": _convolution,
    **{f"aten::max_pool{n}d_with_indices": _pool(n) for n in (2, 3)},
    **{f"aten::avg_pool{n}d": _pool(n) for n in (1, 2, 3)},
    "aten::im2col": lambda seen, arguments, _: _last_axes(seen, arguments[0], arguments[4], 2),
    "aten::unfold": lambda seen, arguments, _: seen.note(arguments[0], arguments[1], arguments[3]),
    "aten::slice": _slice,
    "aten::constant_pad_nd": lambda seen, arguments, made: seen.pad(arguments[0], arguments[1], made),
    "torchvision::deform_conv2d": lambda seen, arguments, _: _last_axes(seen, arguments[0], arguments[5:7], 2),
}


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The operators that run."""

    def __init__(self, seen: Strides) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.seen.operator(func, args, made)
        return made


class _Functions(TorchFunctionMode):
    """Functions of which operators do not show what they are: padding of every mode, and `interpolate`."""

    def __init__(self, seen: Strides) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        made = func(*args, **named)
        given = [*args, *(named[key] for key in ("input",) if key in named)]
        if func is functional.pad:
            self.seen.pad(given[0], named["pad"] if "pad" in named else args[1], made)
        elif func is functional.interpolate:
            _resized(self.seen, given[0], named.get("scale_factor", args[2] if len(args) > 2 else None))
        return made


def _resized(seen: Strides, x: torch.Tensor, factor: Any) -> None:
    axes = range(2, x.ndim)
    for axis, one in zip(axes, factor if isinstance(factor, list | tuple) else [factor] * len(axes), strict=True):
        if one is not None and not isinstance(one, int | float):
            seen.unknown()
        elif one is not None and one < 1:
            ratio = Fraction(one).limit_denominator(1 << 10)
            seen.note(x, axis, ratio.denominator, ratio.numerator)
