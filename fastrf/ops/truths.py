"""Large tables of truths, such as masks of attention: held once however many layers have them, and told by a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

__all__ = ["Truths", "nested", "of_lists"]

#: Smaller tables are nested lists, as the spec format has them.
_LARGE = 1 << 12


class Truths(Sequence[Any]):
    """A read-only table of truths, by rows; equal tables are one object, with what `once` has made of it."""

    __slots__ = ("__weakref__", "_made", "array", "digest")

    def __init__(self, array: npt.NDArray[np.bool_], digest: str) -> None:
        self.array, self.digest = array, digest
        self._made: dict[str, Any] = {}

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What is made of the table, once for all layers that have it."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Any) -> Any:
        return self.array[index].tolist()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.array, dtype, copy=copy) if copy else np.asarray(self.array, dtype)

    def __reduce__(self) -> tuple[object, ...]:
        return _shared, (self.array,)

    def __repr__(self) -> str:
        return f"Truths({'x'.join(map(str, self.array.shape))}, {self.digest})"

    def tolist(self) -> Any:
        """The same as nested lists."""
        return self.array.tolist()


_known: WeakValueDictionary[str, Truths] = WeakValueDictionary()


def nested(table: npt.NDArray[np.bool_]) -> Any:
    """A table as an attribute of a layer: nested lists, or one object for equal tables where it is large."""
    return table.tolist() if table.size < _LARGE else _shared(table)


def of_lists(value: Sequence[Any]) -> Truths | None:
    """Nested lists of many truths as a table; None for all else."""
    first = value[0] if value else None
    if not isinstance(first, list | tuple) or len(value) * len(first) < _LARGE:
        return None
    if not all(
        isinstance(row, list | tuple) and len(row) == len(first) and set(map(type, row)) == {bool} for row in value
    ):
        return None
    return _shared(np.array(value, bool))


def _shared(table: npt.NDArray[np.bool_]) -> Truths:
    whole = np.array(table, bool, order="C")
    whole.flags.writeable = False
    digest = hashlib.blake2b(repr(whole.shape).encode() + np.packbits(whole).tobytes(), digest_size=16).hexdigest()
    return _known.setdefault(digest, Truths(whole, digest))
