"""When a kernel is compiled: as soon as kernels have taken so long as Python that importing Numba pays.

Numba's import takes as long as kernels on the short axes of a thousand layers take as Python. So a process runs them as
the Python that they are until they took that long, or one call would; from then on, all are compiled. Results are the
same. `numba_cache` says how they are compiled.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 (see `_lock`)
import contextlib
import logging  # noqa: F401 (likewise)
import sys
import time
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from fastrf.system.locks import hold_while_forking, process_lock

__all__ = ["Kernel", "compile_from_now_on", "jit", "jit_of"]

_F = TypeVar("_F", bound=Callable[..., Any])

#: Seconds of a processor that kernels may take as Python, all in all, and about what a step of their loops takes.
ENOUGH, STEP = 0.3, 1e-7

_held: list[Any] = []


def _hold_compiler() -> None:
    """Wait for a thread that imports Numba by itself, and until nobody compiles."""
    if "numba" in sys.modules:
        with contextlib.suppress(ImportError):
            import numba  # noqa: F401
            from numba.core.compiler_lock import global_compiler_lock

            lock: Any = global_compiler_lock
            lock.acquire()
            _held.append(lock)


def _release_compiler() -> None:
    while _held:
        _held.pop().release()


# A fork waits while Numba is imported or compiles: its child would wait for the rest for ever. It takes locks in the
# reverse order of their registration; so this one comes before those of modules that Numba imports, which stand above:
# of two threads that take two locks in two orders, each may wait for the other.
hold_while_forking(_hold_compiler, _release_compiler)
_lock = process_lock()


class _Spent:
    """What kernels have taken as Python in this process."""

    seconds = 0.0


class Kernel:
    """A function on arrays that is run as Python, or compiled, by what kernels have taken so far.

    `steps`, called with its arguments, says how many a call takes at most, about. `made` makes what stands for the
    function in compiled kernels, where that is another.
    """

    def __init__(
        self, function: FunctionType, steps: Callable[..., int] | None = None, made: Callable[[], Any] | None = None
    ) -> None:
        self.function, self._steps, self._made = function, steps or _elements, made
        self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__
        self.__wrapped__ = function
        self._python: Callable[..., Any] | None = None
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""
        if self._compiled is not None:
            return self._compiled(*arguments)
        if _Spent.seconds + STEP * self._steps(*arguments) > ENOUGH:
            compile_from_now_on()
            return self.compiled(*arguments)
        began = time.thread_time()
        found = self.python(*arguments)
        _Spent.seconds += time.thread_time() - began
        return found.item() if isinstance(found, np.generic) else found

    @property
    def python(self) -> Callable[..., Any]:
        """The function as Python, and the kernels that it calls."""
        if self._python is None:
            self._python = self._bound(lambda kernel: kernel.python)
        return self._python

    @property
    def compiled(self) -> Callable[..., Any]:
        """The function compiled, and the kernels that it calls; no thread sees it before it is whole."""
        if self._compiled is None:
            with _lock:
                from fastrf.engine.numba_cache import compiled

                bound = self._bound(lambda kernel: kernel.compiled)
                self._compiled = self._compiled or (compiled(bound, _lock) if self._made is None else self._made())
        return self._compiled

    def _bound(self, form: Callable[[Kernel], Any]) -> FunctionType:
        """The function with one form of every kernel that it calls."""
        known = self.function.__globals__
        called = {n: form(known[n]) for n in self.function.__code__.co_names if isinstance(known.get(n), Kernel)}
        made = FunctionType(self.function.__code__, {**known, **called}, self.__name__)
        made.__module__, made.__qualname__ = self.__module__, self.function.__qualname__
        return made


def _elements(*arguments: Any) -> int:
    """How many elements the arrays have: what most kernels go through once."""
    return sum(_sizes(arguments))


def _sizes(arguments: Iterable[Any]) -> Iterable[int]:
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield argument.size
        elif isinstance(argument, tuple):
            yield from _sizes(argument)


def compile_from_now_on() -> None:
    """Import Numba, and compile every kernel that is asked for."""
    with _lock:
        from fastrf.engine import numba_cache  # noqa: F401
    _Spent.seconds = ENOUGH + 1


def jit(function: _F) -> _F:
    """A kernel that goes through its arrays once."""
    return cast("_F", Kernel(cast("FunctionType", function)))


def jit_of(steps: Callable[..., Any]) -> Callable[[_F], _F]:
    """A kernel that takes so many steps, at most, about."""

    def made(function: _F) -> _F:
        return cast("_F", Kernel(cast("FunctionType", function), steps))

    return made
