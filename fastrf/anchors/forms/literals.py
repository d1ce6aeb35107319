"""Values written as Python (mmdetection configs, torchvision calls, LFFD lists), read without running any of it.

The text is parsed and only literals, their products, `dict(...)`, `tuple(...)`, `list(...)`, `len(...)`, calls as
mappings and names bound before are worked out; whatever else stands there becomes `OPAQUE`. `forms` calls it.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fastrf.budget import limits
from fastrf.errors import FormatError

__all__ = ["OPAQUE", "mappings", "parse"]

#: Longer sequences and larger numbers are not worked out.
MAX_LENGTH = 10_000
#: Names may stand for so many values in all, and multiplied sequences hold so many.
MAX_REPEATED = 1 << 20


class _Opaque:
    def __repr__(self) -> str:
        return "(not a literal)"


#: What stands for a value that is no literal.
OPAQUE = _Opaque()

_NUMERIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}


class _Names(dict[str, Any]):
    """Names bound so far, and how many values may yet be repeated."""

    left = MAX_REPEATED

    def repeated(self, value: Any, times: int = 1) -> Any:
        """The value, OPAQUE where too much has been repeated: sequences of sequences grow beyond all memory."""
        self.left -= times * _count(value, self.left + 1)
        return value if self.left >= 0 else OPAQUE


def _count(value: Any, most: int) -> int:
    """How many values a value holds, itself included, counted up to `most`."""
    count, stack = 0, [value]
    while stack and count < most:
        item = stack.pop()
        count += 1
        if isinstance(item, dict | list | tuple):
            stack.extend(item.values() if isinstance(item, dict) else item)
    return count


def parse(text: str, source: str) -> dict[str, Any]:
    """The names that a text binds, in order; a bare expression is bound to "", members are to names like ".member".

    Raises FormatError for no Python.
    """
    limits.require("anchor_file", len(text), f"{source}: {len(text):,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd syntax, which is not run
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormatError(f"{source}: not Python: {getattr(error, 'msg', error)}") from error
    names = _Names()
    for node in tree.body:
        try:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                names[node.targets[0].id] = _value(node.value, names)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                names[f".{node.targets[0].attr}"] = _value(node.value, names)
            elif isinstance(node, ast.Expr):
                names[""] = _value(node.value, names)
        except RecursionError as error:
            raise FormatError(f"{source}: nested too deeply in line {node.lineno}") from error
    return dict(names)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a value, outer ones first."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from mappings(item)


def _value(node: ast.expr, names: _Names) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names.repeated(names.get(node.id, OPAQUE))
    if isinstance(node, ast.Tuple | ast.List):
        items = [_value(item, names) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict):
        keys = [OPAQUE if key is None else _value(key, names) for key in node.keys]
        values = [_value(value, names) for value in node.values]
        return {key: value for key, value in zip(keys, values, strict=True) if isinstance(key, str)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _combined(ast.Sub(), 0, _value(node.operand, names), names)
    if isinstance(node, ast.BinOp):
        return _combined(node.op, _value(node.left, names), _value(node.right, names), names)
    return _call(node, names) if isinstance(node, ast.Call) else OPAQUE


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e12


def _combined(op: ast.operator, left: Any, right: Any, names: _Names) -> Any:
    if _is_number(left) and _is_number(right) and type(op) in _NUMERIC:
        try:
            return _NUMERIC[type(op)](left, right)
        except (ArithmeticError, ValueError):
            return OPAQUE
    if isinstance(op, ast.Mult) and isinstance(left, int) and isinstance(right, list | tuple):
        left, right = right, left
    if isinstance(left, list | tuple) and isinstance(op, ast.Mult) and isinstance(right, int):
        if len(left) * right > MAX_LENGTH or names.repeated(left, max(right, 1)) is OPAQUE:
            return OPAQUE
        return left * right
    if isinstance(op, ast.Add) and isinstance(left, list) and isinstance(right, list):
        return names.repeated(left + right) if len(left) + len(right) <= MAX_LENGTH else OPAQUE
    return OPAQUE


def _call(node: ast.Call, names: _Names) -> Any:
    """`dict`, `tuple`, `list`, `len`, `int` of values; any other call as a mapping with its name as `type`."""
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    given = [_value(argument, names) for argument in node.args]
    keywords = {word.arg: _value(word.value, names) for word in node.keywords if word.arg is not None}
    if name == "dict" and not given:
        return keywords
    if name in ("tuple", "list", "len", "int") and len(given) == 1 and not keywords:
        value = given[0]
        if name == "int":
            return int(value) if _is_number(value) else OPAQUE
        if isinstance(value, list | tuple):
            return len(value) if name == "len" else tuple(value) if name == "tuple" else list(value)
        return OPAQUE
    return {"type": name, **{str(k): value for k, value in enumerate(given)}, **keywords}
