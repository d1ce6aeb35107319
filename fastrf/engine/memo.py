"""What the engine remembers: results keyed by interned objects, bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar, cast

from fastrf.system.locks import process_lock

__all__ = ["MAX_BYTES", "MAX_RESULTS", "forget", "held", "remembered"]

_Result = TypeVar("_Result")


#: Beyond this many results, or bytes held by them and their keys, the older half is dropped.
MAX_RESULTS = 1 << 16
MAX_BYTES = 1 << 28

_results: dict[Hashable, object] = {}
#: Per object that results and keys hold, by its id: how many of them do, and its bytes.
_holders: dict[int, list[int]] = {}
_lock = process_lock()
_held = 0


def remembered(key: Hashable, compute: Callable[[], _Result]) -> _Result:
    """The result for `key`, computed on first use; None is not remembered.

    Keys are tuples of interned objects and plain numbers, so a look-up costs one hash. Two threads may
    compute the same result once each; interning makes the results identical.
    """
    found = _results.get(key)
    if found is None:
        found = compute()
        _keep(key, found)
    return cast("_Result", found)


def held() -> int:
    """Bytes of all that is remembered, its keys included, each object counted once."""
    return _held


def _keep(key: Hashable, result: object) -> None:
    with _lock:
        if key in _results:
            return
        _results[key] = result
        before = _held
        for part, thing in _parts((key, result), {}).items():
            _hold(part, thing)
        if _held - before > MAX_BYTES // 2:
            _drop(key)
        while len(_results) > MAX_RESULTS or _held > MAX_BYTES:
            for old in list(_results)[: len(_results) // 2 + 1]:
                _drop(old)


def _parts(things: Iterable[object], found: dict[int, object]) -> dict[int, object]:
    """All that things are made of but numbers and names, by its id."""
    for thing in things:
        kind = type(thing)
        if kind is int or kind is str or kind is bool:
            continue
        if isinstance(thing, tuple | list):
            _parts(thing, found)
        else:
            found[id(thing)] = thing
    return found


def _hold(part: int, thing: object) -> None:
    global _held
    holder = _holders.get(part)
    if holder is None:
        size = getattr(thing, "nbytes", 0)
        _holders[part] = [1, size]
        _held += size
    else:
        holder[0] += 1


def _drop(key: Hashable) -> None:
    global _held
    for part in _parts((key, _results.pop(key)), {}):
        holder = _holders[part]
        holder[0] -= 1
        if not holder[0]:
            _held -= holder[1]
            del _holders[part]


def forget() -> None:
    """Drop everything (benchmarks use it to measure an engine that remembers nothing)."""
    global _held
    with _lock:
        _results.clear()
        _holders.clear()
        _held = 0
