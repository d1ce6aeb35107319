"""Rules: `NODE.figure OP value` as people type them, and the file that they are kept in; nothing is evaluated.

The grammar is this, where words are parted by spaces, comparisons, commas and parentheses:

    rule    = operand ("==" | "!=" | "<" | "<=" | ">" | ">=") value
    operand = [name "."] figure ["[" axis "]"]              # name: as it is, with * and ?, or in quotes
    value   = number | "inf" | "true" | "false" | "(" number ("," number)* ")" | operand ["*" number]
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from fastrf.errors import FormatError, UsageError, a_kind, did_you_mean, shown
from fastrf.system.files import check_nesting, parse_toml, read_text

__all__ = ["Anchoring", "Operand", "Rule", "Rules", "parsed", "read_rules"]

#: A rule is not longer, nor are there more.
MAX_RULE, MAX_RULES = 2000, 10_000
OPERATORS = ("==", "!=", "<=", ">=", "<", ">")
_TOKEN = re.compile(
    r"""\s*(?:(?P<op>==|!=|<=|>=|<|>)|(?P<mark>[(),])|(?P<quoted>"[^"]*"|'[^']*')|(?P<word>[^\s()<>=!,"']+)|(?P<bad>.))""",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_OPERAND = re.compile(r"(?:(?P<node>.+)\.)?(?P<figure>[A-Za-z_]\w*)(?:\[(?P<axis>[^\[\]]*)\])?", re.DOTALL | re.ASCII)
_FORM = "a rule is NODE.figure OP value, such as layer4.size >= 224"

Number = int | float


@dataclass(frozen=True)
class Operand:
    """A figure of a node, on one axis or on all; a `literal` name has no patterns in it."""

    node: str
    figure: str
    axis: int | None = None
    literal: bool = False

    @property
    def is_pattern(self) -> bool:
        """Whether the name may stand for several nodes."""
        return not self.literal and ("*" in self.node or "?" in self.node)


@dataclass(frozen=True)
class Rule:
    """What is to hold: `left op right`, an operand on the right times `factor`.

    `why` says what it is for; `file` and `line` where it stands.
    """

    text: str
    left: Operand
    op: str
    right: Operand | bool | Number | tuple[Number, ...]
    factor: Number = 1
    why: str = ""
    file: str = ""
    line: int = 0


class Anchoring(NamedTuple):
    """Anchors on levels and boxes in images, for the figures that speak of them; see `fastrf.anchors.report`."""

    levels: tuple[str, ...] = ()
    anchors: Any = None
    boxes: Any = None
    resize: str | None = None
    threshold: float = 4.0


class Rules(NamedTuple):
    """Rules, and the anchors and boxes that some of them ask for."""

    rules: tuple[Rule, ...] = ()
    anchoring: Anchoring = Anchoring()


# A rule ---------------------------------------------------------------------------------------------------------------


def parsed(text: str) -> Rule:
    """A rule from its text. Raises UsageError, which says what is wrong and what to write."""
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_RULE:
        raise UsageError(f"rule {str(text)[:60]!r} is not a text of 1 to {MAX_RULE} characters; {_FORM}")
    try:
        return _Parser(text).rule()
    except UsageError as error:
        raise UsageError(f"rule {shown(text.strip())[:200]!r}: {error}") from None


class _Parser:
    """The tokens of a rule, taken from the left."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [(str(found.lastgroup), found[found.lastgroup or 0]) for found in _TOKEN.finditer(text.rstrip())]
        bad = next((token for kind, token in self.tokens if kind == "bad"), None)
        if bad is not None:
            hint = "compare with == or !=" if bad in "=!" else "names with such characters stand in quotes"
            raise UsageError(f"{bad!r} cannot stand there; {hint}")

    def take(self, *kinds: str) -> str | None:
        """The next token where it is of one of some kinds."""
        if self.tokens and self.tokens[0][0] in kinds:
            return self.tokens.pop(0)[1]
        return None

    def rule(self) -> Rule:
        left = self.operand("nothing stands before the comparison")
        op = self.take("op")
        if op is None:
            raise UsageError(f"there is no comparison after {_name(left)!r}; {_FORM}")
        right = self.value()
        factor: Number = 1
        if isinstance(right, Operand) and self.tokens[:1] == [("word", "*")]:
            self.tokens.pop(0)
            factor = self.number(self.take("word") or "")
        if self.take("op"):
            raise UsageError("there are two comparisons; write two rules")
        if self.tokens:
            raise UsageError(f"{self.tokens[0][1]!r} is left over; {_FORM}")
        return Rule(self.text.strip(), left, op, right, factor)

    def operand(self, missing: str) -> Operand:
        """A figure of a node."""
        quoted, word = self.take("quoted"), self.take("word") or ""
        if quoted is None and not word:
            raise UsageError(f"{missing}; {_FORM}")
        found = _OPERAND.fullmatch(word if quoted is None else f"q{word}")
        if found is None or found["node"] is None:
            name = quoted or word
            if quoted is None and _is_number(word):
                raise UsageError(f"{name!r} is a number, and the figure stands first: layer4.size >= 224")
            if word.startswith("#"):
                raise UsageError("a rule has no comments; say in 'why' of a file what it is for")
            if word.startswith("."):
                raise UsageError(f"no node stands before {word!r}; {_FORM}")
            raise UsageError(f"{name!r} names no figure of a node; write one, such as {name}.size")
        node = found["node"] if quoted is None else quoted[1:-1]
        if quoted is not None and found["node"] != "q":
            raise UsageError(f"after {quoted} stands {word!r}; write a figure, such as {quoted}.size")
        return Operand(node, found["figure"], _axis(found["axis"]), quoted is not None)

    def value(self) -> Operand | bool | Number | tuple[Number, ...]:
        """What stands on the right."""
        if self.take("mark"):
            numbers, closed = [], False
            while not closed:
                numbers.append(self.number(self.take("word") or ""))
                mark = self.take("mark")
                if mark not in (",", ")"):
                    raise UsageError("a list of numbers such as (224, 224) is not closed")
                closed = mark == ")" or (self.tokens[:1] == [("mark", ")")] and bool(self.take("mark")))
            return tuple(numbers)
        kind, word = self.tokens[0] if self.tokens else ("", "")
        if kind == "word" and word.lower() in ("true", "false"):
            self.take("word")
            return word.lower() == "true"
        if kind == "word" and (_is_number(word) or "." not in word):
            self.take("word")
            return self.number(word)
        return self.operand("nothing stands after the comparison")

    def number(self, word: str) -> Number:
        """A finite number, or inf."""
        plain = word.lower().removeprefix("+")
        if plain in ("inf", "-inf"):
            return float(plain)
        if plain == "nan":
            raise UsageError("nothing compares with nan; a figure that is not known fails by itself")
        if not _is_number(word):
            told = f"{word!r} is no value" if word else "a number is missing"
            raise UsageError(f"{told}; write a number, inf, true, false, (224, 224), or a figure such as layer3.size")
        digits = word.replace("_", "")
        found = float(digits)
        if math.isinf(found):
            raise UsageError(f"{word[:40]!r} is beyond all numbers; write inf")
        return int(digits) if re.fullmatch(r"[+-]?\d+", digits) else found


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None


def _axis(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"-?\d{1,3}", text, re.ASCII):
        raise UsageError(f"[{text[:20]}] is no axis; write a number such as [0]")
    return int(text)


def _name(operand: Operand) -> str:
    return f"{operand.node}.{operand.figure}"


# Many rules -----------------------------------------------------------------------------------------------------------

_KEYS = ("rules", "anchors", "boxes")
_RULE = ("rule", "why")
_ANCHORS = ("anchors", "levels", "threshold")
_BOXES = ("file", "resize")


def read_rules(given: Any) -> Rules:
    """Rules from a text, several texts, a mapping as rules.toml has it, or the path of such a file.

    Raises UsageError for a rule that is none, FormatError for a file or mapping that cannot be read.
    """
    if isinstance(given, Rules):
        return given
    if isinstance(given, os.PathLike) or (isinstance(given, str) and given.endswith(".toml")):
        text = read_text(given, "file")
        return _of_mapping(parse_toml(text, given), os.fspath(given), text)
    if isinstance(given, Mapping):
        return _of_mapping(given, "", "")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Iterable):
        raise UsageError(f"rules are texts, a mapping or the path of a .toml file, not {a_kind(given)}")
    return Rules(tuple(one if isinstance(one, Rule) else parsed(one) for one in texts))


def _of_mapping(given: Mapping[str, Any], source: str, text: str) -> Rules:
    where = source or "rules"
    check_nesting(dict(given), where)
    _check_keys(given, _KEYS, where)
    told = given.get("rules", [])
    if not isinstance(told, list | tuple) or len(told) > MAX_RULES:
        raise FormatError(f"{where}: 'rules' must be a list of at most {MAX_RULES:,} rules")
    lines = text.splitlines()
    try:
        rules = tuple(_located(rule, source, lines) for rule in _rules(told, where))
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return Rules(rules, _anchoring(given, where, Path(source).parent))


def _rules(told: Sequence[Any], where: str) -> Iterator[Rule]:
    for one in told:
        if isinstance(one, Mapping):
            _check_keys(one, _RULE, f"{where}: rule")
            why = one.get("why", "")
            if not isinstance(why, str):
                raise FormatError(f"{where}: 'why' of a rule must be a text, not {a_kind(why)}")
            yield replace(parsed(one.get("rule", "")), why=shown(why)[:MAX_RULE])
        else:
            yield parsed(one)


def _located(rule: Rule, source: str, lines: Sequence[str]) -> Rule:
    """The rule with the line of the file in which it stands."""
    line = next((k for k, line in enumerate(lines, 1) if rule.text in line.replace('\\"', '"')), 0)
    return replace(rule, file=source, line=line) if source else rule


def _anchoring(given: Mapping[str, Any], where: str, folder: Path) -> Anchoring:
    anchors, boxes = given.get("anchors", {}), given.get("boxes", {})
    for name, table, keys in (("anchors", anchors, _ANCHORS), ("boxes", boxes, _BOXES)):
        if not isinstance(table, Mapping):
            raise FormatError(f"{where}: {name!r} must be a table, with {', '.join(keys)}")
        _check_keys(table, keys, f"{where}: {name}")
    levels = anchors.get("levels", ())
    if not isinstance(levels, list | tuple) or not all(isinstance(level, str) for level in levels):
        raise FormatError(f"{where}: 'levels' must be a list of the nodes that anchors stand on")
    threshold = anchors.get("threshold", 4.0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise FormatError(f"{where}: 'threshold' must be a number, not {a_kind(threshold)}")
    found = _near(anchors.get("anchors"), folder), _near(boxes.get("file"), folder)
    return Anchoring(tuple(levels), *found, boxes.get("resize"), float(threshold))


def _near(given: Any, folder: Path) -> Any:
    """A file beside the file of rules, where there is one of that name; otherwise what is given."""
    with contextlib.suppress(OSError, ValueError):  # of a text that is no name of a file
        if isinstance(given, str) and (folder / given).exists():
            return folder / given
    return given


def _check_keys(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        hint = did_you_mean(unknown, known, f"there are {', '.join(known)}")
        raise FormatError(f"{where}: unknown key {str(unknown)[:60]!r}; {hint}")
