"""Rules of users for operators of specs and ONNX graphs, and what is done without a rule."""

import importlib.metadata
import json
import re

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import fastrf
from fastrf.cli.commands import main
from fastrf.erf.maps import path_weights
from fastrf.ops import rules, shape
from tests import strategies
from tests.one_layer import field_of, line, sees

pytestmark = pytest.mark.usefixtures("rules_of_one_test")


def window_mix(x, window):
    """Windows of the last axis, each read as a whole."""
    return x.reshape((*x.shape[:-1], -1, window)).couple(-1).reshape(x.shape)


def test_an_operator_of_specs():
    fastrf.rule("window_mix")(window_mix)
    assert line("window_mix", 6, window=3) == [[0, 1, 2]] * 3 + [[3, 4, 5]] * 3
    network = fastrf.load([fastrf.layer("window_mix", window=2)], (1, 4))
    assert fastrf.load(json.loads(json.dumps(network.to_dict()))) == network
    (node,) = network.nodes
    assert (node.parameters, node.macs) == (None, None)


def test_the_last_rule_counts_and_comes_before_fastrf_s_own():
    assert line("relu", 4) == [[0], [1], [2], [3]]
    fastrf.rule("relu")(lambda x: window_mix(x, 4))
    assert line("relu", 4) == [[0, 1, 2, 3]] * 4
    fastrf.rule("relu")(lambda x: window_mix(x, 2))
    assert line("relu", 4) == [[0, 1]] * 2 + [[2, 3]] * 2


def test_several_inputs_and_results():
    @fastrf.rule("pair")
    def pair(x, y=None, *, turned=False):
        other = x if y is None else x.union(y)
        return x, shape.flip(other, axes=[0]) if turned else other

    assert sees(field_of("pair", [3], [3], wrt="b", result=1, turned=True), 0) == [(2,)]
    assert sees(field_of("pair", [3], y=None, result=1), 0) == [(0,)]
    for attributes, said in (
        ({}, "returns 2 tensors; say which one by result=0"),
        ({"result": 2}, "returns 2 tensors"),
        ({"result": 1, "turned": 1}, "turned must be true or false"),
        ({"result": 1, "other": 1}, "unknown attribute 'other'; it takes x, y, turned"),
    ):
        with pytest.raises(fastrf.NetworkError, match=re.escape(said)):
            field_of("pair", [3], [3], **attributes)
    with pytest.raises(fastrf.NetworkError, match="it has 3 inputs but needs 1 to 2"):
        field_of("pair", [3], [3], [3], result=0)


def test_path_weights_as_a_rule_says():
    fastrf.rule("window_mix")(window_mix)
    layers = [{"op": "window_mix", "name": "mix", "window": 2}]
    with pytest.raises(fastrf.UnsupportedOpError, match="its weights depend on data"):
        path_weights(fastrf.analyze(layers, (1, 4)), "mix", [(1,)])
    fastrf.rule("window_mix", paths="sum")(window_mix)
    assert path_weights(fastrf.analyze(layers, (1, 4)), "mix", [(1,)]).tolist() == [[0.5, 0.5, 0, 0]]


def test_what_a_rule_may_not_be():
    with pytest.raises(fastrf.UsageError, match="needs the name of an operator"):
        fastrf.rule()
    with pytest.raises(fastrf.UsageError, match="may not be called 'result'; rename it"):
        fastrf.rule("mine")(lambda result: result)
    fastrf.rule("mine")(lambda x: x.ndim)
    with pytest.raises(fastrf.NetworkError, match="its rule returns int, not the tensors"):
        line("mine", 3)
    fastrf.rule("mine")(lambda x: x.reshape([2, -1]).shape[7])
    with pytest.raises(fastrf.NetworkError, match=r"its rule fails for shapes \(1, 4\) \(IndexError"):
        line("mine", 4)


# A batch in front ----------------------------------------------------------------------------------------------------

STEPS = {
    "map_axis": lambda x: shape.roll(x, shifts=1, axes=-1),
    "reduce": lambda x: x.reduce(0),
    "insert": lambda x: x.insert(1, 2),
    "stretch": lambda x: x.reduce(1, keepdims=True).stretch(1, 4),
    "couple": lambda x: x.couple(0),
    "reshape": lambda x: x.reshape([3, 2]),
    "permute": lambda x: x.permute([1, 0]),
    "union": lambda x: x.union(shape.flip(x, axes=[0])),
    "concat": lambda x: x.concat(1, x),
    "nothing": lambda x: x.nothing(),
}


