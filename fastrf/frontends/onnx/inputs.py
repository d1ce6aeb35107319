"""The inputs of a model: their shapes, solved together, and the values of those that are no inputs but controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from fastrf.errors import FormatError, ShapeError
from fastrf.frontends.lowering import MAX_RANK
from fastrf.frontends.onnx.constants import Constant, holding
from fastrf.frontends.onnx.nodes import printable
from fastrf.network import MAX_AXIS

__all__ = ["control", "declared", "dtype_of_input", "fits", "solved", "stated"]

Entry = onnx.ValueInfoProto
#: Sizes as the file has them: a number, the name of an open one, or None for one that has no name.
Sizes = list[int | str | None]


def declared(entry: Entry) -> Sizes | None:
    """Sizes in the file; None where it states no shape."""
    tensor = _tensor_type(entry)
    if not tensor.HasField("shape"):
        return None
    sizes = [
        d.dim_value if d.HasField("dim_value") else printable(d.dim_param) if _names(d.dim_param) else None
        for d in tensor.shape.dim
    ]
    return [None if isinstance(n, int) and n < 0 else n for n in sizes]


def stated(model: onnx.ModelProto) -> dict[str, Sizes]:
    """What a file says of the shapes of its inputs, with the batch."""
    return {printable(entry.name): sizes for entry in model.graph.input if (sizes := declared(entry)) is not None}


def _names(text: str) -> bool:
    """Whether a size has a name, and not a sign such as "?" that says no more than that it is open."""
    return any(c.isalpha() for c in text)


def dtype_of_input(entry: Entry) -> np.dtype[Any]:
    """The type of an input's elements; single precision where it is unknown."""
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(_tensor_type(entry).elem_type))
    except (KeyError, ValueError, TypeError):
        return np.dtype(np.float32)


def _tensor_type(entry: Entry) -> Any:
    """The type of an input, an optional one being there."""
    kind, found = entry.type.WhichOneof("value"), entry.type
    if kind == "optional_type":
        found = entry.type.optional_type.elem_type
        kind = found.WhichOneof("value")
    if kind not in ("tensor_type", None):
        raise FormatError(f"input {printable(entry.name)!r} is a {str(kind).removesuffix('_type')}, not a tensor")
    return found.tensor_type


def control(entry: Entry, value: Any) -> Constant:
    """An input whose value is given. Raises ShapeError where it does not fit."""
    shown, sizes = printable(entry.name), declared(entry)
    try:
        given = np.asarray(value)
        with np.errstate(invalid="ignore"):
            array = given.astype(dtype_of_input(entry))
    except (ValueError, TypeError, OverflowError) as error:
        raise ShapeError(f"the value of input {shown!r} is no number or table: {str(value)[:60]!r}") from error
    if array.dtype.kind in "iub" and not np.array_equal(array.astype(given.dtype), given):
        raise ShapeError(f"the value of input {shown!r} is {str(value)[:60]}, but its elements are {array.dtype}")
    if sizes is not None and array.ndim == 0 and all(n in (1, None) or isinstance(n, str) for n in sizes):
        array = array.reshape((1,) * len(sizes))
    if not fits(sizes, array.shape):
        raise ShapeError(f"the value of input {shown!r} has shape {array.shape}, but the file says ({_text(sizes)})")
    return holding(array)


def fits(sizes: Sizes | None, shape: Sequence[int]) -> bool:
    """Whether a shape is what the file says, where it says something."""
    if sizes is None:
        return True
    return len(sizes) == len(shape) and all(not isinstance(n, int) or n == m for n, m in zip(sizes, shape, strict=True))


def solved(
    entries: Sequence[Entry], wanted: Any, controls: Mapping[str, Constant]
) -> tuple[list[tuple[int, ...]], dict[str, int]]:
    """The shapes of inputs with their batch, as declared or as wanted, and what open names stand for.

    `controls` are inputs whose value is given. A size of one name is the same in all inputs. An open batch is 1 where
    nothing else is said. Raises ShapeError that asks for all that is open.
    """
    given = _by_name(entries, wanted, controls)
    found = [_given(entry, given.get(entry.name)) for entry in entries]
    names = _said(entries, found)
    for entry in entries:
        names |= {n: 1 for n in (declared(entry) or [])[:1] if isinstance(n, str) and n not in names}
    full = [None if sizes is None else [names.get(n, n) if isinstance(n, str) else n for n in sizes] for sizes in found]
    full = [[1, *sizes[1:]] if sizes and sizes[0] is None else sizes for sizes in full]
    if not all(map(_is_settled, full)):
        raise _unsolved(entries, full)
    return [_checked(printable(entry.name), sizes or []) for entry, sizes in zip(entries, full, strict=True)], names


