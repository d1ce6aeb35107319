"""Locks around what a process shares, made so that a fork never leaves one locked in the child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar, cast, overload

__all__ = ["cached_property", "hold_while_forking", "process_lock"]

_Result = TypeVar("_Result")


def hold_while_forking(acquire: Callable[[], object], release: Callable[[], object]) -> None:
    """Forks wait until nobody else holds a (reentrant) lock, so that the child finds it open and its data whole."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(before=acquire, after_in_parent=release, after_in_child=release)


def process_lock() -> AbstractContextManager[Any]:
    """A lock for the life of the process, to be held for moments only: forks wait for it."""
    lock = threading.RLock()
    hold_while_forking(lock.acquire, lock.release)
    return lock


class cached_property(Generic[_Result]):  # noqa: N801 (it stands for functools' own)
    """`functools.cached_property` without the lock that it has before Python 3.12.

    That lock is one for all instances: threads wait for each other's answers, and a child forked meanwhile for ever.
    Here two threads may compute the same value once each.
    """

    def __init__(self, function: Callable[[Any], _Result]) -> None:
        self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> cached_property[_Result]: ...
    @overload
    def __get__(self, owner: object, kind: type) -> _Result: ...
    def __get__(self, owner: object | None, kind: type) -> cached_property[_Result] | _Result:
        if owner is None:
            return self
        return cast("_Result", vars(owner).setdefault(self.name, self.function(owner)))
