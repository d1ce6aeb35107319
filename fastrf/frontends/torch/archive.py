"""A `.pt2` file without whatever in it could run.

`torch.export.load` unpickles payloads, loads compiled libraries, evaluates expressions, imports what tree structures
name, and looks operators up by any dotted name. So it is never given a stranger's file: what a program needs is read
here, checked, and written anew into an archive in memory, which it then reads.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram

from fastrf.errors import FastRFError, FormatError
from fastrf.frontends.torch.exporting import first_line, functional, quiet
from fastrf.system.files import check_unpacked, opened

__all__ = ["load_file"]

#: Operators that packages of PyTorch's own define; those of others run their authors' code.
_OPERATOR = re.compile(r"torch\.ops\.(aten|prims|torchvision|quantized_decomposed)\.((?!__)\w+)\.((?!__)\w+)")
#: Operators on subgraphs, which are checked as the graph is.
_OVER_GRAPHS = frozenset(
    f"torch.ops.higher_order.{name}"
    for name in (
        *("cond", "while_loop", "scan", "associative_scan", "map_impl", "flex_attention"),
        *("wrap_with_set_grad_enabled", "wrap_with_autocast", "tag_activation_checkpoint"),
    )
)
#: Types of the structure of inputs and outputs that are rebuilt without importing anything.
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
#: Other texts are names, which stand in code that PyTorch makes of a program.
_NAME = re.compile(r"[\w.:/<>@+ -]{0,1000}")
#: Mappings whose keys are a program's own names.
_BY_NAME = ("tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values", "range_constraints")
_PICKLE = b"PK\x03\x04"
#: Kinds of members: programs, their tables of tensors, tensors as bytes, pickles of tensors, and sample inputs.
_PROGRAM = re.compile(r"(?:.+/)?models/[^/]+\.json|serialized_exported_program\.json")
_TABLE = re.compile(r".+/data/(?:weights|constants)/[^/]+_config\.json")
_TENSOR = re.compile(r".+/data/(?:weights/weight|constants/tensor)_\d+")
_PICKLED = re.compile(r".+/data/(?:weights|constants)/[^/]+\.pt|serialized_(?:state_dict|constants)\.pt")
_SAMPLE = re.compile(r".+/data/sample_inputs/[^/]+\.pt|serialized_example_inputs\.pt")
_MARKS = re.compile(r"(?:.+/)?(?:\.data/version|version|byteorder|\.format_version|archive_format|archive_version)")


def load_file(path: str | os.PathLike[str], trust: bool = False) -> ExportedProgram:
    """Read a `.pt2` file written by `torch.export.save`; nothing in it runs unless `trust` allows it.

    Raises FormatError, and LimitError for more than there is memory for.
    """
    content = path if trust else _without_code(path)
    try:
        with quiet():
            exported = functional(torch.export.load(content))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}; check the path") from error
    except Exception as error:
        raise FormatError(f"{path}: not a .pt2 file of torch.export ({first_line(error)})") from error
    return exported


def _without_code(path: str | os.PathLike[str]) -> io.BytesIO:
    """The archive with nothing in it that could run. Raises FormatError, which names what could, or LimitError."""
    clean = io.BytesIO()
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive, zipfile.ZipFile(clean, "w") as target:
                entries = {entry.filename: entry for entry in archive.infolist()}
                check_unpacked(sum(e.file_size for e in entries.values()), os.fstat(file.fileno()).st_size, path)
                for name, data in _members(archive, entries, str(path)):
                    target.writestr(name, data)
        except FastRFError:
            raise
        except Exception as error:  # a damaged archive can fail in any of its readers
            raise FormatError(f"{path}: not a .pt2 file of torch.export ({type(error).__name__}: {error})") from error
    clean.seek(0)
    return clean


def _members(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], path: str) -> Iterator[tuple[str, bytes]]:
    """What a program needs, checked; libraries, extra files and sample inputs are left out."""
    pickled: set[str] = set()
    for name in filter(_TABLE.fullmatch, entries):
        data = archive.read(name)
        pickled |= _checked_table(json.loads(data), name.rpartition("/")[0], entries, path)
        yield name, data
    for name in entries:
        if _PROGRAM.fullmatch(name):
            yield name, json.dumps(_checked(json.loads(archive.read(name)), path)).encode()
        elif _SAMPLE.fullmatch(name):
            yield name, b""
        elif _PICKLED.fullmatch(name) or name in pickled:
            yield name, _tensors(archive.read(name), name, path)
        elif _TENSOR.fullmatch(name) or _MARKS.fullmatch(name):
            yield name, archive.read(name)


def _refused(path: str, what: str) -> FormatError:
    return FormatError(
        f"{path}: {what} could run code when it is read; where you trust its origin, load it with trust=True (--trust)"
    )


# Tensors -----------------------------------------------------------------------------------------------------


def _checked_table(table: Any, folder: str, entries: dict[str, zipfile.ZipInfo], path: str) -> set[str]:
    """The members that a table of tensors says are pickled; raises where one is no tensor, or larger than its bytes."""
    pickled = set()
    for tensor, told in table["config"].items():
        _check_text(tensor, "tensor", path)
        member = f"{folder}/{told['path_name']}"
        if not _TENSOR.fullmatch(member):
            raise _refused(path, f"{tensor!r}, an object that is no tensor,")
        if told["use_pickle"]:
            pickled.add(member)
        elif not entries[member].file_size and math.prod(n["as_int"] for n in told["tensor_meta"]["sizes"]):
            raise FormatError(f"{path}: tensor {tensor!r} has a shape but no values; export it again")
    return pickled


def _tensors(data: bytes, name: str, path: str) -> bytes:
    """A pickle of tensors and containers of them, written anew."""
    if not data:
        return data
    try:
        if data[:4] != _PICKLE:
            raise ValueError("an old format")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_unpacked(sum(entry.file_size for entry in archive.infolist()), len(data), path)
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        for tensor in found if isinstance(found, dict) else ():
            _check_text(tensor, "tensor", path)
        return _saved(found)
    except FastRFError:
        raise
    except Exception as error:  # the unpickler refuses in many ways
        raise _refused(path, f"{name!r}, which holds more than tensors,") from error


def _saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


# Programs ----------------------------------------------------------------------------------------------------


def _checked(value: Any, path: str, key: str = "") -> Any:
    """A program's JSON, where every text is a name, an operator known to be safe, or a plain argument."""
    if isinstance(value, dict):
        for name in value:
            _check_text(name, "name", path)
        kept = value.items() if key in _BY_NAME else _kept(value, path)
        return {name: _checked(item, path, name) for name, item in kept}
    if isinstance(value, list):
        return [_checked(item, path, key) for item in value]
    if isinstance(value, str):
        _check_text(value, key, path)
    return value


