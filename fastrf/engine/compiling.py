"""When a kernel is compiled: as soon as so much has been asked of kernels that importing Numba pays.

Numba's import takes as long as kernels on the short axes of a thousand layers take as Python. So until a process has
asked for that much, they are run as the Python that they are; from then on, all are compiled. Results are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from fastrf.system.locks import process_lock

__all__ = ["Kernel", "compile_from_now_on", "jit"]

_F = TypeVar("_F", bound=Callable[..., Any])

#: Elements of arrays that kernels go through as Python before Numba is imported.
ENOUGH = 4_000_000


_lock = process_lock()


class _Asked:
    """How many elements this process has asked kernels to go through."""

    elements = 0


class Kernel:
    """A function on arrays that is run as Python, or compiled, by what the process has asked for so far.

    `compiled` makes what stands for it in compiled kernels, where that is another function.
    """

    def __init__(self, function: FunctionType, compiled: Callable[[], Any] | None = None) -> None:
        self.function, self._made = function, compiled
        self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__
        self.__wrapped__ = function
        self._python: Callable[..., Any] | None = None
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""
        if self._compiled is not None:
            return self._compiled(*arguments)
        _Asked.elements += 16 + sum(_sizes(arguments))
        return (self.compiled if _Asked.elements > ENOUGH else self.python)(*arguments)

    @property
    def python(self) -> Callable[..., Any]:
        """The function as Python, and the kernels that it calls."""
        if self._python is None:
            self._python = self._bound(lambda kernel: kernel.python)
        return self._python

    @property
    def compiled(self) -> Callable[..., Any]:
        """The function compiled, and the kernels that it calls."""
        if self._compiled is None:
            with _lock:  # a child forked while Numba is half imported would wait for the rest for ever
                from fastrf.engine.numba_cache import compiled

                bound = self._bound(lambda kernel: kernel.compiled)
                self._compiled = compiled(bound) if self._made is None else self._made()
        return self._compiled

    def _bound(self, form: Callable[[Kernel], Any]) -> FunctionType:
        """The function with one form of every kernel that it calls."""
        known = self.function.__globals__
        called = {n: form(known[n]) for n in self.function.__code__.co_names if isinstance(known.get(n), Kernel)}
        made = FunctionType(self.function.__code__, {**known, **called}, self.__name__)
        made.__module__, made.__qualname__ = self.__module__, self.function.__qualname__
        return made


def _sizes(arguments: Iterable[Any]) -> Iterable[int]:
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield argument.size
        elif isinstance(argument, tuple):
            yield from _sizes(argument)


def compile_from_now_on() -> None:
    """Take it that much will be asked."""
    _Asked.elements = ENOUGH + 1


def jit(function: _F) -> _F:
    """A kernel: as Python at first, compiled once this process has asked for much."""
    return cast("_F", Kernel(cast("FunctionType", function)))