def _is_settled(sizes: Sizes | None) -> bool:
    return sizes is not None and all(isinstance(n, int) for n in sizes)


def _by_name(entries: Sequence[Entry], wanted: Any, controls: Mapping[str, Constant]) -> dict[str, Any]:
    """Wanted shapes by input; one shape alone is the first input's."""
    names = [entry.name for entry in entries]
    if not isinstance(wanted, Mapping):
        return {} if wanted is None else {names[0]: wanted}
    unknown = [name for name in wanted if name not in names and name not in controls]
    if unknown:
        shown = ", ".join(map(printable, names))
        raise ShapeError(f"input {printable(str(unknown[0]))!r} is not in the model; its inputs are {shown}")
    return dict(wanted)


def _given(entry: Entry, wanted: Any) -> Sizes | None:
    """What is said of the shape of one input: sizes, or names of open ones."""
    sizes, shown = declared(entry), printable(entry.name)
    wanted = getattr(wanted, "shape", wanted)
    if wanted is None:
        return sizes
    if not isinstance(wanted, Sequence) or isinstance(wanted, str):
        raise ShapeError(f"input_shape of {shown!r} must be a list of sizes, not {str(wanted)[:60]!r}")
    given = list(wanted)
    if sizes is None:
        return given if given[:1] == [1] and len(given) > 2 else [1, *given]
    if len(given) == len(sizes):
        return given
    if len(given) == len(sizes) - 1:
        return [sizes[0], *given]
    raise ShapeError(
        f"input {shown!r} has {len(sizes)} axes with the batch, but the shape given has {len(given)}: {tuple(given)}"
    )


def _said(entries: Sequence[Entry], found: Sequence[Sizes | None]) -> dict[str, int]:
    """Sizes of open names. Raises ShapeError where two inputs differ."""
    said: dict[str, tuple[int, str]] = {}
    for entry, shape in zip(entries, found, strict=True):
        for name, n in zip(declared(entry) or [], shape or [], strict=False):
            if not isinstance(name, str) or not isinstance(n, int):
                continue
            before, where = said.setdefault(name, (n, entry.name))
            if before != n:
                inputs = f"{before} in input {printable(where)!r} and {n} in input {printable(entry.name)!r}"
                raise ShapeError(f"the size {name!r} is {inputs}; give every input the same")
    return {name: n for name, (n, _) in said.items()}


def _text(sizes: Sizes | None) -> str:
    return "no shape" if sizes is None else ", ".join("?" if n is None else str(n) for n in sizes)


def _unsolved(entries: Sequence[Entry], full: Sequence[Sizes | None]) -> ShapeError:
    """The error that asks for all sizes that are open, those that are settled filled in."""
    asked, examples, shapes = [], [], []
    for entry, sizes in zip(entries, full, strict=True):
        if _is_settled(sizes):
            continue
        shown = printable(entry.name)
        stated = "has no shape in the file" if sizes is None else f"has shape ({_text(declared(entry))})"
        asked.append(f"input {shown!r} {stated}")
        example = [1, 3, 640, 640] if sizes is None else [n if isinstance(n, int) else 640 for n in sizes]
        examples.append(f"--input {shown}={'x'.join(map(str, example))}")
        shapes.append(f"{shown!r}: ...")
    return ShapeError(
        f"{' and '.join(asked)}, which leaves sizes open; give {' '.join(examples)} or "
        f"input_shape={{{', '.join(shapes)}}}"
    )


def _checked(name: str, sizes: Sequence[Any]) -> tuple[int, ...]:
    if not all(type(n) is int and 0 < n <= MAX_AXIS for n in sizes):
        raise ShapeError(f"input {name!r} has sizes {tuple(sizes)}; sizes are 1 to {MAX_AXIS}")
    if len(sizes) > MAX_RANK:
        raise ShapeError(f"input {name!r} has {len(sizes)} axes, more than {MAX_RANK}")
    if math.prod(sizes) > 1 << 62:
        raise ShapeError(f"input {name!r} of shape {tuple(sizes)} has more elements than can be counted")
    return tuple(sizes)
