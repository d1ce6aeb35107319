"""Lock files: what the fields of a network are today, module by module, to be compared with those of tomorrow.

An entry stands for what a module that calls no others returned, or for a node that runs outside of such; of a network
without modules, for every node. What a module is made of inside, which framework wrote it and what nodes are called
there is in no entry. Numbers that are not whole have ten digits, so that files of different machines agree.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastrf.checks.steps import NO_STEP, Step, steps
from fastrf.errors import FormatError, LimitError
from fastrf.network import MAX_AXIS, MAX_NAME, Network, Node, split_name, total
from fastrf.system import VERSION
from fastrf.system.files import StrPath, check_nesting, parse_json, read_text, whole_file

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.field import ReceptiveField

__all__ = ["SCHEMA", "Entry", "Lock", "begins_as_lock", "is_schema"]

SCHEMA = "fastrf/lock/1"
_FAMILY = SCHEMA.rpartition("/")[0] + "/"
#: How a lock file begins, whatever became of the rest; and a line of what a merge left.
_BEGINS = re.compile(r"\ufeff?\s*\{\s*\"schema\"\s*:\s*\"" + re.escape(_FAMILY))
_CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
#: Texts are not longer: sentences of what is taken for granted name nodes.
_MAX_TEXT = 4 * MAX_NAME

Number = float | None
Numbers = tuple[Number, ...]


@dataclass(frozen=True)
class Entry:
    """One module's field: per pixel axis its sizes, stride and start, `inf` where unbounded, None where not regular.

    `size_range` is `(smallest, largest)` over output phases; `digest` that of the exact relation, None where there is
    none (`ReceptiveField.digest`). `parameters` and `macs` are those of the module, None where they are not known;
    `module` is the module's class, empty for a node outside of modules. `reads` and `made` are its `steps.Step`, which
    tells a cause from what follows and is no part of what must stay: other versions may make the same otherwise.
    """

    shape: tuple[int, ...]
    size_range: tuple[tuple[Number, Number], ...]
    stride: Numbers
    start: Numbers
    digest: str | None
    exact: bool = True
    approximate_at: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()
    parameters: int | None = 0
    macs: int | None = 0
    module: str = ""
    reads: tuple[str, ...] = field(default=(), compare=False)
    made: str = field(default="", compare=False)

    @property
    def size(self) -> Numbers:
        """The largest size per pixel axis."""
        return tuple(high for _, high in self.size_range)

    @classmethod
    def of(cls, own: ReceptiveField, nodes: Sequence[Node] = (), module: str = "", step: Step = NO_STEP) -> Entry:
        """The entry of a field that some nodes cost."""
        try:
            digest = own.digest()
        except LimitError:
            digest = None
        told: dict[str, Any] = {key: tuple(map(_rounded, getattr(own, key))) for key in ("stride", "start")}
        told["size_range"] = tuple((_rounded(low), _rounded(high)) for low, high in own.size_range)
        told |= {key: total(getattr(node, key) for node in nodes) for key in ("parameters", "macs")}
        told |= {key: getattr(own, key) for key in ("shape", "exact", "approximate_at", "assumes")}
        return cls(digest=digest, module=module, **told, **step._asdict())


@dataclass(frozen=True)
class Lock:
    """The fields of a network: `entries` by module in the network's order, `outputs` the names of those that leave it.

    `inputs` holds shapes without the batch by name, `fastrf` the version that made it.
    """

    model: str
    inputs: Mapping[str, tuple[int, ...]]
    wrt: str
    outputs: tuple[str, ...]
    entries: Mapping[str, Entry]
    fastrf: str = VERSION
    schema: str = field(default=SCHEMA)

    @classmethod
    def of(cls, analysis: Analysis, model: str | None = None) -> Lock:
        """The lock of an analysis of all nodes; `model` is what it is called (default: the network's name)."""
        network, entries, keys = analysis.network, dict[str, Entry](), dict[str, str]()
        rows = list(_rows(network))
        step_of = steps(rows)
        for name, node, nodes in rows:
            module = network.classes.get(split_name(name)[0], "module") if name in network.returns else ""
            entries[name] = Entry.of(analysis[node], nodes, module, step_of[name])
            keys.setdefault(node, name)
        for output in network.outputs:
            if output not in keys:
                keys[output] = output
                entries[output] = Entry.of(analysis[output])
        outputs = tuple(keys[output] for output in network.outputs)
        model = network.name if model is None else model
        return cls(model, cls.inputs_of(analysis), analysis.wrt, outputs, entries)

    @staticmethod
    def inputs_of(analysis: Analysis) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs by name."""
        return {name: given.shape for name, given in analysis.network.inputs.items()}

    @classmethod
    def read(cls, path: StrPath) -> Lock:
        """What `save` wrote. Raises FormatError, and LimitError for more than `fastrf.limits.file`."""
        return cls.parse(read_text(path, "file"), path)

    @classmethod
    def parse(cls, text: str, source: object = "lock file") -> Lock:
        """The lock in a text; `source` is what errors call it. Raises FormatError."""
        try:
            given = parse_json(text, source, once=True)
        except FormatError as error:
            if not begins_as_lock(text):
                raise
            told = f"{source}: holds a merge conflict" if _CONFLICT.search(text) else str(error)
            raise FormatError(f"{told}; {_REMEDY}") from None
        check_nesting(given, f"{source}")
        try:
            return _lock(given)
        except (FormatError, LookupError, TypeError, ValueError, OverflowError) as error:
            said = f"key {error} is missing" if isinstance(error, KeyError) else error
            is_lock = isinstance(given, dict) and is_schema(given.get("schema"))
            remedy = _REMEDY if is_lock else "give a file that fastrf check MODEL --against FILE --update wrote"
            raise FormatError(f"{source}: no lock file that can be read: {said}; {remedy}") from None

    def to_text(self) -> str:
        """As the file has it: JSON with a line for each entry, the same bytes for equal locks."""
        head = {"schema": self.schema, "fastrf": self.fastrf, "model": self.model, "inputs": self.inputs}
        told = {**head, "wrt": self.wrt, "outputs": self.outputs}
        lines = [f" {_line(key)}: {_line(value)},\n" for key, value in told.items()]
        rows = ",\n".join(f"  {_line(name)}: {_line(_plain(entry))}" for name, entry in self.entries.items())
        return "".join(["{\n", *lines, ' "entries": {\n', rows, "\n }\n}\n"])

    def save(self, path: StrPath) -> None:
        """Write the file, whole or not at all. Raises FormatError where it cannot be written."""
        with whole_file(path) as file:
            file.write(self.to_text().encode())


def begins_as_lock(text: str) -> bool:
    """Whether a text is a lock file, or what is left of one."""
    return _BEGINS.match(text) is not None


def is_schema(schema: object) -> bool:
    """Whether a schema is that of lock files, of any version."""
    return isinstance(schema, str) and schema.startswith(_FAMILY)


#: No network reads inputs of more elements.
_MOST_ELEMENTS = 1 << 48
_REMEDY = "write it anew with fastrf check MODEL --against FILE --update"


# What has an entry ----------------------------------------------------------------------------------------------------


def _rows(network: Network) -> Iterator[tuple[str, str, list[Node]]]:
    """Names of entries, the nodes that they tell of, and those that cost them, in the network's order."""
    calling = {split_name(name)[0] for node in network.nodes for name in node.scope[:-1]}
    inner: dict[str, list[Node]] = {}
    for node in network.nodes:
        within = node.scope[-1] if node.scope else ""
        inner.setdefault(within if split_name(within)[0] not in calling else "", []).append(node)
    inner.pop("", None)
    results = {call: results for call in inner if (results := _results(network, call, inner[call]))}
    last = {nodes[-1].name: call for call, nodes in inner.items() if call in results}
    inside = {node.name for call in results for node in inner[call]}
    names, parts = _returning(network), list[Node]()
    for node in network.nodes:
        if node.name in last:
            call = last[node.name]
            for k, (name, found) in enumerate(results[call].items()):
                yield name, found, [] if k else inner[call]
        elif node.name not in inside:
            parts.append(node)
            if "~" not in node.name:  # what else an operator is made of is told with it
                yield names.get(node.name, node.name), node.name, parts
                parts = []


def _results(network: Network, call: str, nodes: Iterable[Node]) -> dict[str, str]:
    """What a call of a module returned of its own nodes, by name."""
    module, number, _ = split_name(call)
    own, found, calls = {node.name for node in nodes}, dict[str, str](), network.returned.get(module, {})
    told = f"{module}@{number or 0}" if len(calls) > 1 else module
    for item, node in calls.get(number or 0, {}).items():
        if node in own and node not in found.values():
            found[f"{told}{item}"] = node
    return found


def _returning(network: Network) -> dict[str, str]:
    """By node, the innermost module that returns it."""
    found: dict[str, str] = {}
    for name, node in network.returns.items():
        scope = network.by_name[node].scope if node in network.by_name else ()
        if any(split_name(inner)[0] == split_name(name)[0] for inner in scope):
            found[node] = max(found.get(node, ""), name, key=len)
    return found


# Texts ----------------------------------------------------------------------------------------------------------------


def _rounded(value: float) -> Number:
    """A whole number where it is one, otherwise ten digits; None where it is not a number."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return value
    return int(value) if float(value).is_integer() else float(f"{value:.10g}")


def _line(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _plain(entry: Entry) -> dict[str, Any]:
    """An entry as the file has it, without what goes without saying."""
    sizes = [_told(high) if low == high else [_told(low), _told(high)] for low, high in entry.size_range]
    told: dict[str, Any] = {"module": entry.module} if entry.module else {}
    told |= {"shape": entry.shape, "size": sizes, "stride": [*map(_told, entry.stride)]}
    told |= {"start": [*map(_told, entry.start)], "digest": entry.digest, "exact": entry.exact}
    told |= {key: getattr(entry, key) for key in ("approximate_at", "assumes", "reads", "made") if getattr(entry, key)}
    return told | {"parameters": entry.parameters, "macs": entry.macs}


def _told(value: Number) -> float | str | None:
    """A number as JSON has it: "inf" is a text."""
    return str(value) if value is not None and math.isinf(value) else value


def _lock(given: Any) -> Lock:
    """The lock that a mapping describes. Raises FormatError, KeyError, TypeError or ValueError where it does not."""
    if not isinstance(given, dict) or not isinstance(given.get("schema"), str):
        raise FormatError(f"it has no schema {SCHEMA!r}")
    if given["schema"] != SCHEMA:
        raise FormatError(f"it has schema {given['schema'][:40]!r}, this version of fastrf reads {SCHEMA!r}")
    inputs = {_name(name): _shape(shape) for name, shape in _mapping(given["inputs"], "inputs").items()}
    for name, shape in inputs.items():
        if math.prod(shape) > _MOST_ELEMENTS or not (shape or len(inputs) > 1):
            raise ValueError(f"input {name!r} has shape {list(shape)}, which no network reads")
    entries = {_name(name): _entry(name, entry) for name, entry in _mapping(given["entries"], "entries").items()}
    outputs = _texts(given["outputs"])
    unknown = [name for name in outputs if name not in entries]
    if unknown:
        raise FormatError(f"output {unknown[0][:60]!r} is no entry")
    known = {*inputs, *entries}
    for name, entry in entries.items():
        for read in entry.reads:
            if read == name or read not in known:
                told = "itself" if read == name else f"{read[:60]!r}, which is no entry and no input"
                raise FormatError(f"entry {name[:60]!r}: reads {told}")
    return Lock(_name(given["model"]), inputs, _name(given["wrt"]), outputs, entries, _name(given["fastrf"]))


def _entry(name: str, given: Any) -> Entry:
    try:
        told = _mapping(given, "it")
        sizes = tuple(_range(size) for size in _list(told["size"]))
        stride, start = (tuple(map(_number, _list(told[key]))) for key in ("stride", "start"))
        if not len(sizes) == len(stride) == len(start):
            raise ValueError("sizes, strides and starts are of different numbers of axes")
        digest, exact = told["digest"], told["exact"]
        if digest is not None and not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{16}", digest)):
            raise ValueError(f"digest {str(digest)[:40]!r} is not 16 hexadecimal digits")
        if not isinstance(exact, bool):
            raise TypeError(f"exact {str(exact)[:40]!r} is neither true nor false")
        notes: dict[str, Any] = {key: _texts(told.get(key, [])) for key in ("approximate_at", "assumes", "reads")}
        notes |= {key: _count(told[key]) for key in ("parameters", "macs")}
        notes |= {key: _name(told[key]) for key in ("module", "made") if key in told}
        return Entry(_shape(told["shape"]), sizes, stride, start, digest, exact, **notes)
    except KeyError as error:
        raise FormatError(f"entry {name[:60]!r}: key {error} is missing") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"entry {name[:60]!r}: {error}") from None


def _mapping(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise TypeError(f"{what} {str(given)[:40]!r} is not an object")
    return given


def _list(given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise TypeError(f"{str(given)[:40]!r} is not a list")
    return given


def _name(given: Any) -> str:
    if not isinstance(given, str) or not given or len(given) > _MAX_TEXT or not given.isprintable():
        raise ValueError(f"{str(given)[:60]!r} is not a printable text of 1 to {_MAX_TEXT} characters")
    return given


def _texts(given: Any) -> tuple[str, ...]:
    return tuple(map(_name, _list(given)))


def _shape(given: Any) -> tuple[int, ...]:
    sizes = _list(given)
    if not all(type(n) is int and 0 <= n <= MAX_AXIS for n in sizes):
        raise ValueError(f"{str(given)[:60]!r} is not a shape")
    return tuple(sizes)


def _count(given: Any) -> int | None:
    if given is not None and (type(given) is not int or given < 0):
        raise ValueError(f"{str(given)[:40]!r} is no count")
    return given


def _number(given: Any) -> Number:
    if given in ("inf", "-inf"):
        return float(given)
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float)):
        raise TypeError(f"{str(given)[:40]!r} is not a number")
    if given is not None and not math.isfinite(given):
        raise ValueError(f"{given} is no number of JSON")
    return given


def _range(given: Any) -> tuple[Number, Number]:
    low, high = map(_number, given if isinstance(given, list) else (given, given))
    if min(low or 0, high or 0) < 0 or (low is not None and high is not None and low > high):
        raise ValueError(f"{str(given)[:40]!r} is no size, nor a smallest and a largest")
    return low, high
