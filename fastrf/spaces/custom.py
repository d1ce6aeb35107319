"""Custom: a space of one's own, from any function that makes a network of a small configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastrf.errors import FormatError, NetworkError
from fastrf.loading import load
from fastrf.network import Network
from fastrf.spaces.space import Candidates, Codes, Seed, Space, generator, short

__all__ = ["Custom"]

Build = Callable[[Any], Any]


class Custom(Space[Any]):
    """Candidates `build(config)` for every one of `configs`, each anything that `fastrf.load` takes.

    A candidate's notation is its configuration: text as it is, anything else as JSON, and what JSON cannot say by its
    type and number. `input_shape` goes to `fastrf.load` where the caller gives none. `mutated`, if given, makes a
    configuration out of one and a `numpy.random.Generator`; by default another of `configs` is drawn. Candidates are
    analysed one by one. To be picklable, as other processes need it, `build` must be a function of a module.
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
        self._numbers: dict[str, int] = {}
        for number, text in enumerate(self._texts):
            self._numbers.setdefault(text, number)

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
        number = next((k for k, config in enumerate(self.configs) if config is arch), None)
        return _told(arch, -1) if number is None else self._texts[number]

    def encode(self, arch: Any) -> tuple[int, ...]:
        """The number of a configuration. Raises NetworkError for one that is not in the space."""
        number = self._numbers.get(self.format(arch))
        if number is None:
            raise NetworkError(f"{short(self.format(arch))} is none of the {self.size} configurations of {self.name}")
        return (number,)

    def decode(self, codes: Codes) -> list[str]:
        """The notation of every number."""
        return [self._texts[number] for number in codes[:, 0].tolist()]

    def all(self) -> Candidates:
        """Every configuration in order."""
        return Candidates(self, np.arange(len(self.configs))[:, None])

    def sample(self, n: int, seed: Seed = 0) -> Candidates:
        """`n` configurations, with repetition."""
        if n and not self.configs:
            raise NetworkError(f"{self.name} has no configurations to draw from")
        return Candidates(self, generator(seed).integers(0, max(len(self.configs), 1), (n, 1)))

    def mutate(self, candidate: Any, seed: Seed = 0) -> str:
        """The notation of `mutated(config, generator)`, or of another configuration. Raises NetworkError for none."""
        rng = generator(seed)
        config = self.parse(candidate)
        if self.mutated is not None:
            return self.format(self.mutated(config, rng))
        own = self.format(config)
        others = [text for text in self._texts if text != own]
        if not others:
            raise NetworkError(f"{self.name} has no other configuration than {short(own)}")
        return others[int(rng.integers(len(others)))]

    def network(self, candidate: Any, input_shape: Sequence[int] | None = None) -> Network:
        """`fastrf.load` of what `build` makes. Raises what it raises, and NetworkError for what `build` raises."""
        config = self.parse(candidate)
        try:
            built = self.build(config)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise NetworkError(f"{self.name} {short(self.format(config))}: {type(error).__name__}: {reason}") from error
        return load(built, input_shape if input_shape is not None else self.input_shape or None)


def _told(config: Any, number: int) -> str:
    if isinstance(config, str):
        return config
    try:
        return json.dumps(config)
    except (TypeError, ValueError, RecursionError):
        return f"{type(config).__name__}#{number}"
