"""Space: what every search space can do; and Candidates: many of its architectures, held as integers.

A space has a public notation (text), a structured form of it, and codes: one row of small integers per candidate, on
which everything that concerns many of them is done. `fastrf.sweeps` takes both.
"""

from __future__ import annotations

import ast
import contextlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

from fastrf.errors import FastRFError, FormatError, LimitError, NetworkError, PositionError
from fastrf.network import Network
from fastrf.spaces.columns.programs import Columns, Evaluated

__all__ = ["MAX_TEXT", "Candidates", "Codes", "Seed", "Space", "generator", "literal", "short"]

Codes = npt.NDArray[np.integer]
Seed = int | np.random.Generator
Arch = TypeVar("Arch")

#: Texts of more characters are not read.
MAX_TEXT = 20_000
#: `all` holds no more candidates than this.
MAX_CANDIDATES = 10_000_000


class Space(ABC, Generic[Arch]):
    """A search space: its candidates, their notation, and the network that each stands for.

    `name` identifies the space with its options. `size` is the number of its candidates, None where it is not known.
    `input_shape` is the customary one, `(channels, height, width)`. Spaces are picklable.
    """

    name: str
    size: int | None
    input_shape: tuple[int, ...]
    #: Whether `evaluate` is there; otherwise each candidate's `network` is analysed by itself.
    columnar: bool = True

    @abstractmethod
    def parse(self, text: Any) -> Arch:
        """The structured form of a candidate's notation, or of what `parse` itself gave.

        Raises FormatError for what is not the notation, NetworkError for what the space does not have.
        """

    def format(self, arch: Arch) -> str:
        """The public notation of a structured candidate; `parse` reads it."""
        return self.decode(np.array([self.encode(self.parse(arch))]))[0]

    @abstractmethod
    def encode(self, arch: Arch) -> Sequence[int]:
        """The row of codes of a structured candidate."""

    @abstractmethod
    def decode(self, codes: Codes) -> list[str]:
        """The notation of every row of `codes`, integers[n, width]."""

    @abstractmethod
    def sample(self, n: int, seed: Seed = 0) -> Candidates:
        """`n` candidates drawn at random, with repetition; the same ones for the same seed."""

    @abstractmethod
    def mutate(self, candidate: Any, seed: Seed = 0) -> str:
        """The notation of a valid candidate that differs from the given one in one choice, drawn at random."""

    @abstractmethod
    def network(self, candidate: Any, input_shape: Sequence[int] | None = None) -> Network:
        """The whole network of a candidate, with the published channels; its output is the last map, "features".

        Raises what `parse` raises, and ShapeError for an input that the skeleton cannot take.
        """

    def evaluate(self, candidates: Candidates, columns: Columns, channels: int | None = None) -> Evaluated:  # noqa: ARG002
        """The last map of every candidate as a column, with its parameters and multiply-accumulates (int64[n]).

        They equal what `network` gives on an image of `columns.spatial` and `channels` (default: as `input_shape`).
        Raises NetworkError where the space has no column program, ShapeError for an image that does not fit.
        """
        raise NetworkError(f"{self.name} has no column program; analyse the network of each candidate")

    def all(self) -> Candidates:
        """Every candidate in a fixed order. Raises LimitError for a space too large to hold."""
        raise LimitError(f"{self.name} has {self.size} candidates, too many to hold; draw some with sample(n, seed)")

    def candidates(self, texts: Iterable[Any]) -> Candidates:
        """Candidates from their notations; see `Candidates.from_texts`."""
        return Candidates.from_texts(self, texts)

    def built(self, codes: Codes, input_shape: Sequence[int] | None = None) -> Network:
        """The network of one row of codes; see `network`."""
        return self.network(self.decode(codes[None])[0], input_shape)

    def alone(self, codes: Codes) -> tuple[Space[Any], Codes]:
        """A space that need not know other candidates than these, to be sent away, and their codes in it."""
        return self, codes

    def __iter__(self) -> Iterator[str]:
        """The notation of every candidate; raises as `all` does."""
        return iter(self.all())

    def __len__(self) -> int:
        """`size`. Raises LimitError where that is not known, or more than `len` can say."""
        if self.size is None or self.size > sys.maxsize:
            told = "unknown" if self.size is None else f"{self.size:.1e}, more than len() can say"
            raise LimitError(f"{self.name}: its number of candidates is {told}; see its size")
        return self.size

    def __bool__(self) -> bool:
        return True  # also without candidates: it is a space

    def __contains__(self, text: object) -> bool:
        """Whether a notation is one of a candidate."""
        try:
            self.parse(text)
        except FastRFError:
            return False
        return True

    def __repr__(self) -> str:
        size = self.size
        count = "" if size is None else f", {size:,} candidates" if size < 1 << 40 else f", {size:.1e} candidates"
        shape = f", input {'x'.join(map(str, self.input_shape))}" if self.input_shape else ""
        return f"<space {self.name}{count}{shape}>"


