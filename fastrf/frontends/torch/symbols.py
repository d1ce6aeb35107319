"""A symbol for a size: what PyTorch computes with instead of a number, while it notes which sizes take the same way.

PyTorch's own symbols are SymPy's, which take a second for a ResNet-18 and half a minute for a Swin-T.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import sympy  # type: ignore[import-untyped]
import torch
from torch._subclasses import fake_impls
from torch.fx.experimental.sym_node import SymNode
from torch.fx.experimental.symbolic_shapes import eval_is_non_overlapping_and_dense

from fastrf.queries.sizes.lengths import Length, Number, Places, is_fixed
from fastrf.queries.sizes.values import LIMIT, Unread, UnreadError, Value, Values

__all__ = ["Symbols", "broadcasting", "number_of"]


_Base: Any = SymNode


class Symbols:
    """The symbol of one run, and the conditions on it that the run met."""

    #: What PyTorch asks of a `ShapeEnv`, which this stands for.
    _translation_validation_enabled = False

    def __init__(self, size: int, *, strict: bool = True) -> None:
        self.values, self.size, self.strict = Values(), size, strict
        self._conditions: dict[int, Places] = {}
        self._others: dict[int, Places] = {}
        self._constant: dict[int, bool] = {}

    def symbol(self) -> Any:
        """The size."""
        return torch.SymInt(_Node(self, self.values.size, self.size, int))

    def is_constant(self, value: Value) -> bool:
        """Whether one of the run's values is the same for every size, which is looked at once."""
        if isinstance(value, int | float):
            return True
        if id(value) not in self._constant:
            self._constant[id(value)] = _is_constant(value)
        return self._constant[id(value)]

    @property
    def domain(self) -> Places:
        """The sizes of which every condition comes out as of the run's. Raises UnreadError where it is not one."""
        found = self.values.known
        for places in self._conditions.values():
            found = found & places
        if not found.holds(self.size):
            raise UnreadError(f"conditions at {self.size} that do not hold there, below {LIMIT}")
        return found

    @property
    def met(self) -> int:
        """How many conditions there are."""
        return len(self._conditions)

    @property
    def unlike(self) -> list[int]:
        """Sizes of the domain to look at, at each of which questions have another answer than the general one.

        The general one is right for all sizes as far as PyTorch is: what is asked is whether a size is 1 that others
        have to fit, or how a tensor lies in memory.
        """
        found, domain = list[int](), self.domain
        parts = [part for places in self._others.values() if not (part := domain & places).is_empty]
        while parts:
            first = [part.first or 0 for part in parts]
            found.append(max(first, key=lambda n: sum(part.holds(n) for part in parts)))
            parts = [part for part in parts if not part.holds(found[-1])]
        return found

    def evaluate_sym_node(
        self, node: Any, _size_oblivious: bool = False, fallback_value: bool | None = None, **_: Any
    ) -> Any:
        """The value at the run's size, noted as a condition. Raises UnreadError.

        `fallback_value` is the general answer, with which PyTorch goes on where it cannot know; unless this is
        `strict`, it stands for all sizes where the run's is the same. Another answer than the run's may never end.
        """
        if isinstance(node.value, Unread):
            raise UnreadError(node.value.told)
        answer = node.hint
        if isinstance(node.value, Places):
            is_general = not self.strict and fallback_value is not None and bool(fallback_value) == answer
            held = node.value if answer else self.values.of("not", node.value)
            if is_general and isinstance(held, Places):
                self._others[id(held)] = ~held
                return answer
        else:
            held = True if isinstance(node.value, int | float) else self.values.of("eq", node.value, node.hint)
        if isinstance(held, Places):
            self._conditions[id(held)] = held
        return answer

    @staticmethod
    def is_unbacked_symint(_symbol: Any) -> bool:
        """Whether data decide a number, of which there are none here."""
        return False

    def _maybe_evaluate_static(self, expr: Any, **_: Any) -> Any:
        """What is known without a condition."""
        return expr if expr in (sympy.true, sympy.false) else None


