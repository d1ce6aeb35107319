"""Columns: one place of a skeleton for many candidates at once, which is how search spaces are swept.

A column program walks the skeleton once for all candidates: `image` is the input map, `apply` and `choose` read through
steps, `union` adds or concatenates, `select` picks. Cost is that of the distinct states, of which spaces make few; a
candidate costs a table look-up per place. `fastrf.spaces` writes the programs, `fastrf.sweeps` runs them.
"""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from fastrf.errors import NetworkError
from fastrf.spaces.columns.states import Ids, Memo, Steps, Table
from fastrf.spaces.columns.steps import Step, branches, conv, crop, identity, pool, sequence, whole

__all__ = [
    "Column",
    "Columns",
    "Evaluated",
    "Memo",
    "Step",
    "branches",
    "conv",
    "crop",
    "identity",
    "pool",
    "sequence",
    "whole",
]

Which = npt.NDArray[np.integer]
Used = npt.NDArray[np.bool_]
_ONE_LAYER = (conv(1, layers=1),)


@dataclass(frozen=True, eq=False, slots=True)
class Column:
    """One map of every candidate: int32[n] numbers of its exact and of its nominal state in the run's table.

    Made by the methods of `Columns` only.
    """

    exact: Ids
    nominal: Ids

    def __len__(self) -> int:
        return self.exact.size


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a column program gives back: the output map, and int64[n] parameters and multiply-accumulates."""

    output: Column
    parameters: npt.NDArray[np.int64]
    macs: npt.NDArray[np.int64]


class Columns:
    """`n` candidates side by side on an image of `spatial` sizes.

    `image` is the column of the input, `nothing` the one that depends on nothing. `layers_beyond`, int64[n], is
    the tally of layers that start beyond the image: those whose input already has a nominal size of at least the
    image's on every axis.
    """

    def __init__(self, n: int, spatial: tuple[int, ...], memo: Memo | None = None) -> None:
        self.n, self.spatial = n, tuple(spatial)
        self._memo = memo
        self.table = memo.borrow(self.spatial) if memo is not None else Table(self.spatial)
        self.image = Column(np.zeros(n, np.int32), np.zeros(n, np.int32))
        self.nothing = Column(np.ones(n, np.int32), np.ones(n, np.int32))
        self.layers_beyond = np.zeros(n, np.int64)

    def close(self) -> None:
        """Give the table back to the memo; the columns can no longer be used."""
        if self._memo is not None:
            self._memo.give_back(self.table)
            self._memo = None

    def apply(self, step: Step, column: Column, used: Used | bool = False) -> Column:
        """Every candidate's map read through one step.

        With `used` (bool[n], or True for all), the layers in the step (see `conv`) join the tally of those candidates.
        """
        return self._read((step,), None, column, used)

    def choose(self, which: Which, steps: ListOf[Step | None], column: Column, used: Used | bool = False) -> Column:
        """Candidate `i`'s map read through `steps[which[i]]`; None reads nothing. The steps give one size.

        `used` is as in `apply`. Raises NetworkError for a choice that is not there.
        """
        chosen = self._checked(which, len(steps))
        return self._read(tuple(steps), chosen, column, used)

    def select(self, which: Which, columns: ListOf[Column]) -> Column:
        """Candidate `i`'s map of `columns[which[i]]`."""
        chosen = self._checked(which, len(columns))
        rows = np.arange(self.n)
        exact = np.stack([column.exact for column in columns])[chosen, rows]
        return Column(exact, np.stack([column.nominal for column in columns])[chosen, rows])

    def union(self, *columns: Column) -> Column:
        """What any of the maps reads: an addition or a concatenation. All have one size, or read nothing."""
        if not columns:
            return self.nothing
        exact = reduce(self.table.exact.union, [column.exact for column in columns])
        return Column(exact, reduce(self.table.nominal.union, [column.nominal for column in columns]))

    def layer(self, column_in: Column, used: Used | npt.NDArray[np.int64] | None = None) -> None:
        """Count a layer that reads `column_in`, for the candidates that have it (`used`, bool[n]; default all)."""
        covered = self.table.count_layers(_ONE_LAYER, None, column_in.nominal)
        self.layers_beyond += covered if used is None else covered * used

    def _checked(self, which: Which, n: int) -> Ids:
        chosen = np.asarray(which)
        if chosen.shape != (self.n,) or (self.n and (chosen.min() < 0 or chosen.max() >= n)):
            raise NetworkError(f"choices must be {self.n} integers from 0 to {n - 1}, one per candidate")
        return chosen.astype(np.int32, copy=False)

    def _read(self, steps: Steps, which: Ids | None, column: Column, used: Used | bool) -> Column:
        if used is not False:
            beyond = self.table.count_layers(steps, which, column.nominal)
            self.layers_beyond += beyond if used is True else np.where(used, beyond, 0)
        return Column(
            self.table.map_exact(steps, which, column.exact), self.table.map_nominal(steps, which, column.nominal)
        )
