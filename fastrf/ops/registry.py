"""The registry of operators: a name, a function on symbolic tensors, and every fact that the rest asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from fastrf.engine.recipe import Recipe, record
from fastrf.errors import NetworkError
from fastrf.system.locks import cached_property

__all__ = ["OPERATORS", "Operator", "check_count", "free", "one", "operator", "unknown"]

Shape: TypeAlias = tuple[int, ...]
Attributes: TypeAlias = Mapping[str, Any]
Function = TypeVar("Function", bound=Callable[..., Any])
Paths: TypeAlias = Literal["sum", "mean", "weighted", "through", "data"]
Cost: TypeAlias = Callable[[Attributes, Sequence[Shape], Shape], tuple[int | None, int | None]]
Role: TypeAlias = Literal["", "view", "pointwise", "pool", "contraction", "attention", "state", "total"]
FanIn: TypeAlias = Callable[[Attributes, Sequence[Shape], Shape], float]


def free(_: Attributes, __: Sequence[Shape], ___: Shape) -> tuple[int, int]:
    """The cost of what has no parameters and multiplies no matrices."""
    return 0, 0


def unknown(_: Attributes, __: Sequence[Shape], ___: Shape) -> tuple[None, None]:
    """The cost of what does not say its channels."""
    return None, None


def one(_: Attributes, __: Sequence[Shape], ___: Shape) -> float:
    """The fan-in of what has no kernel."""
    return 1


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator: its function takes tensors by position and attributes by keyword, and returns a tensor.

    `paths` says how the weights of paths pass: added up ("sum"), averaged ("mean"), averaged by weights of the
    operator's own ("weighted"), from an element to itself alone, statistics aside ("through"), or as "data" decides.
    `cost` gives parameters and multiply-accumulates, `fan_in` how many inputs an output reads through a kernel, both
    of attributes, input shapes and output shape. `channel_axis` is the axis of the first input that holds channels or
    features, where the operator tells ("axes": as that attribute says). A norm whose statistics are gathered over
    positions or features says `statistics`; an operator whose factors can be gates says `product`. `role` says what an
    operator is to who asks why a field is large or what is held: a view of what it reads, pointwise, a pool, a
    contraction of two tensors, attention's own, or what keeps a state or a total of all steps before.
    """

    name: str
    function: Callable[..., Any]
    paths: Paths = "sum"
    cost: Cost = free
    fan_in: FanIn = one
    channel_axis: int | str | None = None
    convolution: bool = False
    statistics: bool = False
    product: bool = False
    role: Role = ""

    @cached_property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """All parameters of the function."""
        return tuple(inspect.signature(self.function).parameters.values())

    @cached_property
    def inputs(self) -> tuple[inspect.Parameter, ...]:
        """Parameters that take one tensor each."""
        return tuple(p for p in self.parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    @cached_property
    def min_inputs(self) -> int:
        """How many tensors it needs."""
        return sum(p.default is p.empty for p in self.inputs) or int(self.max_inputs is None)

    @property
    def max_inputs(self) -> int | None:
        """How many tensors it takes; None for any number."""
        return None if any(p.kind is p.VAR_POSITIONAL for p in self.parameters) else len(self.inputs)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Names of attributes, in order."""
        return tuple(p.name for p in self.parameters if p.kind is p.KEYWORD_ONLY)

    @cached_property
    def accepted(self) -> tuple[str, ...]:
        """What may be given by name."""
        return self.attributes

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Attributes without a default."""
        return tuple(p.name for p in self.parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty)

    def recipe(self, attributes: Attributes, shapes: Sequence[Shape], channel_axes: Sequence[int | None]) -> Recipe:
        """What the operator does to inputs of these shapes."""
        check_count(len(shapes), self.min_inputs, self.max_inputs)
        self.check(attributes)
        tensors, notes = record(shapes, channel_axes)
        return notes.finish(self.function(*tensors, **attributes))

    def check(self, given: Attributes) -> None:
        """Raise NetworkError unless attributes are known ones, flags are booleans and what has no default is there."""
        flags = [p.name for p in self.parameters if isinstance(p.default, bool)]
        for attribute, value in given.items():
            if attribute not in self.accepted:
                raise NetworkError(f"unknown attribute {attribute!r}; it takes {', '.join(self.accepted) or 'none'}")
            if attribute in flags and not isinstance(value, bool):
                raise NetworkError(f"{attribute} must be true or false, not {value!r}")
        missing = [attribute for attribute in self.required if attribute not in given]
        if missing:
            raise NetworkError(f"attribute {missing[0]!r} is missing; give it a value")


def check_count(count: int, low: int, high: int | None) -> None:
    """Raise NetworkError for too few or too many inputs."""
    if count < low or (high is not None and count > high):
        wanted = f"{low} or more" if high is None else f"{low}" if low == high else f"{low} to {high}"
        raise NetworkError(f"it has {count} inputs but needs {wanted} inputs; list them in 'inputs'")


#: Every operator of fastrf's own by name.
OPERATORS: dict[str, Operator] = {}


def operator(*names: str, **facts: Any) -> Callable[[Function], Function]:
    """Register a function as one operator, or as several that depend alike, with the facts of `Operator`."""

    def register(function: Function) -> Function:
        OPERATORS.update({name: Operator(name, function, **facts) for name in names or (function.__name__,)})
        return function

    return register
