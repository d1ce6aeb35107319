"""What the standard says of an operator: the function that defines it, defaults, types of outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx

from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.constants import Constant, type_proto
from fastrf.frontends.onnx.registry import Call

__all__ = ["default_attributes", "dtype_of_output", "elements", "schema_of", "with_attributes", "written_out"]

DtypeOf = Callable[[Value | Constant], np.dtype[Any]]


def schema_of(call: Call) -> Any:
    """What the standard says of an operator in this version, or None."""
    return onnx.defs.get_schema(call.op, call.version, call.domain) if onnx.defs.has(call.op, call.domain) else None


def with_attributes(node: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """A node of a function's body with attributes of the call in the places that refer to them."""
    if not any(a.ref_attr_name for a in node.attribute):
        return node
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    del copied.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            copied.attribute.append(attribute)
        elif attribute.ref_attr_name in given:
            copied.attribute.append(given[attribute.ref_attr_name])
            copied.attribute[-1].name = attribute.name
    return copied


def written_out(call: Call, dtype_of: DtypeOf) -> onnx.FunctionProto | None:
    """The function that the standard defines an operator by, or None."""
    schema, body = schema_of(call), onnx.FunctionProto()
    if schema is None:
        return None
    if schema.has_context_dependent_function:
        tensors = (item if isinstance(item, Value | Constant) else None for item in call.inputs)
        types = [b"" if t is None else type_proto(dtype_of(t), t.full).SerializeToString() for t in tensors]
        given = call.node.SerializeToString(), types
        version = _newest(schema.context_dependent_function_opset_versions, call.version)
        body.ParseFromString(
            schema.get_context_dependent_function(*given)
            if version is None
            else schema.get_context_dependent_function_with_opset_version(version, *given)
        )
    elif schema.has_function:
        version = _newest(schema.function_opset_versions, call.version)
        if version is None:
            body.CopyFrom(schema.function_body)
        else:
            body.ParseFromString(schema.get_function_with_opset_version(version))
    return body if body.node else None


def _newest(versions: Iterable[int], limit: int) -> int | None:
    return max((v for v in versions if v <= limit), default=None)


def default_attributes(call: Call) -> list[onnx.AttributeProto]:
    """Attributes that the standard has defaults for."""
    schema = schema_of(call)
    listed = [] if schema is None else schema.attributes.values()
    return [a.default_value for a in listed if a.default_value.name]


def dtype_of_output(call: Call, k: int, dtype_of: DtypeOf) -> np.dtype[Any]:
    """The type of an output: as stated, that of the input with the same type, or single precision."""
    if call.op == "Cast" and call.get("to"):
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(call.get("to")))
    schema = schema_of(call)
    if schema is None:
        return np.dtype(np.float32)
    wanted = schema.outputs[min(k, len(schema.outputs) - 1)].type_str
    allowed = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == wanted), [wanted])
    number = allowed[0].removeprefix("tensor(").removesuffix(")").upper()
    if len(allowed) == 1 and number in onnx.TensorProto.DataType.keys():  # noqa: SIM118, it is no mapping
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(number)))
    for item, parameter in zip(call.inputs, schema.inputs, strict=False):
        if parameter.type_str == wanted and isinstance(item, Value | Constant):
            return dtype_of(item)
    return np.dtype(np.float32)


def elements(call: Call) -> list[int]:
    """The inputs of the type of the first output: what an operator moves, the others say where to."""
    schema = schema_of(call)
    types = [parameter.type_str for parameter in schema.inputs]
    return [k for k in range(len(call.inputs)) if types[min(k, len(types) - 1)] == schema.outputs[0].type_str]