@pytest.mark.parametrize("kind", STEPS)
def test_a_rule_applies_to_each_part_of_a_batch(kind):
    """The field of three parts is that of one, three times along the diagonal."""
    fastrf.rule("step")(STEPS[kind])
    one = field_of("step", [2, 3]).to_csr(channels=True).toarray()
    field = field_of("step", [3, 2, 3], folded=[True])
    assert field.shape == (3, *field_of("step", [2, 3]).shape)
    assert (field.to_csr(channels=True).toarray() == np.kron(np.eye(3, dtype=bool), one)).all()


@pytest.mark.parametrize("seed", range(40))
def test_every_operator_applies_to_each_part_of_a_batch(seed):
    """The same with fastrf's own operators as rules, on random inputs and attributes."""
    spec = strategies.random_spec(np.random.default_rng(seed), layers=1)
    inputs, (layer, *_) = spec["input_shape"], spec["layers"]
    inputs = inputs if isinstance(inputs, dict) else {"input": inputs}
    fastrf.rule("own")(fastrf.ops.OPERATORS[layer["op"]].function)
    given = {key: value for key, value in layer.items() if key not in ("name", "op", "inputs")}
    wide = {name: [2, *size] for name, size in inputs.items()}
    reads = layer.get("inputs", list(inputs)[:1])
    for wrt in reads:
        one, both = (
            fastrf.analyze({"input_shape": shapes, "layers": [{**layer, "op": "own", **more}]}, wrt=wrt).output
            for shapes, more in ((inputs, given), (wide, {**given, "folded": [True] * len(reads)}))
        )
        matrices = [field.to_csr(channels=True).toarray() for field in (one, both)]
        assert (matrices[1] == np.kron(np.eye(2, dtype=bool), matrices[0])).all()


def test_what_has_no_batch_is_the_same_for_all_parts():
    fastrf.rule("both")(lambda x, y: x.union(y))
    field = field_of("both", [3, 2], [2], wrt="b", folded=[True, False])
    assert [sees(field, part, 1) for part in range(3)] == [[(1,)]] * 3


# ONNX ----------------------------------------------------------------------------------------------------------------


