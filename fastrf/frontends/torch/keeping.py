"""A user's model, left as it was: whatever its forward keeps of a capture is put back.

A forward may cache what it computes: in attributes, in containers, in closures, on its class, in globals, in memoised
functions. During a capture these are tensors without data, and the model's own forward would break on them.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import operator
import random
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

from fastrf.frontends.torch.recording.tensors import Recorded

__all__ = ["as_it_was", "evaluating", "forget_memoised", "memoised"]

#: As many objects are remembered of one model.
_MOST = 1_000_000
_PLAIN = (str, bytes, int, float, complex, type(None), type, types.ModuleType, np.ndarray)
_PLAINEST = frozenset((str, int, float, bool, type(None)))
_DICTS = frozenset((dict, OrderedDict))
_Undo = Callable[[], None]
#: Hooks and the like, of which a forward seldom adds any.
_EMPTY_OF_MODULES = frozenset(vars(torch.nn.Module())) - {"_parameters", "_buffers", "_modules"}


@contextlib.contextmanager
def as_it_was(model: torch.nn.Module, left: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Everything that a run may change is put back at the end: the model's state, and the process's switches.

    `left` tells at the end whether tensors without data may be left anywhere else.
    """
    parts = list(model.modules())
    undo = [*_switches(), *_modes(parts), _hooks(parts), *_states(model, parts)]
    try:
        yield
    finally:
        for back in undo:
            back()
        if left():
            forget_memoised()


def evaluating(model: torch.nn.Module) -> None:
    """Put a model into evaluation mode; one made of an exported program refuses, since its mode is in its graph."""
    try:
        model.eval()
    except NotImplementedError:
        for part in model.modules():
            part.training = False


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


def _modes(parts: Sequence[torch.nn.Module]) -> Iterator[_Undo]:
    """The modes of modules of TorchScript, which Python does not hold."""
    for part in parts:
        if isinstance(part, torch.jit.ScriptModule) and hasattr(part, "training"):
            yield functools.partial(setattr, part, "training", part.training)


def _hooks(parts: Sequence[torch.nn.Module]) -> _Undo:
    """What is empty in modules is so again."""
    empty = [
        found
        for part in parts
        for name, found in part.__dict__.items()
        if type(found) in _DICTS and not found and name in _EMPTY_OF_MODULES
    ]

    def back() -> None:
        for found in filter(None, empty):
            found.clear()

    return back


def _states(model: torch.nn.Module, parts: Sequence[torch.nn.Module]) -> Iterator[_Undo]:
    """How to put back every object that is reachable from a model, its classes and what surrounds them."""
    kinds = {kind for last in set(map(type, parts)) for kind in last.__mro__ if _is_users(kind.__module__)}
    for own in kinds:
        yield _class(own, dict(vars(own)))
    surroundings = {name: vars(sys.modules[name]) for name in {k.__module__ for k in kinds} if name in sys.modules}
    for names in surroundings.values():
        yield _mapping(names, _holds_fakes)
        containers = [value for value in names.values() if isinstance(value, dict | list | deque)]
        yield from filter(None, (_container(value, _holds_fakes) for value in containers))
    stack: list[Any] = [model, *(value for own in kinds for value in vars(own).values())]
    seen: dict[int, Any] = {}
    while stack and len(seen) < _MOST:
        value = stack.pop()
        kind = type(value)
        if kind in _PLAINEST or id(value) in seen:
            continue
        if kind is dict or kind is torch.nn.Parameter:
            seen[id(value)] = value
            yield _mapping(value, operator.is_not) if kind is dict else _parameter(value)
            stack += (value if kind is dict else value.__dict__).values()
            continue
        if isinstance(value, _PLAIN):
            continue
        if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
            continue
        seen[id(value)] = value
        back = _container(value, operator.is_not)
        if back is not None:
            yield back
        stack += _held(value)


def _is_users(module: str) -> bool:
    return module.partition(".")[0] not in ("torch", "builtins", "typing", "abc", "collections")


