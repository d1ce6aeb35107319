"""check(): whether rules hold, and whether fields are what a lock file says they were."""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastrf.checks.figures import ANCHORS, NETWORK, Asked, Figure, Subject, figure_named, told
from fastrf.checks.outcomes import Outcome, unlooked
from fastrf.checks.results import CheckResult
from fastrf.checks.rules import Operand, Rule, read_rules
from fastrf.errors import FastRFError, UsageError, did_you_mean

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.checks.locks import Lock

__all__ = ["check"]

#: Numbers that agree to this are equal, where one is not whole.
_CLOSE = 1e-9


def check(analysis: Analysis, rules: Any = (), against: Lock | str | os.PathLike[str] | None = None) -> CheckResult:
    """Whether rules hold, and whether every module's field is what it was when it was locked.

    `rules` is a rule such as "layer4.size >= 224", several of them, the path of a rules.toml, or what stands in one
    (`docs/commands/check.md`). `against` is a Lock or the path of a lock file. What fails is in the result; raises
    UsageError for rules that cannot be read or ask for what a field has not, UnknownNodeError for names of no node, and
    FormatError for files.
    """
    given, outcomes, notes = read_rules(rules), list[Outcome](), list[str]()
    if not given.rules and against is None:
        raise UsageError("there is nothing to check; give rules, or a lock file to check against")
    asked = Asked(analysis, given.anchoring)
    for rule in given.rules:
        outcomes += _found(asked, rule)
    if against is not None:
        from fastrf.checks.keeping import kept

        more, notes = kept(analysis, against)
        outcomes += more
    inputs = {name: one.shape for name, one in analysis.network.inputs.items()}
    notes = [*unlooked(inputs, analysis.wrt), *notes]
    return CheckResult(analysis.network.name, inputs, analysis.wrt, tuple(outcomes), tuple(notes))


def _found(asked: Asked, rule: Rule) -> list[Outcome]:
    """A rule at every node that it speaks of; those of a pattern that pass as one. Raises UsageError and its like."""
    try:
        figure = figure_named(rule.left.figure)
        subjects = list(_subjects(asked, rule.left))
        bound = _bound(asked, rule)
        found = [_outcome(rule, subject, figure, bound) for subject in subjects]
    except FastRFError as error:
        raise type(error)(f"rule {rule.text[:200]!r}: {error}") from error
    if not rule.left.is_pattern or len(found) == 1:
        return found
    failed = [outcome for outcome in found if not outcome.passed]
    n = len(found) - len(failed)
    return [*failed, *([_of_rule(rule, rule.left.node, None, True, f"{n} node{'s' * (n > 1)}")] if n else [])]


def _of_rule(rule: Rule, node: str, value: Any, passed: bool, about: str = "") -> Outcome:
    return Outcome(rule.text, node, value, passed, about, rule.why, file=rule.file, line=rule.line)


def _subjects(asked: Asked, operand: Operand) -> Iterator[Subject]:
    """What an operand speaks of: a node of the name, the first output, the network, or the nodes of a pattern."""
    analysis, name = asked.analysis, operand.node
    is_node = name in analysis
    if operand.is_pattern and not is_node:
        yield from (Subject(asked, found, analysis[found]) for found in _matching(analysis, name))
    elif is_node or operand.literal or name not in ("output", NETWORK, ANCHORS):
        yield Subject(asked, name, analysis[name if is_node else asked.level(name)])
    else:
        yield Subject(asked, name, analysis.output if name == "output" else None)


def _matching(analysis: Analysis, pattern: str) -> list[str]:
    """Names of nodes and modules that fit a pattern, one for each node. Raises UsageError where none is."""
    fits = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    network, found = analysis.network, dict[str, str]()
    names = [*((name, name) for name in network.by_name if "~" not in name), *network.returns.items()]
    for name, node in names:
        if node in network.by_name and node in analysis and fits(name):
            found.setdefault(node, name)
    if not found:
        near = did_you_mean(
            pattern.replace("*", "").strip("."), [name for name, _ in names], "fastrf summary lists them"
        )
        raise UsageError(f"no node is like {pattern!r}; {near}")
    return list(found.values())


def _bound(asked: Asked, rule: Rule) -> Any:
    """What is compared with."""
    if not isinstance(rule.right, Operand):
        return rule.right
    if rule.right.is_pattern:
        raise UsageError(f"{rule.right.node!r} may be several nodes; compare with a figure of one")
    (subject,) = _subjects(asked, rule.right)
    value = told(subject, figure_named(rule.right.figure), rule.right.axis)
    if rule.factor == 1:
        return value
    if isinstance(value, bool) or (isinstance(value, tuple) and any(isinstance(one, bool) for one in value)):
        raise UsageError(f"{rule.right.figure} is true or false, and cannot be multiplied")
    return tuple(one * rule.factor for one in value) if isinstance(value, tuple) else value * rule.factor


def _outcome(rule: Rule, subject: Subject, figure: Figure, bound: Any) -> Outcome:
    value = told(subject, figure, rule.left.axis)
    axes = len(value) if isinstance(value, tuple) else 0
    if isinstance(bound, tuple) and len(bound) != axes and (axes or not isinstance(rule.right, Operand)):
        of = f"{axes} axes" if axes else "one value"
        raise UsageError(f"{figure.name} of {subject.name!r} has {of}, and is compared with {len(bound)}")
    n = axes or (len(bound) if isinstance(bound, tuple) else 1)
    values, bounds = (one if isinstance(one, tuple) else (one,) * n for one in (value, bound))
    _check_kinds(figure, rule.op, (*values, *bounds))
    unknown = any(isinstance(one, float) and math.isnan(one) for one in (*values, *bounds))
    node = subject.name if subject.name in (NETWORK, ANCHORS) else _labelled(subject)
    if unknown:
        return _of_rule(rule, node, value, False, f"not known{_reason(subject)}")
    held = [_holds(one, rule.op, other) for one, other in zip(values, bounds, strict=True)]
    whole = any(held) if rule.op == "!=" and isinstance(bound, tuple) else all(held)
    against = "" if not isinstance(rule.right, Operand) else f"compared with {Outcome('', '', bound, True).seen}"
    return _of_rule(rule, node, value, whole, against)


def _labelled(subject: Subject) -> str:
    name = subject.field.name
    return name if subject.name == name else f"{subject.name} = {name}"


def _reason(subject: Subject) -> str:
    told = [] if subject.name in (NETWORK, ANCHORS) else list(dict.fromkeys(filter(None, subject.field.irregular)))
    return f": {'; '.join(told)}" if told else ", as it is unbounded or nothing says it"


def _check_kinds(figure: Figure, op: str, values: Sequence[Any]) -> None:
    """Raise UsageError where truths meet numbers, or are put in order."""
    truths = {isinstance(value, bool) for value in values}
    if len(truths) > 1:
        raise UsageError(f"{figure.name} cannot be compared with that: one is true or false, the other a number")
    if truths == {True} and op not in ("==", "!="):
        raise UsageError(f"{figure.name} is true or false; compare it by == or !=")


def _holds(value: Any, op: str, bound: Any) -> bool:
    whole = all(isinstance(one, int) or math.isinf(one) for one in (value, bound))
    same = value == bound if whole else math.isclose(value, bound, rel_tol=_CLOSE, abs_tol=_CLOSE)
    if op in ("==", "!="):
        return same is (op == "==")
    return (same and "=" in op) or (not same and (value < bound if "<" in op else value > bound))