def vendor(reads, constants=(), shape=(1, 2, 6), stated=True, **attributes):
    """A graph of Relu and an operator of a vendor's, which reads its result and constants."""
    node = helper.make_node("Mix", list(reads), ["y"], domain="com.vendor", name="mix", **attributes)
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"]), node],
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape if stated else None)],
        [numpy_helper.from_array(values, name) for name, values in dict(constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.vendor", 1)])


def test_inputs_of_onnx_operators_go_in_order():
    @fastrf.rule("com.vendor::Mix")
    def mix(x, mask, weight, *, shifts, mode):
        assert (mask, weight.shape, mode) == (None, (5, 1), "up")
        return shape.roll(x.union(weight.reduce().broadcast_to(x.shape)), shifts=shifts, axes=[1])

    constants = {"w": np.ones((5, 1), np.float32), "s": np.array([2])}
    field = fastrf.analyze(vendor(["r", "", "w", "s"], constants, mode="up")).output
    assert field.exact
    assert sees(field, 1, 5) == [(1, 3)]


def test_attributes_of_onnx_operators_are_plain():
    given = []
    fastrf.rule("com.vendor::Mix")(lambda x, *, texts, table, ratio: given.append((texts, table, ratio)) or x)
    table = numpy_helper.from_array(np.array([[1, 2]]), "t")
    network = fastrf.load(vendor(["r"], texts=["a", "b"], table=table, ratio=0.5))
    assert set(given) == {(("a", "b"), ((1, 2),), 0.5)}
    assert json.dumps(network.to_dict())


def test_what_a_rule_does_not_fit_in_onnx():
    fastrf.rule("com.vendor::Mix")(lambda x, *, table: window_mix(x, len(table)))
    with pytest.raises(fastrf.UnsupportedOpError, match=r"node 'mix': the rule .* 'table' wants values, but"):
        fastrf.load(vendor(["r", "w"], {"w": np.ones(2, np.float32)}))
    fastrf.rule("com.vendor::Mix")(lambda x: x)
    with pytest.raises(fastrf.UnsupportedOpError, match="no parameter is left for the tensor of shape"):
        fastrf.load(vendor(["r", "r"]))
    fastrf.rule("com.vendor::Mix")(lambda x: x.reduce(0))
    with pytest.raises(fastrf.NetworkError, match=r"makes a tensor of shape \(1, 6\), the operator one of \(1, 2, 6\)"):
        fastrf.load(vendor(["r"]))


def test_a_rule_for_an_operator_of_the_standard():
    fastrf.rule("ai.onnx::Relu")(lambda x: window_mix(x, 3))
    fastrf.rule("com.vendor::Mix", batch=False)(lambda x: x.couple(0))
    assert sees(fastrf.analyze(vendor(["r"])).output, 1, 4) == [(1, 3), (1, 4), (1, 5)]


# Packages ------------------------------------------------------------------------------------------------------------


class Entry:
    """An installed package's entry point."""

    class dist:  # noqa: N801
        """The package."""

        name = "my-package"

    def __init__(self, load):
        self.load = load


def installed(monkeypatch, load):
    known = importlib.metadata.entry_points

    def entry_points(**which):
        return [Entry(load)] if which == {"group": "fastrf.rules"} else known(**which)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    rules.load_packages.cache_clear()


def test_rules_of_packages_come_after_those_of_users(monkeypatch):
    installed(monkeypatch, lambda: fastrf.rule("theirs", "ours")(lambda x: x.couple(-1)))
    fastrf.rule("ours")(lambda x: x)
    assert line("theirs", 2) == [[0, 1]] * 2
    assert line("ours", 2) == [[0], [1]]


def test_errors_name_the_package(monkeypatch):
    installed(monkeypatch, lambda: importlib.metadata.version("no-such-package"))
    with pytest.raises(fastrf.FastRFError, match="rules of package 'my-package' cannot be loaded"):
        line("theirs", 2)
    installed(monkeypatch, lambda: fastrf.rule("conv")(lambda x: x))
    with pytest.raises(fastrf.FastRFError, match="package 'my-package' replaces operator 'conv'"):
        line("theirs", 2)


# Without a rule ------------------------------------------------------------------------------------------------------


def test_a_foreign_operator_that_may_read_everything():
    with pytest.raises(fastrf.UnsupportedOpError, match=r"'mix': operator com.vendor.Mix .* add a rule"):
        fastrf.load(vendor(["r"]))
    field = fastrf.analyze(vendor(["r"]), on_unsupported="full").output
    assert (field.shape, field.exact, field.approximate_at) == ((2, 6), False, ("mix",))
    assert field.neuron_mask((0, 0)).all()
    with pytest.raises(fastrf.UnsupportedOpError, match=r"node 'mix': the shape of output 'y' .* value_info"):
        fastrf.load(vendor(["r"], stated=False), on_unsupported="full")


def test_an_unknown_operator_of_a_spec_that_may_read_everything():
    layers = [{"op": "relu", "name": "r"}, {"op": "mystery", "name": "m", "shape": [2, 2], "k": 3}]
    with pytest.raises(fastrf.UnsupportedOpError, match="node 'm': unknown operator 'mystery'"):
        fastrf.load(layers, (1, 4))
    field = fastrf.analyze(layers, (1, 4), on_unsupported="full").output
    assert (field.shape, field.approximate_at) == ((2, 2), ("m",))
    assert field.masks().all()
    with pytest.raises(fastrf.UnsupportedOpError, match=r"node 'm': .* its shape is not known, give it 'shape'"):
        fastrf.load([{"op": "mystery", "name": "m"}], (1, 4), on_unsupported="full")


def test_the_command_line_goes_on_without_a_rule(tmp_path, capsys):
    network = {"input_shape": [2, 4, 4], "layers": [{"op": "mystery", "name": "mix", "shape": [2, 4, 4]}]}
    (tmp_path / "spec.json").write_text(json.dumps(network))
    onnx.save(vendor(["r"], shape=(1, 2, 4, 4)), tmp_path / "file.onnx")
    for name in ("spec.json", "file.onnx"):
        for more, code in ((), 2), (("--on-unsupported", "full"), 0):
            with pytest.raises(SystemExit) as stop:
                main(["mask", str(tmp_path / name), "--at", "0,0", *more])
            assert stop.value.code == code
        out, err = capsys.readouterr()
        assert "(over-approximated at mix)" in out
        assert err.count("\n") == 1
