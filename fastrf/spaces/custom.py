"""Custom: a space of one's own, from any function that makes a network of a small configuration."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastrf.errors import FormatError, NetworkError
from fastrf.frontends.loading import load
from fastrf.network import Network
from fastrf.spaces.space import Candidates, Codes, Seed, Space, generator, short
from fastrf.system.locks import cached_property

__all__ = ["Custom"]

Build = Callable[[Any], Any]

#: What is worked out when it is asked for, and not sent away.
_WORKED_OUT = ("_numbers", "_known", "_alike")


class Custom(Space[Any]):
    """Candidates `build(config)` for every one of `configs`, each anything that `fastrf.load` takes.

    A candidate's notation is its configuration: text as it is, anything else as JSON, and what JSON cannot say by its
    type and number. `input_shape` goes to `fastrf.load` where the caller gives none. `mutated`, if given, makes a
    configuration out of one and a `numpy.random.Generator`; by default another of `configs` is drawn, among those that
    differ in one entry where there are any. Scalars of a configuration are columns of a sweep's table. Dask's workers
    must be able to import `build`.
    """

    columnar = False

    def __init__(
        self,
        build: Build,
        configs: Iterable[Any],
        name: str = "custom",
        input_shape: Sequence[int] | None = None,
        mutated: Callable[[Any, np.random.Generator], Any] | None = None,
    ) -> None:
        if not callable(build):
            raise NetworkError(f"build must be a function of a configuration, not {short(build)}")
        self.build, self.mutated, self.name = build, mutated, name
        self.configs = list(configs)
        self.size = len(self.configs)
        self.input_shape = tuple(input_shape or ())
        self._texts = [_told(config, number) for number, config in enumerate(self.configs)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _WORKED_OUT}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """The first number of every notation."""
        return dict(zip(reversed(self._texts), reversed(range(len(self._texts))), strict=True))

    @cached_property
    def _known(self) -> dict[int, int]:
        """The number of every configuration by its id, which `configs` keeps."""
        return {id(config): number for number, config in reversed(list(enumerate(self.configs)))}

    @cached_property
    def _alike(self) -> dict[tuple[str, str], list[int]]:
        """The numbers of configurations that differ in one entry alone, by its place and all the others."""
        found: dict[tuple[str, str], list[int]] = {}
        for number, config in enumerate(self.configs):
            for key in _without_one(config):
                found.setdefault(key, []).append(number)
        return found

    def parse(self, text: Any) -> Any:
        """The configuration of a notation, or a configuration as it is.

        Raises FormatError for a text that no configuration has and that is not JSON.
        """
        if not isinstance(text, str):
            return text
        number = self._numbers.get(text)
        if number is not None:
            return self.configs[number]
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise FormatError(f"{short(text)} is none of the {self.size} configurations of {self.name}") from None

    def format(self, arch: Any) -> str:
        """The notation of a configuration."""
        number = self._known.get(id(arch))
        return _told(arch, -1) if number is None else self._texts[number]

    def encode(self, arch: Any) -> tuple[int, ...]:
        """The number of a configuration. Raises NetworkError for one that is not in the space."""
        number = self._known.get(id(arch), self._numbers.get(self.format(arch)))
        if number is None:
            raise NetworkError(f"{short(self.format(arch))} is none of the {self.size} configurations of {self.name}")
        return (number,)

    def decode(self, codes: Codes) -> list[str]:
        """The notation of every number."""
        return [self._texts[number] for number in codes[:, 0].tolist()]

    def all(self) -> Candidates:
        """Every configuration in order."""
        return Candidates(self, np.arange(len(self.configs))[:, None])

    def alone(self, codes: Codes) -> tuple[Custom, Codes]:
        """A space of these configurations only."""
        numbers, where = np.unique(codes[:, 0], return_inverse=True)
        part = copy.copy(self)
        part.configs = [self.configs[number] for number in numbers.tolist()]
        part._texts = [self._texts[number] for number in numbers.tolist()]
        part.size = len(part.configs)
        return part, where.reshape(-1, 1)

    def sample(self, n: int, seed: Seed = 0) -> Candidates:
        """`n` configurations, with repetition."""
        if n and not self.configs:
            raise NetworkError(f"{self.name} has no configurations to draw from")
        return Candidates(self, generator(seed).integers(0, max(len(self.configs), 1), (n, 1)))

    def mutate(self, candidate: Any, seed: Seed = 0) -> str:
        """The notation of `mutated(config, generator)`, or of another configuration. Raises NetworkError for none.

        That is one that differs in a single entry of the mapping or list, where there are such, otherwise any.
        """
        rng = generator(seed)
        config = self.parse(candidate)
        if self.mutated is not None:
            return self.format(self.mutated(config, rng))
        own = self.format(config)
        near = {number for key in _without_one(config) for number in self._alike.get(key, ())}
        others = [number for number in sorted(near) if self._texts[number] != own]
        others = others or [number for number, text in enumerate(self._texts) if text != own]
        if not others:
            raise NetworkError(f"{self.name} has no other configuration than {short(own)}")
        return self._texts[others[int(rng.integers(len(others)))]]

    def network(self, candidate: Any, input_shape: Sequence[int] | None = None) -> Network:
        """`fastrf.load` of what `build` makes. Raises what it raises, and NetworkError for what `build` raises."""
        return self._made(self.parse(candidate), input_shape)

    def built(self, codes: Codes, input_shape: Sequence[int] | None = None) -> Network:
        """The network of a configuration by its number: others may have the same notation."""
        return self._made(self.configs[codes[0]], input_shape)

    def _made(self, config: Any, input_shape: Sequence[int] | None) -> Network:
        try:
            made = self.build(config)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise NetworkError(f"{self.name} {short(self.format(config))}: {type(error).__name__}: {reason}") from error
        return load(made, input_shape if input_shape is not None else self.input_shape or None)


def _told(config: Any, number: int) -> str:
    if isinstance(config, str):
        return config
    try:
        return json.dumps(config)
    except (TypeError, ValueError, RecursionError):
        return f"{type(config).__name__}#{number}"


def _without_one(config: Any) -> Iterator[tuple[str, str]]:
    """Each place of a mapping or list with the rest of it as text; nothing where JSON cannot say it."""
    if not isinstance(config, Mapping | list | tuple):
        return
    entries = list(config.items() if isinstance(config, Mapping) else enumerate(config))
    try:
        texts = [json.dumps(entry) for entry in entries]
    except (TypeError, ValueError, RecursionError):
        return
    for k, (place, _) in enumerate(entries):
        yield str(place), "\n".join(texts[:k] + texts[k + 1 :])
