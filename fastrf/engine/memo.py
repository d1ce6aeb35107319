"""What the engine remembers: results keyed by interned objects, bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from fastrf.system.locks import process_lock

__all__ = ["MAX_BYTES", "MAX_RESULTS", "forget", "remembered"]

_Result = TypeVar("_Result")


#: Beyond this many results, or bytes held by them, the older half is dropped.
MAX_RESULTS = 1 << 16
MAX_BYTES = 1 << 28

_results: dict[Hashable, tuple[object, int]] = {}
_lock = process_lock()
_held = 0


def remembered(key: Hashable, compute: Callable[[], _Result]) -> _Result:
    """The result for `key`, computed on first use.

    Keys are tuples of interned objects and plain numbers, so a look-up costs one hash. Two threads may
    compute the same result once each; interning makes the results identical.
    """
    found = _results.get(key)
    if found is not None:
        return cast("_Result", found[0])
    result = compute()
    _keep(key, result, getattr(result, "nbytes", 64))
    return result


def _keep(key: Hashable, result: object, size: int) -> None:
    global _held
    with _lock:
        if len(_results) >= MAX_RESULTS or _held + size > MAX_BYTES:
            for old in list(_results)[: len(_results) // 2 + 1]:
                _held -= _results.pop(old)[1]
        if size <= MAX_BYTES // 2 and key not in _results:
            _results[key] = (result, size)
            _held += size


def forget() -> None:
    """Drop everything (benchmarks use it to measure an engine that remembers nothing)."""
    global _held
    with _lock:
        _results.clear()
        _held = 0