class _Node(_Base):  # type: ignore[misc]
    """A value, and what it is at the run's size."""

    def __init__(self, symbols: Symbols, value: Value, hint: Any, kind: type) -> None:
        self.value: Value = hint if symbols.is_constant(value) else value
        self.pytype, self.shape_env, self.fx_node, self._hint = kind, symbols, None, hint
        self.constant = hint if isinstance(self.value, int | float) else None

    @property
    def expr(self) -> Any:
        """What PyTorch takes for the expression: one of its numbers, or a symbol of which it knows nothing."""
        if self.constant is None:
            return sympy.Symbol(f"size{id(self.value)}", integer=True)
        return sympy.sympify(self.constant)

    def maybe_as_int(self) -> int | None:
        """The number that it always is."""
        return self.constant if self.pytype is int else None

    def maybe_as_float(self) -> float | None:
        """The number that it always is."""
        return self.constant if self.pytype is float else None

    def maybe_as_bool(self) -> bool | None:
        """The truth that it always is."""
        return self.constant if self.pytype is bool else None

    def _constant(self, number: Any) -> _Node:
        return _Node(self.shape_env, number, number, type(number))

    wrap_int = wrap_float = wrap_bool = _constant

    def str(self) -> str:
        """The size of the run."""
        return repr(self._hint)

    __str__ = __repr__ = str
    __hash__ = object.__hash__

    def evaluate(self, size_oblivious: bool = False) -> Any:
        """The value at the run's size, as a condition."""
        return self.shape_env.evaluate_sym_node(self, size_oblivious)

    def guard_int(self, *_: Any) -> Any:
        """The number at the run's size, as a condition."""
        return self.evaluate()

    guard_float = guard_bool = guard_int

    def guard_size_oblivious(self, *_: Any) -> Any:
        """The same of a question whose answer is that of sizes beyond 1."""
        return self.evaluate(size_oblivious=True)

    def expect_true(self, *_: Any) -> bool:
        """The same of a truth that should hold."""
        return bool(self.evaluate())

    def sym_sum(self, args: list[SymNode]) -> Any:
        """A sum."""
        found = args[0]
        for more in args[1:]:
            found = found.add(more)
        return found

    def sym_ite(self, then_val: Any, else_val: Any) -> Any:
        """One value or another."""
        hint = then_val.hint if self.hint else else_val.hint
        return _made("choose", self, then_val, else_val, hint=hint, kind=type(hint))

    def is_contiguous(self, sizes: Any, strides: Any) -> Any:
        """Whether rows follow each other without a gap."""
        return self._is_packed(sizes, strides, range(len(sizes))[::-1])

    def is_channels_last_contiguous_2d(self, sizes: Any, strides: Any) -> Any:
        """The same of images whose channels are next to each other."""
        return self._is_packed(sizes, strides, (1, 3, 2, 0))

    def is_channels_last_contiguous_3d(self, sizes: Any, strides: Any) -> Any:
        """The same of volumes."""
        return self._is_packed(sizes, strides, (1, 4, 3, 2, 0))

    def _is_packed(self, sizes: Sequence[_Node], strides: Sequence[_Node], order: Sequence[int]) -> Any:
        packed, step = self._constant(True), self._constant(1)
        for k in order if len(order) == len(sizes) else ():
            packed = packed.and_(sizes[k].eq(self._constant(1)).or_(strides[k].eq(step)))
            step = step.mul(sizes[k])
        for size in sizes:
            packed = packed.or_(size.eq(self._constant(0)))
        return packed if len(order) == len(sizes) else self._constant(False)

    def is_channels_last_strides_2d(self, sizes: Any, strides: Any) -> Any:
        """Whether strides fall from channels to the batch."""
        return self._is_falling(sizes, strides, (1, 3, 2, 0))

    def is_channels_last_strides_3d(self, sizes: Any, strides: Any) -> Any:
        """The same of volumes."""
        return self._is_falling(sizes, strides, (1, 4, 3, 2, 0))

    def _is_falling(self, sizes: Sequence[_Node], strides: Sequence[_Node], order: Sequence[int]) -> Any:
        if len(order) != len(sizes):
            return self._constant(False)
        least, zero, one = self._constant(0), self._constant(0), self._constant(1)
        falling = strides[1].ne(zero)
        for k in order:
            falling = falling.and_(strides[k].ge(least)).and_(sizes[k].ne(zero))
            if k == 0:
                falling = falling.and_(least.ne(strides[1]))
            least = strides[k].mul(sizes[k].sym_max(one))
        return falling

    def is_non_overlapping_and_dense_indicator(self, sizes: Any, strides: Any) -> Any:
        """1 where every element has a place of its own and no place is left."""
        pair: list[Any] = [[torch.SymInt(n) for n in listed] for listed in (sizes, strides)]
        return self._constant(int(eval_is_non_overlapping_and_dense(*pair)))


def _is_constant(value: Value) -> bool:
    """Whether a value is the same for every size."""
    if isinstance(value, Places):
        inside = value.at(np.arange(1, len(value.inside) + 1))  # there is no size of 0
        return bool((inside == inside[0]).all())
    return isinstance(value, Length) and is_fixed(value)


