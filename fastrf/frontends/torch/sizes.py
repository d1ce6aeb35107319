"""Which sizes a module takes: runs on tensors whose one size is a symbol, until all sizes are on the way of one.

A run notes every condition on the size that it meets: in the shape rules of operators and in the module's own control
flow. It stands for all sizes for which these come out alike, those for which the module raises included.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from fastrf.errors import FastRFError, ShapeError, UsageError
from fastrf.frontends.options import Options
from fastrf.frontends.torch.capture import captured
from fastrf.frontends.torch.exporting import first_line, quiet
from fastrf.frontends.torch.failing import watched
from fastrf.frontends.torch.inputs import Inputs
from fastrf.frontends.torch.keeping import as_it_was, evaluating, forget_memoised, memoised
from fastrf.frontends.torch.program import to_network
from fastrf.frontends.torch.strides import Strides
from fastrf.frontends.torch.symbols import Symbols, broadcasting, number_of
from fastrf.network import Input
from fastrf.queries.sizes.answers import AxisSizes, Sizes
from fastrf.queries.sizes.layers import Followed
from fastrf.queries.sizes.lengths import FARTHEST, Number, Places, length
from fastrf.queries.sizes.solving import moved_shapes, spatial_axes
from fastrf.queries.sizes.trace import Need, Piece
from fastrf.queries.sizes.values import LIMIT, UnreadError
from fastrf.system.terminal import Progress, silent

__all__ = ["Module", "Ran", "UnfollowedError", "module_sizes"]

#: So many runs, each for the sizes that take one way through a module.
MOST_RUNS = 48
#: Other shapes at which a module is run that does not take the one given.
MOST_MOVED = 20
#: Where a run met so many conditions, no more are made unless a range is asked for: a condition takes some 0.05 s.
MOST_MET = 200
#: Where all runs had so many operators, no more are made unless a range is asked for: one takes some milliseconds.
MOST_OPERATORS = 4_000
WITHIN = "give within=(start, stop) (--within START:STOP) to ask for some of them"
_NOWHERE = Places.between(0, 0)


class UnfollowedError(Exception):
    """A module whose runs do not cover its sizes."""


class Ran(NamedTuple):
    """Shapes of a run's outputs, with the batch; why it failed and in which module; the conditions that it met."""

    outputs: tuple[tuple[Any, ...], ...]
    failed: str | None
    module: str
    symbols: Symbols
    strides: Strides


