"""Sets of sizes as arithmetic progressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.queries.sizes.lengths import Places

__all__ = ["Progression", "progressions_of", "shown"]


class Progression(NamedTuple):
    """The sizes `start`, `start + step` and so on, before `stop`; without end where `stop` is None."""

    start: int
    stop: int | None
    step: int

    @property
    def is_several(self) -> bool:
        """Whether it is more than one size."""
        return self.stop is None or self.start + self.step < self.stop

    @property
    def goes_on(self) -> bool:
        """Whether it has no end, in steps of several."""
        return self.stop is None and self.step > 1

    def first(self, count: int) -> list[int]:
        """Some of the sizes, the smallest ones."""
        end = self.start + count * self.step
        return list(range(self.start, end if self.stop is None else min(end, self.stop), self.step))

    def between(self, low: int, high: int | None) -> Progression | None:
        """The sizes from `low` to before `high`; None without any."""
        start = self.start + max(-(-(low - self.start) // self.step), 0) * self.step
        ends = [end for end in (self.stop, high) if end is not None]
        if not ends:
            return self._replace(start=start)
        last = start + (min(ends) - 1 - start) // self.step * self.step
        if min(ends) <= start:
            return None
        return Progression(start, last + 1, self.step if last > start else 1)

    def __str__(self) -> str:
        if not self.is_several:
            return str(self.start)
        if self.stop is None:
            return f"{self.start} and more" if self.step == 1 else f"{self.start} + {self.step} k"
        last = self.stop - 1
        return f"{self.start} to {last}" + f", step {self.step}" * (self.step > 1)


def progressions_of(places: Places, low: int = 1, high: int | None = None) -> tuple[Progression, ...]:
    """The sizes from `low` to before `high` that are in a set, by their starts; no size is in two progressions."""
    endless, finite = _endless(places), []
    rest = np.flatnonzero(places.inside[: places.first_repeated])
    for progression in endless:
        rest = rest[(rest < progression.start) | ((rest - progression.start) % progression.step != 0)]
    while rest.size:
        progression = _longest(rest)
        finite.append(progression)
        rest = np.setdiff1d(rest, np.arange(*progression))
    found = [p.between(low, high) for p in [*endless, *finite]]
    return tuple(sorted(p for p in found if p is not None))


def _endless(places: Places) -> list[Progression]:
    """What repeats, as few progressions: the widest first."""
    first, period = places.first_repeated, places.period
    left, found = places.inside[first:].copy(), []
    for step in (d for d in range(1, period + 1) if period % d == 0):
        for residue in np.flatnonzero(left.reshape(-1, step).all(axis=0)).tolist():
            found.append(Progression(_back(places.inside, first + residue, step), None, step))
            left[residue::step] = False
    return found


def _back(inside: npt.NDArray[np.bool_], start: int, step: int) -> int:
    """The first of a progression, going back as long as there are sizes."""
    while start - step >= 0 and inside[start - step]:
        start -= step
    return start


def _longest(sizes: npt.NDArray[np.int64]) -> Progression:
    """The progression from the smallest of some sizes to which the next ones belong."""
    start = int(sizes[0])
    if sizes.size == 1:
        return Progression(start, start + 1, 1)
    step = int(sizes[1]) - start
    count = int(np.argmin(np.append(np.diff(sizes) == step, False))) + 1
    return Progression(start, start + (count - 1) * step + 1, step)


def shown(progressions: Iterable[Progression], most: int) -> str:
    """Progressions in words, the first ones of very many."""
    listed: Sequence[Progression] = list(progressions)
    told = [str(p) for p in listed[:most]]
    return "; ".join([*told, f"{len(listed) - most} more"] if len(listed) > most else told) or "none"