def _made(name: str, *nodes: Any, hint: Any, kind: type) -> _Node:
    if not all(isinstance(node, _Node) for node in nodes):
        raise UnreadError(f"{name} of a size and a number that data decide")
    if all(node.constant is not None for node in nodes):
        return nodes[0]._constant(hint)  # type: ignore[no-any-return]
    symbols = nodes[0].shape_env
    return _Node(symbols, symbols.values.of(name, *(node.value for node in nodes)), hint, kind)


def _operation(name: str, function: Callable[..., Any], kind: type | None) -> Callable[..., _Node]:
    """An operation on nodes, by its name among values; its kind, or that of the numbers."""

    def operate(*nodes: _Node) -> _Node:
        hint = function(*(node.hint for node in nodes))
        return _made(name, *nodes, hint=hint, kind=type(hint) if kind is None else kind)

    return operate


def _shifted(name: str) -> Callable[[_Node, _Node], _Node]:
    return lambda a, b: getattr(a, name)(a._constant(1 << int(b.evaluate())))


def _power(a: _Node, b: _Node) -> _Node:
    found = a._constant(1)
    for _ in range(int(b.evaluate())):
        found = found.mul(a)
    return found


_OPERATIONS: dict[str, tuple[str, Callable[..., Any], type | None]] = {
    **{name: (name, getattr(operator, name), None) for name in ("add", "sub", "mul", "mod", "neg")},
    **{name: (name, getattr(operator, name), bool) for name in ("eq", "ne", "gt", "ge", "lt", "le")},
    **dict.fromkeys(("int_floordiv", "floordiv"), ("floordiv", operator.floordiv, None)),
    **dict.fromkeys(("int_truediv", "float_truediv", "truediv"), ("truediv", operator.truediv, float)),
    **dict.fromkeys(("and_", "sym_and"), ("and", lambda a, b: a and b, bool)),
    **dict.fromkeys(("or_", "sym_or"), ("or", lambda a, b: a or b, bool)),
    "sym_not": ("not", operator.not_, bool),
    "sym_max": ("max", max, None),
    "sym_min": ("min", min, None),
    "sym_float": ("real", float, float),
    "floor": ("floor", math.floor, int),
    "ceil": ("ceil", math.ceil, int),
    **dict.fromkeys(("trunc", "sym_int"), ("trunc", math.trunc, int)),
    "pos": ("pos", operator.pos, None),
    "abs": ("abs", abs, None),
    "round": ("round", round, None),
    "is_integer": ("is_integer", float.is_integer, bool),
    **dict.fromkeys(("float_pow", "pow"), ("a power", operator.pow, float)),
    **{name: (name, getattr(operator, name.removeprefix("bitwise_")), None) for name in ("bitwise_xor", "xor")},
    "bitwise_and": ("bitwise_and", operator.and_, None),
    "bitwise_or": ("bitwise_or", operator.or_, None),
}
for _name, _how in _OPERATIONS.items():
    setattr(_Node, _name, _operation(*_how))
for _name, _operate in {"lshift": _shifted("mul"), "rshift": _shifted("floordiv"), "pow_by_natural": _power}.items():
    setattr(_Node, _name, _operate)


@contextlib.contextmanager
def broadcasting() -> Iterator[None]:
    """While it lasts, a size fits the same one and a 1 without the question whether it is 1."""
    old = getattr(fake_impls, "infer_size", None)
    if old is None:  # it is asked then, which takes more runs
        yield
        return

    def infer_size(a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...]:
        n = min(len(a), len(b))
        one, other = list(a), list(b)
        fitting = {k: b[k] if _is_one(a[k]) else a[k] for k in range(-n, 0) if _is_one(a[k]) or _fits(a[k], b[k])}
        for k in fitting:
            one[k] = other[k] = 1
        made = list(old(one, other))
        for k, size in fitting.items():
            made[k] = size
        return tuple(made)

    fake_impls.infer_size = infer_size
    try:
        yield
    finally:
        fake_impls.infer_size = old


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def _fits(a: Any, b: Any) -> bool:
    one, other = getattr(a, "node", None), getattr(b, "node", None)
    return _is_one(b) or (isinstance(one, _Node) and isinstance(other, _Node) and one.value is other.value)


def number_of(size: Any) -> Number:
    """A size of a tensor as a length. Raises UnreadError where it is none."""
    node = getattr(size, "node", None)
    if node is None:
        return int(size)
    value = node.value if isinstance(node, _Node) else None
    if isinstance(value, int | Length):
        return value
    told = (
        value.told if isinstance(value, Unread) else "a product of sizes, or what data decide, is the size of an axis"
    )
    raise UnreadError(told)