def _kept(value: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Items of a mapping; of notes on origins only the modules, and no guards, which are code."""
    for name, item in value.items():
        if name == "metadata" and isinstance(item, dict):
            yield name, {"nn_module_stack": item["nn_module_stack"]} if "nn_module_stack" in item else {}
        elif name == "guards_code":
            yield name, []
        elif "expr_str" in name or name == "as_expr":
            raise FormatError(f"{path}: the program has sizes that are left open; export it with fixed sizes")
        elif item and any(word in name for word in ("custom_obj", "script_object", "opaque", "namedtuple")):
            raise _refused(path, f"{name!r}")
        elif name == "as_string":
            if not isinstance(item, str) or len(item) > 1000:
                raise FormatError(f"{path}: a text argument of a program is no text; export it again")
            yield name, None if item is None else _Argument(item)
        else:
            yield name, item


class _Argument(str):
    """A text that goes to an operator as it is."""

    __slots__ = ()


def _check_text(text: str, key: str, path: str) -> None:
    if isinstance(text, _Argument) or (key == "nn_module_stack" and len(text) < 1 << 16):
        return
    if key in ("target", "as_operator"):
        if not _is_safe(text):
            raise _refused(path, f"operator {text[:80]!r}")
    elif key in ("in_spec", "out_spec"):
        if not _is_plain_structure(json.loads(text)):
            raise _refused(path, f"the type of an input or output, {text[:80]!r},")
    elif not _NAME.fullmatch(text):
        raise _refused(path, f"{key} {text[:80]!r}")


def _is_safe(target: str) -> bool:
    """Whether a name is that of an operator which touches nothing but tensors."""
    if target in _OVER_GRAPHS:
        return True
    named = _OPERATOR.fullmatch(target)
    if named is None:
        return False
    space, name, overload = named.groups()
    try:
        found = getattr(getattr(getattr(torch.ops, space), name), overload)
    except (AttributeError, RuntimeError):
        return True  # unknown here, so that it cannot run
    if not isinstance(found, torch._ops.OpOverload):
        return False
    schema = found._schema
    kinds = [str(argument.type) for argument in (*schema.arguments, *schema.returns)]
    return "filename" not in [argument.name for argument in schema.arguments] and any("Tensor" in k for k in kinds)


def _is_plain_structure(tree: Any) -> bool:
    """Whether the structure of inputs or outputs is made of containers whose contexts are keys."""
    if isinstance(tree, list):
        return all(isinstance(part, int) or _is_plain_structure(part) for part in tree)
    if not isinstance(tree, dict) or not set(tree) <= {"type", "context", "children_spec"}:
        return False
    context = json.loads(tree.get("context") or "null")
    keys = context is None or (isinstance(context, list) and all(isinstance(key, str | int) for key in context))
    return tree.get("type") in _CONTAINERS and keys and _is_plain_structure(tree.get("children_spec", []))
