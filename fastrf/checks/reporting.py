"""The outcomes of checks as CI systems read them: JUnit XML, annotations of GitHub, SARIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrf.checks.outcomes import Outcome, Outcomes
from fastrf.errors import shown
from fastrf.system import VERSION
from fastrf.system.tables import to_json

__all__ = ["github", "junit", "sarif"]

_URI = "https://github.com/fastrf/fastrf"
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
#: GitHub shows so many annotations of a step.
MAX_ANNOTATIONS = 10


def junit(result: Outcomes) -> str:
    """JUnit XML: a test case for each rule and lock file, with a line of its failure for each node."""
    from xml.etree import ElementTree as ET

    checks = result.checks
    failed = str(len({outcome.rule for outcome in result.failures}))
    counts = {"tests": str(len(checks)), "failures": failed, "errors": "0", "skipped": "0", "time": "0"}
    root = ET.Element("testsuites", {"name": "fastrf check", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": shown(result.model), **counts})
    for rule, outcomes in checks.items():
        where = {key: value for key, value in _where(outcomes[0]).items() if value}
        case = ET.SubElement(
            suite, "testcase", {"classname": "fastrf.check", "name": shown(rule), "time": "0", **where}
        )
        lines = [shown(outcome.message) for outcome in outcomes if not outcome.passed]
        if lines:
            failure = ET.SubElement(case, "failure", {"message": lines[0], "type": outcomes[0].kind})
            failure.text = "\n".join(lines)
    if result.notes:
        ET.SubElement(suite, "system-out").text = "\n".join(map(shown, result.notes))
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _where(outcome: Outcome) -> dict[str, str]:
    return {"file": shown(outcome.file), "line": str(outcome.line or "")}


def github(result: Outcomes) -> str:
    """Annotations of GitHub: errors, at least one for each check as far as GitHub shows them, and a notice at the end.

    https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
    """
    chosen, left = _chosen(result.failures)
    is_full = len(chosen) + len(left) > MAX_ANNOTATIONS  # then what is left of a check stands in its line
    lines = []
    for rule in dict.fromkeys(one.rule for one in chosen):
        own = [one for one in chosen if one.rule == rule]
        more = _more(own, left.get(rule, []))
        messages = [one.message for one in own]
        if more and is_full:
            messages[-1] += f"; {more}"
        lines += [_annotation("error", rule, text, one) for text, one in zip(messages, own, strict=True)]
        if more and not is_full:
            lines.append(_annotation("error", rule, more, left[rule][0]))
    others = [rule for rule in left if all(one.rule != rule for one in chosen)]
    if others:
        lines.append(_annotation("error", "fastrf check", f"{len(others)} more checks: {', '.join(others)}"))
    shape = ", ".join(f"{name} {'x'.join(map(str, sizes))}" for name, sizes in result.inputs.items())
    lines += [_annotation("notice", "fastrf check", f"{result.model}, {shape}: {result.verdict}")]
    return "\n".join(lines)


def _chosen(failures: Sequence[Outcome]) -> tuple[list[Outcome], dict[str, list[Outcome]]]:
    """The failures that have a line of their own, one of each check before others; and what is left, by check.

    Failures that follow from others are left. What is left of a check takes a line, too.
    """
    first: dict[str, int] = {}
    for k in sorted(range(len(failures)), key=lambda k: failures[k].kind == "inherited"):
        first.setdefault(failures[k].rule, k)
    firsts, taken = sorted(first.values()), {*first.values()}
    others = [k for k, one in enumerate(failures) if one.kind != "inherited" and k not in taken]
    if len(firsts) > MAX_ANNOTATIONS:
        firsts, others = firsts[: MAX_ANNOTATIONS - 1], []
    room = max(MAX_ANNOTATIONS - len(firsts), 0)
    for more in (*range(room, -1, -1), room):  # where there is no room for what is left, all is for failures
        chosen = {*firsts, *others[:more]}
        left: dict[str, list[Outcome]] = {}
        for k, one in enumerate(failures):
            if k not in chosen:
                left.setdefault(one.rule, []).append(one)
        if len(chosen) + len(left) <= MAX_ANNOTATIONS:
            break
    return [failures[k] for k in sorted(chosen)], left


def _more(own: Sequence[Outcome], left: Sequence[Outcome]) -> str:
    """What is left of a check, by name."""
    names = [name for name in dict.fromkeys(one.node for one in left) if all(one.node != name for one in own)]
    return f"{len(names)} more: {', '.join(names)}" if names else ""


def _annotation(level: str, title: str, message: str, outcome: Outcome | None = None) -> str:
    """A workflow command: in properties, colons and commas are escaped, too."""
    where = {} if outcome is None else _where(outcome)
    told = {**where, "title": shown(title)}
    properties = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in told.items() if value)
    return f"::{level} {properties}::{_escaped(shown(message)[:4000])}"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in text)


def sarif(result: Outcomes) -> str:
    """SARIF 2.1.0: a rule for each check, a result for each failure, at the line of the rule or of the lock's entry."""
    names = list(result.checks)
    rules = [{"id": _id(rule), "shortDescription": {"text": shown(rule)}, "helpUri": _URI} for rule in names]
    driver = {"name": "fastrf", "version": VERSION, "informationUri": _URI, "rules": rules}
    results = [_result(outcome, names) for outcome in result.failures]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return to_json({"$schema": _SARIF, "version": "2.1.0", "runs": [run]})


def _id(rule: str) -> str:
    return shown(rule)[:255]


def _result(outcome: Outcome, names: Sequence[str]) -> dict[str, Any]:
    name = shown(outcome.node)
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": name, "kind": "module"}]}
    if outcome.file:
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(outcome.file)}} | (
            {"region": {"startLine": outcome.line}} if outcome.line else {}
        )
    told = {"ruleId": _id(outcome.rule), "ruleIndex": names.index(outcome.rule), "level": "error"}
    # what stays the same from run to run, so that one alert is not told twice
    prints = {"fastrf/v1": f"{_id(outcome.rule)}/{name}"}
    return told | {"message": {"text": shown(outcome.message)}, "locations": [location], "partialFingerprints": prints}


def _uri(path: str) -> str:
    from pathlib import PurePath
    from urllib.parse import quote

    return quote(PurePath(shown(path)).as_posix())