def _held(value: Any) -> list[Any]:
    """What an object refers to, as far as a forward may reach it."""
    if type(value) is dict:
        return [*value.values()]
    if isinstance(value, torch.nn.Module):
        held = value.__dict__.items()
        return [item for name, item in held if type(item) not in _PLAINEST and (name not in _EMPTY_OF_MODULES or item)]
    if isinstance(value, dict):
        return [*dict.values(value), *getattr(value, "__dict__", {}).values()]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    if isinstance(value, types.FunctionType):
        return [*(value.__closure__ or ()), *value.__dict__.values()]
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, types.CellType):
        return _contents(value)
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    return list(getattr(value, "__dict__", {}).values())


def _container(value: Any, when: Callable[[Any, Any], bool]) -> _Undo | None:
    """How to put back what an object holds itself; None for what cannot change."""
    if isinstance(value, torch.nn.Module):
        return _mapping(value.__dict__, when)
    if isinstance(value, torch.Tensor):
        return _parameter(value)
    if isinstance(value, list | deque | set):
        return _collection(value, when)
    if isinstance(value, types.CellType):
        return _cell(value)
    held = value if isinstance(value, dict) else getattr(value, "__dict__", None)
    return _mapping(held, when) if isinstance(held, dict) else None


def _parameter(value: torch.Tensor) -> _Undo:
    wanted, hooks = value.requires_grad, value._backward_hooks
    before = None if hooks is None else OrderedDict(hooks)

    def back() -> None:
        value.requires_grad = wanted
        if value._backward_hooks != before:
            value._backward_hooks = before

    return back


def _mapping(value: dict[Any, Any], when: Callable[[Any, Any], bool]) -> _Undo:
    """By the methods of dict itself: a user's own may load what they are asked for."""
    before = dict.copy(value)

    def back() -> None:
        if len(before) == dict.__len__(value) and all(map(operator.is_, dict.values(value), before.values())):
            return
        now, kind = dict.copy(value), OrderedDict if isinstance(value, OrderedDict) else dict
        changed = {key for key in {**now, **before} if now.get(key, value) is not before.get(key, value)}
        if any(when(now.get(key), before.get(key)) for key in changed):
            kept = {key: item for key, item in now.items() if key in changed and not when(item, before.get(key))}
            kind.clear(value)
            kind.update(value, {**before, **kept})

    return back


def _collection(value: Any, when: Callable[[Any, Any], bool]) -> _Undo:
    before = list(value)

    def back() -> None:
        now = list(value)
        same = len(now) == len(before) and all(map(operator.is_, now, before))
        if not same and any(when(item, None) for item in [*now, *before]):
            value.clear()
            (value.update if isinstance(value, set) else value.extend)(before)

    return back


def _cell(cell: types.CellType) -> _Undo | None:
    before = _contents(cell)

    def back() -> None:
        now = _contents(cell)
        if not now or now[0] is not before[0]:
            cell.cell_contents = before[0]

    return back if before else None


def _contents(cell: types.CellType) -> list[Any]:
    """What a cell of a closure holds, if anything."""
    with contextlib.suppress(ValueError):
        return [cell.cell_contents]
    return []


def _class(kind: type, before: dict[str, Any]) -> _Undo:
    def back() -> None:
        for name in set(vars(kind)) - set(before):
            if not name.startswith("__"):
                delattr(kind, name)
        for name, item in before.items():
            if not name.startswith("__") and vars(kind).get(name) is not item:
                setattr(kind, name, item)

    return back


def _holds_fakes(now: Any, _before: Any = None, depth: int = 3) -> bool:
    """Whether a value is, or holds, tensors without data."""
    if isinstance(now, FakeTensor | FunctionalTensor | Recorded):
        return True
    if depth == 0 or isinstance(now, (*_PLAIN, types.FunctionType)):
        return False
    items = dict.values(now) if isinstance(now, dict) else now if isinstance(now, list | tuple | set) else ()
    return any(_holds_fakes(item, depth=depth - 1) for item in items)


def memoised() -> list[Any]:
    """All memoised functions of users; to find them takes a look at every object."""
    found = [one for one in gc.get_objects() if type(one) is functools._lru_cache_wrapper]
    return [one for one in found if _is_users(str(getattr(one, "__module__", "")))]


def forget_memoised(functions: Sequence[Any] | None = None) -> None:
    """Empty the caches of memoised functions, by default all of users, that hold tensors without data.

    A cache without bounds refers to a table of its results, one with bounds to the results themselves.
    """
    for function in memoised() if functions is None else functions:
        if any(_holds_fakes(item, depth=4) for item in gc.get_referents(function)):
            function.cache_clear()