class Module:
    """A module in evaluation mode and what it is called with, of which one tensor has the sizes in question."""

    def __init__(self, model: torch.nn.Module, inputs: Inputs, given: Mapping[str, Any], wrt: str | None) -> None:
        self.model, self.inputs = model, inputs
        self.memoised = memoised()
        tensors = inputs.by_name(model, given)
        told = ", ".join(tensors)
        if wrt is None and len(tensors) != 1:
            raise UsageError(f"the model has inputs {told}; name one by wrt, the others keep their shapes")
        if wrt is not None and wrt not in tensors:
            raise UsageError(f"{wrt[:60]!r} is no input of the model; its inputs are {told}")
        self.first = tensors[next(iter(tensors)) if wrt is None else wrt]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape, with the batch."""
        return tuple(self.first.shape)

    def run(self, shape: Sequence[int], symbolic: int | None = None, *, strict: bool = False) -> Ran:
        """What the module makes of the tensor in a shape, one of its sizes a symbol or none.

        A run that is `strict` notes every condition that it meets, others those that shapes follow from.
        """
        mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
        mode.cache_enabled = symbolic is None  # it keeps what numbers have, not what symbols have
        symbols = Symbols(1 if symbolic is None else shape[symbolic], strict=strict)
        sizes = [symbols.symbol() if axis == symbolic else n for axis, n in enumerate(shape)]
        mine = self.first

        def faked(tensor: Any) -> Any:
            if tensor is mine:
                with mode:
                    return torch.empty(sizes, dtype=mine.dtype, device=mine.device)
            return mode.from_tensor(tensor, static_shapes=True) if isinstance(tensor, torch.Tensor) else tensor

        inside: list[str] = []
        strides = Strides(inside)
        with quiet(), as_it_was(self.model, self._left), torch.no_grad(), watched(self.model, inside):
            evaluating(self.model)
            arguments, named = pytree.tree_map(faked, (self.inputs.arguments, self.inputs.named))
            try:
                # which kernel convolves is another way for each size, and none of them has other shapes
                kernels = torch.backends.mkldnn.flags(enabled=False)
                with mode, enable_python_dispatcher(), kernels, strides.watched(), broadcasting():
                    made = self.model(*arguments, **named)
            except Exception as error:
                return Ran((), first_line(error), inside[-1] if inside else "", symbols, strides)
        outputs = tuple(tuple(leaf.shape) for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor))
        return Ran(outputs, None, "", symbols, strides)

    def _left(self) -> bool:
        """Empty caches of functions that were there before the first run; others are looked for at the end."""
        forget_memoised(self.memoised)
        return False

    def follow(
        self, axis: int, names: Sequence[str], within: tuple[int, int | None], progress: Progress = silent
    ) -> Followed:
        """All sizes of an axis (with the batch), the others as they are. Raises UnfollowedError."""
        asked = np.arange(within[0], within[1] or FARTHEST)
        ways, found = list[tuple[Piece, Ran]](), Followed()
        left = Places.between(within[0], within[1] or FARTHEST)
        size: int | None = self.shape[axis]
        while size is not None:
            if len(ways) == MOST_RUNS:
                raise UnfollowedError(f"more than {MOST_RUNS} ways through the module")
            why = self._too_dear(ways, size, within)
            if why is not None:
                found = _stopped(left, why)
                break
            ways.append(self._piece(axis, size, names))
            left = left & ~ways[-1][0].domain
            progress(int(asked.size - left.at(asked).sum()), asked.size)
            size = self._next(left, self.shape[axis])
        following = {place for _, ran in ways for place in ran.strides.following}
        pieces = [replace(piece, strides=ran.strides.needs(piece.domain, following)) for piece, ran in ways]
        return replace(found, pieces=[*pieces, *found.pieces])

    @staticmethod
    def _too_dear(ways: Sequence[tuple[Piece, Ran]], size: int, within: tuple[int, int | None]) -> str | None:
        """Why no run more is made."""
        if ways and size == LIMIT:
            return "numbers are neither lengths nor products of them"
        met = max((ran.symbols.met for _, ran in ways), default=0)
        if met > MOST_MET and within == (1, None):
            return f"runs meet {met} conditions; {WITHIN}"
        operators = sum(ran.strides.operators for _, ran in ways)
        if operators > MOST_OPERATORS and within == (1, None):
            return f"these runs take long; {WITHIN}"
        return None

    @staticmethod
    def _next(left: Places, size: int) -> int | None:
        """The next size to run: nearest to the one given, so that what is dear is known where it is asked for."""
        near = np.flatnonzero(left.at(np.arange(LIMIT)))
        return int(near[np.abs(near - size).argmin()]) if near.size else left.first

    def why(self, axis: int, size: int) -> str:
        """What the module says of a size."""
        ran = self.run((*self.shape[:axis], size, *self.shape[axis + 1 :]))
        forget_memoised()
        return ran.failed or "it is not known why"

    def _piece(self, axis: int, size: int, names: Sequence[str], *, strict: bool = False) -> tuple[Piece, Ran]:
        """The sizes that go the way of one, and its run."""
        shape = (*self.shape[:axis], size, *self.shape[axis + 1 :])
        ran = self.run(shape, axis, strict=strict)
        try:
            unlike = [] if strict else ran.symbols.unlike
            if unlike and ran.failed is not None:
                return self._piece(axis, size, names, strict=True)
            if ran.failed is not None and self.run(shape).failed is None:
                raise UnfollowedError(ran.failed)  # the symbol is to blame
            domain = ran.symbols.domain
            outputs = [[number_of(n) for n in _without_batch(output)] for output in ran.outputs]
        except (UnreadError, FastRFError) as error:
            raise UnfollowedError(str(error)) from error
        if ran.failed is not None:
            need = Need(ran.module, _NOWHERE, lambda n: self.why(axis, n))
            return Piece(domain, _NOWHERE, (need,), {}), ran
        if not self._are_as_solved(axis, unlike, outputs):
            return self._piece(axis, size, names, strict=True)
        shapes = dict(zip(named(names, outputs), outputs, strict=True))
        return Piece(domain, domain, (), shapes), ran

    def _are_as_solved(self, axis: int, sizes: Sequence[int], outputs: Sequence[Sequence[Number]]) -> bool:
        """Whether runs without a symbol have the outputs that one with it has."""
        for size in sizes:
            ran = self.run((*self.shape[:axis], size, *self.shape[axis + 1 :]))
            wanted = [[length(n).of(size) for n in output] for output in outputs]
            if ran.failed is not None or [[*_without_batch(output)] for output in ran.outputs] != wanted:
                return False
        return True


def _stopped(left: Places, why: str) -> Followed:
    """That nothing is known of sizes."""
    first, last = left.first or 0, int(left.inside.nonzero()[0][-1])
    which = "sizes" if left.inside[first : last + 1].all() else "some sizes"
    told = f"{which} of {first} " + ("and more" if last == FARTHEST - 1 else f"to {last}")
    need = Need("", _NOWHERE, lambda n: f"{n} is not known: {why}")
    return Followed([Piece(left, _NOWHERE, (need,), {}, known=False)], assumes=[f"{told} are not known: {why}"])


def module_sizes(
    model: torch.nn.Module,
    name: str,
    input_shape: Any,
    options: Options,
    wrt: str | None,
    within: tuple[int, int | None],
    progress: Progress = silent,
) -> Sizes:
    """The sizes that a module takes. Raises UnfollowedError where runs do not tell, otherwise as `fastrf.sizes`."""
    module, assumes = _fitting(model, input_shape, options, wrt)
    shape, names, axes = _described(module, options, wrt)
    batch = len(module.shape) - len(shape)
    try:
        found = [module.follow(axis + batch, names, within, progress) for axis in axes]
    finally:
        forget_memoised()
    answers = [AxisSizes(axis, shape[axis], one.pieces, within) for axis, one in zip(axes, found, strict=True)]
    if len(axes) > 1:
        assumes.append(f"each axis is solved for {'x'.join(map(str, shape))}, the others as they are there")
    assumes += [text for one in found for text in one.assumes]

    def tried(sizes: tuple[int, ...]) -> Mapping[str, Sequence[int]] | str:
        wanted = dict(zip(axes, sizes, strict=True))
        full = [wanted.get(axis - batch, n) for axis, n in enumerate(module.shape)]
        ran = module.run(full)
        forget_memoised()
        return ran.failed or dict(zip(named(names, ran.outputs), map(_without_batch, ran.outputs), strict=True))

    return Sizes(name, shape, tuple(answers), None, tuple(dict.fromkeys(assumes)), tried)


def _fitting(model: torch.nn.Module, input_shape: Any, options: Options, wrt: str | None) -> tuple[Module, list[str]]:
    """The module with inputs that it takes: as given, of another kind, or the next ones that fit. Raises ShapeError."""
    model = getattr(model, "_orig_mod", model)
    first = Module(model, Inputs.of(model, input_shape, options.values), options.values, wrt)
    said = first.run(first.shape).failed
    if said is None:
        return first, []
    inputs = first.inputs
    others = [inputs.without_batch(model, most=1), inputs.whole_numbers(model, most=2)]
    for other in others:
        module = None if other is None else Module(model, other, options.values, wrt)
        if module is not None and module.run(module.shape).failed is None:
            return module, []
    wanted, near = getattr(input_shape, "shape", input_shape), ""
    if isinstance(wanted, list | tuple) and len(wanted) > 1 and all(type(n) is int for n in wanted):
        for shape in itertools.islice(moved_shapes(wanted), MOST_MOVED):
            module = Module(model, Inputs.of(model, shape, options.values), options.values, wrt)
            if module.run(module.shape).failed is None:
                told = "x".join(map(str, wanted))
                return module, [f"the model was run at {'x'.join(map(str, shape))}, since {told} does not fit"]
        near = f"; none of {MOST_MOVED} larger shapes near it fits either"
    raise ShapeError(f"{type(model).__name__} does not take {inputs}: {said}{near}; give an input_shape that fits")


def _described(module: Module, options: Options, wrt: str | None) -> tuple[tuple[int, ...], Sequence[str], list[int]]:
    """The tensor's shape without the batch, names of outputs, and the spatial axes, as the captured model has them."""
    try:
        given = (module.inputs.arguments[0] if module.inputs.arguments else None, dict(module.inputs.named))
        wanted = given[0] if not given[1] else {**given[1]}
        network = to_network(captured(module.model, wanted, options), options)
        one = network.inputs[wrt] if wrt is not None and wrt in network.inputs else next(iter(network.inputs.values()))
    except FastRFError:
        shape = tuple(_without_batch(module.shape))
        axis = options.axis_of("input", shape)
        return shape, (), spatial_axes(Input("input", shape, (0 if len(shape) > 1 else None) if axis is ... else axis))
    return one.shape, network.outputs, spatial_axes(one)


def named(names: Sequence[str], outputs: Sequence[Any]) -> Sequence[str]:
    """The names of outputs where they are known, numbers otherwise."""
    return names if len(names) == len(outputs) else [f"output{k}" for k in range(len(outputs))]


def _without_batch(shape: Sequence[Any]) -> Sequence[Any]:
    return shape[1:] if shape and shape[0] == 1 else shape
