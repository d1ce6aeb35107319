"""How Numba compiles a kernel: cached on disk where that can be, safely for processes and threads that compile at once.

Where it is imported, Numba is: `compiling` says when.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

__all__ = ["compiled"]

_F = TypeVar("_F", bound=Callable[..., Any])


class _Entries(IndexDataCacheFile):
    """What a kernel has on disk: a file for each signature, named by the source and the signature that it is for.

    Numba numbers the files and keeps an index. Two processes that compile at once may both write number 1, and an
    index that is written before its file names what an older source has left there: code that takes other arrays.
    """

    def _data_name(self, key: object) -> str:
        return f"{self._family()}{_digest(key)}.nbc"

    def _family(self) -> str:
        return f"{self._index_name.removesuffix('.nbi')}.{_digest((self._version, self._source_stamp))}-"

    def load(self, key: object) -> Any:
        """The entry; None where there is none."""
        with contextlib.suppress(OSError):
            return self._load_data(self._data_name(key))  # type: ignore[no-untyped-call]
        return None

    def save(self, key: object, data: object) -> None:
        """Write the entry; those of other sources go."""
        self._save_data(self._data_name(key), data)  # type: ignore[no-untyped-call]
        self._drop(keep=self._family())

    def flush(self) -> None:
        """Forget every entry."""
        self._drop(keep="/")

    def _drop(self, keep: str) -> None:
        for path in Path(self._cache_path).glob(f"{self._index_name.removesuffix('.nbi')}.*.nbc"):
            if not path.name.startswith(keep):
                path.unlink(missing_ok=True)


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


class _Cache(FunctionCache):
    """A cache on disk that is a help and never a need: what cannot be read or written is made anew."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        place = self._impl.locator
        self._cache_file = _Entries(self._cache_path, self._impl.filename_base, place.get_source_stamp())  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # cut short, removed, of another user, on a full disk: unpickling can raise anything
            with contextlib.suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]


def compiled(function: _F, lock: AbstractContextManager[Any]) -> _F:
    """A compiled function: cached on disk where that can be, releasing the GIL, types inferred at the first call.

    The lock is held while Numba looks at arguments that it has not met and compiles for them; it imports modules then.
    """
    made = numba.njit(nogil=True)(function)
    if isinstance(made, Dispatcher):
        with contextlib.suppress(RuntimeError):  # a read-only installation without a home has nowhere to cache
            cast("Any", made)._cache = cast("Any", _Cache)(function)  # what `cache=True` does with numba's own
        for name in ("typeof_pyval", "_compile_for_args"):
            setattr(made, name, _holding(lock, getattr(made, name)))
    return cast("_F", made)


def _holding(lock: AbstractContextManager[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    def held(*arguments: Any) -> Any:
        with lock:
            return function(*arguments)

    return held
