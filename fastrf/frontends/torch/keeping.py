"""A user's model, left as it was: whatever its forward keeps of a capture is put back.

A forward may cache what it computes: in attributes, in containers, in closures, on its class, in globals, in memoised
functions. During a capture these are tensors without data, and the model's own forward would break on them.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import random
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

__all__ = ["as_it_was"]

#: As many objects are remembered of one model.
_MOST = 1_000_000
_PLAIN = (str, bytes, int, float, complex, type(None), type, types.ModuleType, torch.Tensor, np.ndarray)
_Undo = Callable[[], None]


@contextlib.contextmanager
def as_it_was(model: torch.nn.Module) -> Iterator[None]:
    """Everything that a run may change is put back at the end: the model's state, and the process's switches."""
    undo = [*_switches(), *_states(model)]
    try:
        yield
    finally:
        for back in undo:
            back()
        _forget_memoised()


def _switches() -> list[_Undo]:
    """Random generators, gradient mode and default type."""
    numbers, state, chosen = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002  (what users call)
    gradients, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    return [
        lambda: torch.set_rng_state(numbers),
        lambda: random.setstate(state),
        lambda: np.random.set_state(chosen),  # noqa: NPY002
        lambda: torch._C._set_grad_enabled(gradients),
        lambda: torch.set_default_dtype(dtype),
    ]


def _states(model: torch.nn.Module) -> Iterator[_Undo]:
    """How to put back every object that is reachable from a model, its classes and what surrounds them."""
    kinds = {kind for module in model.modules() for kind in type(module).__mro__ if _is_users(kind.__module__)}
    for kind in kinds:
        yield _class(kind, dict(vars(kind)))
    surroundings = {name: vars(sys.modules[name]) for name in {k.__module__ for k in kinds} if name in sys.modules}
    for names in surroundings.values():
        yield _mapping(names, _holds_fakes)
        containers = [value for value in names.values() if isinstance(value, dict | list | deque)]
        yield from filter(None, (_container(value, _holds_fakes) for value in containers))
    stack: list[Any] = [model, *(value for kind in kinds for value in vars(kind).values())]
    seen: dict[int, Any] = {}
    while stack and len(seen) < _MOST:
        value = stack.pop()
        if id(value) in seen or (isinstance(value, _PLAIN) and not isinstance(value, torch.nn.Parameter)):
            continue
        seen[id(value)] = value
        back = _container(value, _differs)
        if back is not None:
            yield back
        stack += _held(value)


def _is_users(module: str) -> bool:
    return module.partition(".")[0] not in ("torch", "builtins", "typing", "abc", "collections")


def _held(value: Any) -> list[Any]:
    """What an object refers to, as far as a forward may reach it."""
    if isinstance(value, dict):
        return [*dict.values(value), *getattr(value, "__dict__", {}).values()]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    if isinstance(value, types.FunctionType):
        return [*(value.__closure__ or ()), *value.__dict__.values()]
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, types.CellType):
        return [value.cell_contents] if _filled(value) else []
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    return list(getattr(value, "__dict__", {}).values())


def _container(value: Any, when: Callable[[Any, Any], bool]) -> _Undo | None:
    """How to put back what an object holds itself; None for what cannot change."""
    if isinstance(value, torch.nn.Parameter):
        wanted = value.requires_grad
        return lambda: setattr(value, "requires_grad", wanted)
    if isinstance(value, dict):
        return _mapping(value, when)
    if isinstance(value, list | deque):
        return _sequence(value, list(value), when)
    if isinstance(value, set):
        return _set(value, set(value))
    if isinstance(value, types.CellType):
        return _cell(value, value.cell_contents) if _filled(value) else None
    held = getattr(value, "__dict__", None)
    return _mapping(held, when) if isinstance(held, dict) else None


def _mapping(value: dict[Any, Any], when: Callable[[Any, Any], bool]) -> _Undo:
    """By the methods of dict itself: a user's own may load what they are asked for."""
    kind = OrderedDict if isinstance(value, OrderedDict) else dict
    before = dict(dict.items(value))

    def back() -> None:
        now = dict(dict.items(value))
        changed = {key for key in {**now, **before} if now.get(key, value) is not before.get(key, value)}
        if any(when(now.get(key), before.get(key)) for key in changed):
            kept = {key: item for key, item in now.items() if key in changed and not when(item, before.get(key))}
            kind.clear(value)
            kind.update(value, {**before, **kept})

    return back


def _sequence(value: Any, before: list[Any], when: Callable[[Any, Any], bool]) -> _Undo:
    def back() -> None:
        same = len(value) == len(before) and all(a is b for a, b in zip(value, before, strict=True))
        if not same and any(when(item, None) for item in [*value, *before]):
            value.clear()
            value.extend(before)

    return back


def _set(value: set[Any], before: set[Any]) -> _Undo:
    def back() -> None:
        if value != before:
            value.clear()
            value.update(before)

    return back


def _cell(cell: types.CellType, before: Any) -> _Undo:
    def back() -> None:
        if not _filled(cell) or cell.cell_contents is not before:
            cell.cell_contents = before

    return back


def _class(kind: type, before: dict[str, Any]) -> _Undo:
    def back() -> None:
        for name in set(vars(kind)) - set(before):
            if not name.startswith("__"):
                delattr(kind, name)
        for name, item in before.items():
            if not name.startswith("__") and vars(kind).get(name) is not item:
                setattr(kind, name, item)

    return back


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None or True
    except ValueError:
        return False


def _differs(now: Any, before: Any) -> bool:
    return now is not before


def _holds_fakes(now: Any, _before: Any) -> bool:
    """Whether a value is, or holds, tensors without data."""
    return _reaches_fakes(now, 3)


def _reaches_fakes(value: Any, depth: int) -> bool:
    if isinstance(value, FakeTensor | FunctionalTensor):
        return True
    if depth == 0 or isinstance(value, (*_PLAIN, types.FunctionType)):
        return False
    if isinstance(value, dict):
        return any(_reaches_fakes(item, depth - 1) for item in dict.values(value))
    return isinstance(value, list | tuple | set) and any(_reaches_fakes(item, depth - 1) for item in value)


def _forget_memoised() -> None:
    """Empty the caches of memoised functions that hold tensors without data."""
    memoised = [found for found in gc.get_objects() if type(found) is functools._lru_cache_wrapper]
    for function in memoised:
        if _is_users(str(getattr(function, "__module__", ""))) and _memoises_fakes(function):
            function.cache_clear()


def _memoises_fakes(function: Any) -> bool:
    """A cache without bounds refers to a table of its results, one with bounds to the results themselves."""
    return any(_reaches_fakes(item, 4) for item in gc.get_referents(function))