class Candidates(Sequence[str]):
    """Candidates of one space: a sequence of notations, held as `codes`, integers[n, width].

    Slices and `take` give Candidates again; a slice shares the codes. Picklable.
    """

    __slots__ = ("codes", "space")

    def __init__(self, space: Space[Any], codes: npt.ArrayLike) -> None:
        rows = np.asarray(codes)
        if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer):
            raise FormatError(f"codes must be integers of shape (n, width), not {rows.dtype} of {rows.shape}")
        self.space = space
        self.codes: Codes = rows

    @classmethod
    def from_texts(cls, space: Space[Any], texts: Iterable[Any]) -> Candidates:
        """Candidates from notations, or from anything else that `space.parse` takes.

        Raises what `parse` raises, with the number of the candidate.
        """
        rows = []
        for number, text in enumerate(texts):
            try:
                rows.append(space.encode(space.parse(text)))
            except FastRFError as error:
                raise type(error)(f"candidate {number}: {error}") from error
        if not rows:
            width = space.sample(1).codes.shape[1]
            return cls(space, np.zeros((0, width), np.int8))
        return cls(space, np.array(rows, np.int64 if np.max(rows) > 127 else np.int8))

    def ids(self) -> list[str]:
        """All notations, by table look-ups."""
        return self.space.decode(self.codes)

    def take(self, indices: npt.ArrayLike) -> Candidates:
        """The candidates at some indices, integers[m] or bool[n]."""
        return Candidates(self.space, self.codes[np.asarray(indices)])

    def network(self, index: int, input_shape: Sequence[int] | None = None) -> Network:
        """The network of one candidate."""
        return self.space.built(self._codes_of(index), input_shape)

    def alone(self) -> Candidates:
        """The same candidates of a space that need not know others, to be sent away."""
        return Candidates(*self.space.alone(self.codes))

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Candidates: ...
    def __getitem__(self, index: int | slice) -> str | Candidates:
        if isinstance(index, slice):
            return Candidates(self.space, self.codes[index])
        return self.space.decode(self._codes_of(index)[None])[0]

    def _codes_of(self, index: int) -> Codes:
        if not -len(self) <= index < len(self):
            raise PositionError(f"candidate {index} is not there; there are {len(self)}")
        return cast("Codes", self.codes[index])

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 4096):
            yield from self.space.decode(self.codes[start : start + 4096])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Candidates)
            and self.space.name == other.space.name
            and np.array_equal(self.codes, other.codes)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} candidates of {self.space.name}>"

    def __getstate__(self) -> tuple[Space[Any], Codes]:
        return self.space, self.codes

    def __setstate__(self, state: tuple[Space[Any], Codes]) -> None:
        self.space, self.codes = state


def generator(seed: Seed) -> np.random.Generator:
    """A seed's generator; a generator as it is. Raises NetworkError for what is neither."""
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise NetworkError(f"seed {seed!r} must be an integer of at least 0 or a numpy.random.Generator")
    return np.random.default_rng(int(seed))


def literal(text: str, what: str) -> Any:
    """A text as JSON, or else as a Python literal, which is not run. Raises FormatError where it is not `what`."""
    if len(text) > MAX_TEXT:
        raise FormatError(f"{short(text)} is not {what}; of {len(text)} characters no more than {MAX_TEXT} are read")
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError):
        raise FormatError(f"{short(text)} is not {what}") from None


def short(value: object) -> str:
    """A value for an error message: at most 80 characters on one line."""
    try:
        text = " ".join((value if isinstance(value, str) else repr(value)).split())
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
