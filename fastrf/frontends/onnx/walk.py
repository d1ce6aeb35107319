"""The graph, node by node: nodes that the input reaches are lowered by rules, the others are evaluated where small."""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from fastrf.budget import limits
from fastrf.errors import FastRFError, FormatError, LimitError, UnsupportedOpError
from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.constants import MAX_FOLDED, Constant, evaluate, from_tensor, type_proto
from fastrf.frontends.onnx.known import loses, of_weights, with_added, with_zeros, zeros_are_missed
from fastrf.frontends.onnx.nodes import bodies, in_order, printable, reads, shown
from fastrf.frontends.onnx.registry import RULES, Call, Item, Scope, Walk
from fastrf.frontends.onnx.schemas import default_attributes, dtype_of_output, schema_of, with_attributes, written_out
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.frontends.own import by_rule
from fastrf.ops.rules import rule_of

__all__ = ["ModelWalk", "modules_of"]


def _weight_of(item: Item) -> int:
    """Bytes that the numbers of a tensor take."""
    tables = [item.known, item.added] if isinstance(item, Value) else []
    tables = [item.values] if isinstance(item, Constant) else tables
    return sum(table.nbytes for table in tables if table is not None)


class ModelWalk(Walk):
    """The state of lowering one model: it runs bodies node by node."""

    def __init__(self, model: onnx.ModelProto, options: Options = DEFAULTS) -> None:
        super().__init__(options)
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.functions = {(f.domain, f.name): f for f in model.functions}
        self.stores_weights = any(
            len(tensor.dims) > 1 and tensor.data_type in _FLOATS for tensor in model.graph.initializer
        )
        self._steps = 0
        self._held = 0
        self._counts: dict[tuple[str, str], int] = {}
        self._sizes: dict[str, int] = {}
        self._infos: dict[str, onnx.ValueInfoProto] = {}

    # Bodies ----------------------------------------------------------------------------------------------

    def run(
        self,
        nodes: Sequence[onnx.NodeProto],
        scope: Scope,
        opsets: Mapping[str, int] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Lower or evaluate all nodes of a body; of a `whole` graph, numbers that no other node reads are let go."""
        limits.require("nested", scope.depth, f"bodies {scope.depth} deep", "does a function call itself?")
        if scope.depth == 0:
            self.expect(1, nodes)
        readers = collections.Counter(name for node in nodes for name in reads(node)) if whole else None
        for node in in_order(nodes, scope):
            self._steps += 1
            self._check_steps(max(self._steps // 2, len(self.layers)))
            call = self._call(node, scope, opsets or self.opsets)
            results = self._results(call)
            for name, item in zip(node.output, results, strict=False):
                if name:
                    scope[name] = item
                    self._hold(_weight_of(item))
            if readers is not None:
                self._release(node, scope, readers)

    def expect(self, times: int, nodes: Sequence[onnx.NodeProto]) -> None:
        """Raise LimitError where running a body so often, in the loops around it, takes too many steps."""
        self._check_steps(self.times * times * self._count(nodes, 0) // 2)

    @staticmethod
    def _check_steps(n: int) -> None:
        """Raise LimitError for more layers, or twice as many nodes with those that make constants, than allowed."""
        limits.require("layers", n, f"{n} layers or more once loops and functions are written out")

    def _count(self, nodes: Sequence[onnx.NodeProto], depth: int) -> int:
        """How many nodes these are with their bodies and functions written out; loops count once."""
        if depth > limits.nested:
            return 0
        total = len(nodes)
        for node in nodes:
            total += sum(self._count(body.node, depth + 1) for body in bodies(node))
            key = (node.domain, node.op_type)
            if key in self.functions:
                if key not in self._counts:
                    self._counts[key] = 0  # one that calls itself is found by its depth
                    self._counts[key] = self._count(self.functions[key].node, depth + 1)
                total += self._counts[key]
        return total

    def _hold(self, size: int) -> None:
        """Note memory that constants take. Raises LimitError where it is too much."""
        self._held += size
        limits.require(
            "constants", self._held, f"constants of {self._held} bytes at a time", "use a smaller input_shape"
        )

    def _release(self, node: onnx.NodeProto, scope: Scope, readers: collections.Counter[str]) -> None:
        """Forget the numbers of tensors that no other node reads."""
        for name in reads(node):
            readers[name] -= 1
            item = scope[name] if not readers[name] and name in scope else None
            if isinstance(item, Value) and (item.known is not None or item.added is not None):
                scope[name] = replace(item, known=None, added=None)
            elif isinstance(item, Constant) and item.values is not None:
                scope[name] = replace(item, values=None)
            self._held -= _weight_of(item)

    def body(self, graph: onnx.GraphProto, outer: Scope, inputs: Sequence[Item]) -> list[Item]:
        """The outputs of a subgraph."""
        scope = outer.inner()
        self.initialize(graph, scope)
        for given, item in zip(graph.input, inputs, strict=True):
            scope[given.name] = item
        self.run(graph.node, scope)
        return [_found(scope, output.name) for output in graph.output]

    def function(self, body: onnx.FunctionProto, call: Call, opsets: Mapping[str, int] | None = None) -> list[Item]:
        """The outputs of a function's body; versions of operators that it does not state are `opsets`."""
        scope = Scope()
        scope.depth = call.scope.depth + 1
        for name, item in zip(body.input, [*call.inputs, *[None] * len(body.input)], strict=False):
            scope[name] = item
        own = {**self.opsets, **(opsets or {}), **{entry.domain: entry.version for entry in body.opset_import}}
        given = {a.name: a for a in (*default_attributes(call), *body.attribute_proto, *call.node.attribute)}
        nodes = [with_attributes(node, given) for node in body.node]
        self.run(nodes, scope, own)
        wanted = [k < len(call.node.output) and bool(call.node.output[k]) for k in range(len(body.output))]
        return [_found(scope, name) if want else None for name, want in zip(body.output, wanted, strict=True)]

    def initialize(self, graph: onnx.GraphProto, scope: Scope) -> None:
        """Stored tensors."""
        for tensor in graph.initializer:
            scope[tensor.name] = from_tensor(tensor, weight=True)
        for sparse in graph.sparse_initializer:
            dims = tuple(sparse.dims)
            scope[sparse.values.name] = Constant(dims, from_tensor(sparse.values, weight=True).dtype, None, weight=True)

    # One node --------------------------------------------------------------------------------------------

    def _call(self, node: onnx.NodeProto, scope: Scope, opsets: Mapping[str, int]) -> Call:
        domain = "" if node.domain == "ai.onnx" else node.domain
        inputs = tuple(_found(scope, name) if name else None for name in node.input)
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        version = opsets.get(node.domain, opsets.get("ai.onnx", opsets.get("", 0)))
        return Call(node, node.op_type, domain, version, inputs, attributes, scope)

    def _results(self, call: Call) -> Sequence[Item]:
        """Outputs; those without a rule are over-approximated, or tensors that nothing is known of, where asked for."""
        name = shown(call.node)
        self.begin(name, modules_of(call.node))
        try:
            try:
                return self._lowered(call)
            except UnsupportedOpError:
                if not self.options.full:
                    raise
                if call.dynamic():
                    return self._all_finished(call, self.opaque(call))
                return [replace(result, weight=True) for result in self.inferred(call, needed=True)]
        except FastRFError as error:
            if str(error).startswith(("node ", "model ")):
                raise
            raise type(error)(f"node {name!r}: {error}") from error
        except RecursionError as error:
            raise LimitError(f"node {name!r}: bodies nested too deep") from error
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            raise FormatError(
                f"node {name!r} ({printable(call.op)}): it does not fit its inputs "
                f"({type(error).__name__}: {reason}); check the model with onnx.checker"
            ) from error

    def _lowered(self, call: Call) -> Sequence[Item]:
        own = rule_of(f"{call.domain or 'ai.onnx'}::{call.op}")
        if own is not None and call.dynamic():
            stated = [self._stated(name) for name in call.node.output]
            fulls = [None if constant is None else constant.full for constant in stated]
            return self._all_finished(call, by_rule(self, own, call.arguments(), fulls)[0])
        body = self.functions.get((call.node.domain, call.op))
        if body is not None:
            return self.function(body, call)
        found = RULES.get((call.domain, call.op))
        if found is None or not (call.dynamic() or _touches(call)):
            folded = self._folded(call)
            if folded is not None:
                return folded
        if found is None:
            written = written_out(call, self.dtype_of)
            if written is None:
                name = f"{call.domain}.{call.op}" if call.domain else call.op
                raise self.no_rule(f"{printable(name)} (opset {call.version})")
            return self.function(written, call, {call.domain: call.version})
        start = len(self.layers)
        results = found(self, call)
        results = with_zeros(self, call, results if isinstance(results, list) else [results], start)
        if zeros_are_missed(call):
            results = [partial(self._bounded, result) for result in results]
        return self._all_finished(call, results)

    def _bounded(self, item: Any) -> Any:
        """A result as one of which only a superset of what it reads is known."""
        item = item() if callable(item) else item
        return self.loosened(item) if isinstance(item, Value) else item

    def _all_finished(self, call: Call, items: Sequence[Any]) -> list[Item]:
        """Results with the names of their outputs; one that stands twice is made once."""
        done: dict[int, Item] = {}
        renamed: dict[str, str] = {}
        results: list[Item] = []
        for k, item in enumerate(items):
            named = k < len(call.node.output) and bool(call.node.output[k])
            if named and id(item) not in done:
                done[id(item)] = self._finished(call, k, item, renamed)
            results.append(done[id(item)] if named else None)
        return results

    def _finished(self, call: Call, k: int, item: Any, renamed: dict[str, str]) -> Item:
        if k and any(call.node.output[:k]):
            self.begin(printable(call.node.output[k]), self.scope)
        item = item() if callable(item) else item
        if not isinstance(item, Value):
            return item  # type: ignore[no-any-return]
        item = replace(item, name=renamed.get(item.name, item.name))
        last = len(self.layers) - 1
        done = self.finish(item, item.full)
        if last >= 0 and self.layers[last]["name"] == done.name:  # another output may read the same layer
            renamed[item.name] = done.name
        self.dtypes[done.name] = dtype_of_output(call, k, self.dtype_of)
        return with_added(self, call, done) if k == 0 else done

    # Constants -------------------------------------------------------------------------------------------

    def _folded(self, call: Call) -> list[Item] | None:
        """The outputs of a node whose inputs are all constants; None for what is no plain operator on tensors."""
        if call.dynamic() or any(isinstance(item, list) for item in call.inputs) or any(bodies(call.node)):
            return None
        if schema_of(call) is None:
            return None
        constants = [item for item in call.inputs if isinstance(item, Constant)]
        weight = any(item.weight for item in constants)
        given = all(item.values is not None for item in constants)
        results = self.inferred(call, needed=not given)
        decided = of_weights(self, call) if weight else None
        lost = weight and loses(call)
        if given and all(math.prod(result.full) <= MAX_FOLDED for result in results):
            arrays = [item.values if isinstance(item, Constant) else None for item in call.inputs]
            try:
                made = evaluate(call.node, call.version, arrays)
                return [Constant(a.shape, a.dtype, a, weight, decided, lost) for a in made]
            except Exception:  # some references fail on what is allowed; shape inference still refuses what is not
                results = self.inferred(call, needed=True)
        return [replace(result, weight=weight, decided=decided, lost=lost) for result in results]

    def inferred(self, call: Call, *, needed: bool) -> list[Constant]:
        """Shapes of the outputs, by ONNX's shape inference or as the file states; where not `needed`, those found."""
        found = self._by_schema(call)
        results = []
        for name in call.node.output:
            result = found.get(name) or self._stated(name)
            if result is not None or not name:
                results.append(result or Constant((), np.dtype(np.float32)))
            elif needed:
                raise UnsupportedOpError(
                    f"the shape of output {printable(name)!r} of {printable(call.op)} depends on values, and the file "
                    "does not state it for this input_shape; state it there as a value_info"
                )
        return results

    def _by_schema(self, call: Call) -> dict[str, Constant | None]:
        """Outputs as the standard's shape inference finds them, None where it does not find the shape."""
        schema = schema_of(call)
        if schema is None:
            return {}
        types, data = {}, {}
        for k, (name, item) in enumerate(zip(call.node.input, call.inputs, strict=True)):
            if not name or not isinstance(item, Value | Constant):
                continue
            only_sizes = schema.inputs[min(k, len(schema.inputs) - 1)].types == {"tensor(int64)"}
            if only_sizes and math.prod(item.full) > MAX_INFERRED:  # inference would make an axis of each
                return {}
            types[name] = type_proto(self.dtype_of(item), item.full)
            if isinstance(item, Constant) and item.values is not None and item.values.size <= MAX_INFERRED:
                data[name] = numpy_helper.from_array(item.values, name)
        opsets = [onnx.helper.make_opsetid(call.domain, call.version)]
        found = onnx.shape_inference.infer_node_outputs(schema, call.node, types, data, opset_imports=opsets)
        return {name: self._of_type(kind) for name, kind in found.items()}

    def state(self, graph: onnx.GraphProto, sizes: Mapping[str, int]) -> None:
        """Take the shapes that a graph states of its tensors for true, open sizes being as given."""
        self._sizes.update(sizes)
        self._infos.update({info.name: info for info in (*graph.value_info, *graph.output)})

    def _stated(self, name: str) -> Constant | None:
        return self._of_type(self._infos[name].type) if name in self._infos else None

    def _of_type(self, kind: onnx.TypeProto) -> Constant | None:
        """A tensor of a type whose sizes are all settled, or None."""
        tensor = kind.tensor_type
        if not tensor.HasField("shape"):
            return None
        sizes = [d.dim_value if d.HasField("dim_value") else self._sizes.get(d.dim_param, -1) for d in tensor.shape.dim]
        if any(n < 0 for n in sizes):
            return None
        return Constant(tuple(sizes), np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))


def modules_of(node: onnx.NodeProto) -> list[str]:
    """The modules that a node comes from: as PyTorch's exporter notes them, or the folders of its name."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes" and len(entry.value) < MAX_INFERRED:
            return [printable(name) for name in re.findall(r"'([^']+)'", entry.value)[:-1]]
    path = shown(node).split("/")
    return ["/".join(path[:k]) for k in range(1, len(path))]


#: Types of trained numbers.
_FLOATS = tuple(getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"))

#: Constants of more elements are not shown to shape inference.
MAX_INFERRED = 4096


def _touches(call: Call) -> bool:
    """Whether a node without dynamic inputs still needs its rule: sequences, and bodies that read from outside."""
    return any(isinstance(item, list) for item in call.inputs) or any(bodies(call.node)) or call.op in _LOCAL


#: Operators whose rules work on constants and shapes alone.
_LOCAL = frozenset(("Shape", "Size", "Constant", "ConstantOfShape", "Range", "SequenceConstruct", "SequenceEmpty"))


def _found(scope: Scope, name: str) -> Item:
    if name not in scope:
        raise FormatError(f"tensor {printable(name)!r} is read but nothing produces it; check the model")
    return scope[name]
