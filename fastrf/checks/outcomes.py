"""Outcomes: what a rule found at a node, or a lock file at a module, and what follows of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastrf.system.tables import agreed, number

__all__ = ["Outcome", "Outcomes", "unlooked"]

#: As many other inputs are named.
_OTHERS = 6


@dataclass(frozen=True)
class Outcome:
    """What one rule found at one node, or a lock file at one module.

    `value` is what was seen: a number, a truth, a tuple per axis, or words; `about` says more, such as why it is not
    known; `why` is what the rule is for. `kind` is "rule", or of a lock file "cause", "inherited", "added", "removed",
    "renamed" or "same". `file` and `line` are where the rule, or the module's entry, stands.
    """

    rule: str
    node: str
    value: Any
    passed: bool
    about: str = ""
    why: str = ""
    kind: str = "rule"
    file: str = ""
    line: int = 0

    @property
    def seen(self) -> str:
        """The value in words."""
        return _worded(self.value)

    @property
    def message(self) -> str:
        """One line that says what failed and where."""
        told = ": ".join(filter(None, (self.node, self.seen)))
        return "; ".join(
            filter(None, (f"{told}, not {self.rule}" if self.kind == "rule" else told, self.about, self.why))
        )


@dataclass(frozen=True, repr=False)
class Outcomes:
    """What was checked of a model, and what was found."""

    model: str
    inputs: Mapping[str, Sequence[int]]
    wrt: str
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.passed

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(outcome.passed for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes that failed."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)

    @property
    def checks(self) -> Mapping[str, tuple[Outcome, ...]]:
        """The outcomes by rule, or lock file, in the order given."""
        found: dict[str, tuple[Outcome, ...]] = {}
        for outcome in self.outcomes:
            found[outcome.rule] = (*found.get(outcome.rule, ()), outcome)
        return found

    @property
    def verdict(self) -> str:
        """The last line: how many checks failed."""
        failed, n = len({outcome.rule for outcome in self.failures}), len(self.checks)
        told = f"{n} check{'s' * (n != 1)}"
        return f"FAILED: {failed} of {told}" if failed else f"passed: {told}"


def unlooked(inputs: Iterable[str], wrt: str) -> list[str]:
    """A note of the inputs that nothing is measured against, where there are some."""
    names = list(inputs)
    others = [name for name in names if name != wrt]
    if not others or len(names) == 1:
        return []
    shown = ", ".join(map(repr, others[:_OTHERS])) + f" and {len(others) - _OTHERS} more" * (len(others) > _OTHERS)
    of, it = ("inputs", "each") if len(others) > 1 else ("input", "it")
    return [f"not looked at: what is seen of {of} {shown}; lock {it} apart with --wrt {others[0]}"]


def _worded(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return agreed([_worded(part) for part in value])
    return "not known" if math.isnan(value) else number(value)
