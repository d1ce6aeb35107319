"""What a recording run replaces in torch while it lasts, for its own thread alone: what reaches no dispatch mode."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any, Protocol
from unittest.mock import patch

import torch
from torch._functorch import eager_transforms

from fastrf.errors import UnsupportedOpError
from fastrf.frontends.torch.exporting import LEVELS, NO_DERIVATIVES
from fastrf.system.locks import process_lock

__all__ = ["patched", "running", "unpatched"]


class _Run(Protocol):
    """A recording run, which answers in torch's place."""

    def values_read(self, tensor: torch.Tensor) -> torch.Tensor: ...

    def array_of(self, tensor: torch.Tensor, *, force: bool) -> Any: ...

    def bind_again(self, tensor: torch.Tensor, value: torch.Tensor) -> None: ...

    def run(self, func: Any, /, *args: Any, **kwargs: Any) -> Any: ...

    def with_function(self, operator: Any, *given: Any, **named: Any) -> Any: ...

    def plainly(self, function: Callable[[], Any]) -> Any: ...

    def adopted(self, name: str, tensor: torch.Tensor, key: str) -> torch.Tensor: ...

    def assume(self, sentence: str) -> None: ...


_here = threading.local()
_lock = process_lock()
_undo: list[Callable[[], None]] = []
_users = 0
_TENSORS = torch._C.TensorBase
_dispatch: Callable[..., Any] = torch._ops.OpOverload._get_dispatch
_BEFORE = torch._C.DispatchKey.PreDispatch
_whole: Callable[..., Any] = torch._ops.HigherOrderOperator.__call__


@contextlib.contextmanager
def patched(run: _Run) -> Iterator[None]:
    """While it lasts, what this thread asks torch for past every mode is asked of the run."""
    global _users
    with _lock:
        if not _users:
            _undo.extend(_patches())
        _users += 1
    before = _run()
    _here.run = run
    try:
        yield
    finally:
        _here.run = before
        with _lock:
            _users -= 1
            while not _users and _undo:
                _undo.pop()()


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """While it lasts, what was compiled runs as it was written."""
    if hasattr(torch.compiler, "set_stance"):  # from 2.6 on
        with torch.compiler.set_stance("force_eager"):
            yield
        return
    if not {"torch._dynamo", "torch.nn.attention.flex_attention"} & sys.modules.keys():
        yield
        return
    dynamo: Any = importlib.import_module("torch._dynamo")
    with (
        patch.object(dynamo.eval_frame, "_maybe_set_eval_frame", lambda _: None),
        dynamo.config.patch(error_on_nested_fx_trace=False),
    ):
        yield


@contextlib.contextmanager
def unpatched() -> Iterator[None]:
    """While it lasts, this thread uses torch as ever."""
    before, _here.run = _run(), None
    try:
        yield
    finally:
        _here.run = before


def _run() -> _Run | None:
    return getattr(_here, "run", None)


def running() -> _Run:
    """This thread's recording run, for what is only called within one."""
    run = _run()
    assert run is not None
    return run


def _patches() -> Iterator[Callable[[], None]]:
    """Replace things; how each is undone."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield partial(torch.backends.mha.set_fastpath_enabled, fast)
    operators: Any = torch._ops.HigherOrderOperator
    operators.__call__ = _with_function
    yield partial(setattr, operators, "__call__", _whole)
    overloads: Any = torch._ops.OpOverload
    overloads._get_dispatch = _dispatched
    yield partial(setattr, overloads, "_get_dispatch", _dispatch)
    for name in LEVELS:
        whole = getattr(eager_transforms, name)
        setattr(eager_transforms, name, partial(_differentiated, whole))
        yield partial(setattr, eager_transforms, name, whole)
    for name, found in (("tolist", _tolist), ("numpy", _numpy), ("data", property(_data, _set_data))):
        setattr(torch.Tensor, name, found)
        yield partial(delattr, torch.Tensor, name)
    for place, name in ((torch, "tensor"), (torch, "as_tensor"), (torch.Tensor, "new_tensor")):
        made = getattr(place, name)
        setattr(place, name, _of_numbers(made, 0 if place is torch else 1))
        yield partial(setattr, torch, name, made) if place is torch else partial(delattr, place, name)


def _dispatched(operator: Any, key: Any) -> Any:
    """What runs an operator for a dispatch key; of a run, without torch's own way there, which takes longer."""
    run = _run()
    if run is None or key != _BEFORE or torch._ops.mode_stack_state_for_pre_dispatch().get(0) is not run:  # type: ignore[no-untyped-call]
        return _dispatch(operator, key)
    return partial(run.run, operator)


def _differentiated(begin: Callable[[], Any]) -> Any:
    """The start of a derivative by `torch.func`, whose levels tensors without data do not survive."""
    if _run() is not None:
        raise UnsupportedOpError(NO_DERIVATIVES)
    return begin()


def _with_function(operator: Any, /, *given: Any, **named: Any) -> Any:
    run = _run()
    return _whole(operator, *given, **named) if run is None else run.with_function(operator, *given, **named)


def _of_numbers(made: Callable[..., torch.Tensor], place: int) -> Callable[..., torch.Tensor]:
    """A function that makes a tensor of numbers in lists, some of which tensors may hold."""

    @wraps(made)
    def of_numbers(*given: Any, **named: Any) -> torch.Tensor:
        run = _run()
        if run is None or not isinstance(given[place] if len(given) > place else None, list | tuple):
            return made(*given, **named)
        return made(*given[:place], _numbers(run, given[place]), *given[place + 1 :], **named)

    return of_numbers


def _numbers(run: _Run, data: Any) -> Any:
    if isinstance(data, torch.Tensor):
        return run.values_read(data)
    return [_numbers(run, item) for item in data] if isinstance(data, list | tuple) else data


def _tolist(tensor: torch.Tensor) -> Any:
    run = _run()
    return _TENSORS.tolist(tensor if run is None else run.values_read(tensor))


def _numpy(tensor: torch.Tensor, *, force: bool = False) -> Any:
    run = _run()
    return _TENSORS.numpy(tensor, force=force) if run is None else run.array_of(tensor, force=force)


def _data(tensor: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = _TENSORS.data.__get__(tensor) if _run() is None else tensor.detach()  # type: ignore[attr-defined]
    return found


def _set_data(tensor: torch.Tensor, value: torch.Tensor) -> None:
    run = _run()
    if run is None:
        _TENSORS.data.__set__(tensor, value)  # type: ignore[attr-defined]
    else:
        run.bind_again(tensor, value)
