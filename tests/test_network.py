"""Reading networks: every source, round trips, and one clear line for every mistake."""

from __future__ import annotations

import json

import pytest

import fastrf

CONV = {"name": "conv", "op": "conv", "out_channels": 4, "kernel_size": 3}
TOML = """
name = "small"
input_shape = [3, 16, 16]
outputs = ["sum"]

[[layers]]
name = "left"
op = "conv"
out_channels = 4
kernel_size = 3
padding = "same"

[[layers]]
name = "right"
op = "max_pool"
kernel_size = [3, 3]
stride = 1
padding = 1
inputs = ["left"]

[[layers]]
name = "sum"
op = "add"
inputs = ["left", "right"]
"""


def spec(*layers, **more):
    return {"input_shape": [3, 8, 8], "layers": list(layers), **more}


def test_toml_json_mapping_and_list_agree(tmp_path):
    toml = tmp_path / "small.toml"
    toml.write_text(TOML)
    from_toml = fastrf.load(toml)
    plain = tmp_path / "small.json"
    plain.write_text(json.dumps(from_toml.to_dict()))
    layers = [
        fastrf.conv(4, 3, padding="same", name="left"),
        fastrf.max_pool([3, 3], stride=1, padding=1, name="right"),
        fastrf.add(name="sum", inputs=["left", "right"]),
    ]
    fields = [
        fastrf.analyze(from_toml).output,
        fastrf.analyze(str(plain)).output,
        fastrf.analyze(from_toml.to_dict()).output,
        fastrf.analyze(layers, (3, 16, 16)).output,
    ]
    assert all(field.dependency == fields[0].dependency for field in fields)
    assert from_toml.name == "small"
    assert repr(from_toml) == "Network('small', input_shape=(3, 16, 16), channels on axis 0, 3 layers)"


def test_a_list_in_a_file(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps([CONV]))
    assert fastrf.analyze(path, (3, 8, 8)).output.position_shape == (6, 6)


def test_classic_table_with_dilation():
    field = fastrf.analyze({"a": [3, 1, 2, 2], "b": [3, 1, 1]}, (1, 9, 9)).output
    assert field.size == (7, 7)


def test_input_shape_overrides_and_layers_come_in_any_order():
    late_first = spec({"name": "b", "op": "relu", "inputs": ["conv"]}, {**CONV, "inputs": ["input"]}, outputs=["b"])
    network = fastrf.load(late_first, (3, 20, 20))
    assert [node.name for node in network.nodes] == ["conv", "b"]
    assert network.by_name["b"].shape == (4, 18, 18)
    assert fastrf.load(network) is network
    assert fastrf.load(network, (3, 10, 10)).by_name["b"].shape == (4, 8, 8)


def test_several_inputs():
    two = {
        "input_shape": {"image": [3, 8, 8], "mask": [1, 8, 8]},
        "layers": [{"name": "both", "op": "concat", "axis": 0, "inputs": ["image", "mask"]}],
    }
    network = fastrf.load(two)
    assert network.input_shape == {"image": (3, 8, 8), "mask": (1, 8, 8)}
    assert fastrf.analyze(network)["both"].neuron_mask((3, 1, 1)).sum() == 0
    assert fastrf.analyze(network, wrt="mask")["both"].neuron_mask((3, 1, 1)).sum() == 1
    assert not fastrf.analyze(network)["mask"].mask((0, 0)).any()
    resized = fastrf.load(two, {"image": (3, 4, 4), "mask": (1, 4, 4)})
    assert resized.by_name["both"].shape == (4, 4, 4)
    with pytest.raises(fastrf.ShapeError, match="has inputs image, mask; give input_shape as a mapping"):
        fastrf.load(two, (3, 4, 4))
    with pytest.raises(fastrf.ShapeError, match="the network's inputs are"):
        fastrf.load(two, {"image": (3, 4, 4)})


def test_channel_axis_of_an_input():
    tokens = {
        "input_shape": [12, 5],
        "channel_axis": 1,
        "layers": [{"name": "lstm", "op": "recurrent", "hidden_size": 7}],
    }
    network = fastrf.load(tokens)
    assert fastrf.Network.from_dict(network.to_dict()).inputs["input"].channel_axis == 1
    assert fastrf.analyze(network).output.mask((3,)).tolist() == [True] * 4 + [False] * 8


@pytest.mark.parametrize(
    ("source", "shape", "error", "message"),
    [
        (
            spec({**CONV, "kernel_size": 11}),
            None,
            "ShapeError",
            r"node 'conv' \(conv\): kernel 11 does not fit input 8 with padding 0; enlarge",
        ),
        (spec({**CONV, "kernel_size": 0}), None, "NetworkError", "node 'conv' .*kernel_size must be at least 1, not 0"),
        (spec({**CONV, "stride": -1}), None, "NetworkError", "stride must be at least 1"),
        (spec({**CONV, "kernel_size": "big"}), None, "NetworkError", "kernel_size must be an integer, not 'big'"),
        (spec({**CONV, "kernel_size": [3, 3, 3]}), None, "NetworkError", "3 values for 2 axes"),
        (spec({**CONV, "colour": 3}), None, "NetworkError", "unknown attribute 'colour'; it takes out_channels"),
        (spec({"name": "c", "op": "conv", "kernel_size": 3}), None, "NetworkError", "'out_channels' is missing"),
        (
            spec({**CONV, "op": "convv"}),
            None,
            "UnsupportedOpError",
            "node 'conv': unknown operator 'convv'; did you mean conv",
        ),
        (
            spec({**CONV, "op": "quux"}),
            None,
            "UnsupportedOpError",
            "unknown operator 'quux'; fastrf.ops.OPERATORS lists",
        ),
        (spec(CONV, CONV), None, "NetworkError", "layer name 'conv' is used twice"),
        (spec({**CONV, "name": "input"}), None, "NetworkError", "layer name 'input' is used twice"),
        (
            spec({**CONV, "inputs": ["cnov"]}),
            None,
            "NetworkError",
            "node 'conv': input 'cnov' is not a layer; did you mean conv",
        ),
        (spec({**CONV, "inputs": ["zzz"]}), None, "NetworkError", "check its spelling"),
        (spec({**CONV, "inputs": 3}), None, "FormatError", "'inputs' must be a list of layer names"),
        (spec({**CONV, "inputs": ["input", "input"]}), None, "NetworkError", "has 2 inputs but needs 1 inputs"),
        (spec({"name": "s", "op": "add", "inputs": []}), None, "NetworkError", "0 inputs but needs 1 or more"),
        (
            spec({"name": "d", "op": "deform_conv", "out_channels": 1, "kernel_size": 1}),
            None,
            "NetworkError",
            "needs 2 to 3",
        ),
        (spec(CONV, outputs=["cov"]), None, "NetworkError", "output 'cov' is not a layer; did you mean conv"),
        (spec(CONV, {"name": "s", "op": "add", "inputs": ["conv", "input"]}), None, "ShapeError", "do not broadcast"),
        (
            spec({"name": "a", "op": "relu", "inputs": ["b"]}, {"name": "b", "op": "relu", "inputs": ["a"]}),
            None,
            "NetworkError",
            "cycle: a <- b <- a; break it",
        ),
        ({"layers": [CONV]}, None, "ShapeError", "input_shape is missing; give it"),
        ([fastrf.conv(4, 3)], None, "ShapeError", "a list of layers has no input shape"),
        ({"a": [3, 1, 1]}, None, "ShapeError", "input_shape is missing"),
        (spec(CONV), (3, 0, 8), "ShapeError", "has a size of 0"),
        (spec(CONV), (3, -4, 8), "ShapeError", "has a size of -4"),
        (spec(CONV), (3, 2**62, 8), "ShapeError", "has a size of 4611686018427387904"),
        (spec(CONV), "3x8x8", "ShapeError", "must be a list of integers"),
        (spec(CONV), (3, 8.0, 8), "ShapeError", "must be a list of integers"),
        (spec(CONV, channel_axis=7), None, "ShapeError", "channel_axis 7 of input 'input' is not an axis"),
        (spec(CONV, colour=1), None, "FormatError", "unknown key 'colour'"),
        (spec(), None, "FormatError", "at least one layer"),
        (spec(CONV, outputs=5), None, "FormatError", "'outputs' must be a list of layer names"),
        (spec(CONV, outputs=[["a"]]), None, "FormatError", "'outputs' must be a list"),
        (spec({**CONV, "name": "a\nb"}), None, "NetworkError", "must be printable text"),
        ({**spec(CONV), "input_shape": {}}, None, "ShapeError", "must name at least one input"),
        (spec(CONV, channel_axis={"imgae": 0}), None, "ShapeError", "names 'imgae', which is no input"),
        ({"layer": [CONV]}, (3, 8, 8), "FormatError", "is it meant to be 'layers'"),
        ("resnet50", {"image": (3, 64, 64)}, "ShapeError", "is called 'input', not image"),
        ("x" * 5000, None, "FormatError", "neither a file nor a built-in network"),
        ({"input_shape": [3, 8, 8], "layers": "conv"}, None, "FormatError", "a list of layers"),
        ({"input_shape": [3, 8, 8], "layers": [{"name": "x"}]}, None, "FormatError", "layer 0 has no 'op'"),
        ({"input_shape": [3, 8, 8], "layers": [5]}, None, "NetworkError", "a layer is a mapping or a fastrf layer"),
        ({"a": [3, 1]}, (1, 8, 8), "FormatError", "row 'a' has 2 numbers"),
        ({"a": 3}, (1, 8, 8), "FormatError", "needs 'layers', or rows"),
        ({}, (1, 8, 8), "FormatError", "needs 'layers', or rows"),
        (spec({"name": "u", "op": "repeat", "repeats": [2**39, 1, 1]}), None, "ShapeError", "an axis longer than"),
        (spec({**CONV, "kernel_size": {}}), None, "NetworkError", "kernel_size has 0 values"),
        (3.5, None, "FormatError", "a float is not a network"),
        ("resnet5", None, "FormatError", "neither a file nor a built-in network; did you mean resnet50"),
        ("resnet50", (3, 8), "ShapeError", "takes input_shape"),
        ("resnet50", {"input": (3, 64, -64)}, "ShapeError", "sizes >= 1"),
    ],
)
def test_mistakes_name_the_place_and_the_remedy(source, shape, error, message):
    with pytest.raises(getattr(fastrf, error), match=message) as caught:
        fastrf.load(source, shape)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    cases = {
        "missing.toml": None,
        "bad.toml": b"name = [",
        "bad.json": b"{",
        "twice.json": b'{"a": [1, 1, 0], "a": [3, 1, 1]}',
        "latin.json": '{"name": "é"}'.encode("latin-1"),
        "number.json": b"3",
        "deep.json": b"[" * 200_000,
        "binary.toml": bytes(range(256)),
    }
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(fastrf.FormatError, match=name):
            fastrf.load(path)
    with pytest.raises(fastrf.FormatError, match="directory"):
        fastrf.load(tmp_path)


def test_too_many_layers_and_too_large_files(tmp_path, monkeypatch):
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"input_shape": [1, 4], "layers": [{"op": "relu"}] * 1_000_000}))
    with pytest.raises(fastrf.LimitError, match="fastrf\\.limits\\(layers=200000\\) allows; raise it"):
        fastrf.load(path)
    monkeypatch.setattr(fastrf.limits, "file", 10)
    with pytest.raises(fastrf.LimitError, match=r"fastrf\.limits\(file=10\) allows; raise it"):
        fastrf.load(path)


def test_a_deep_chain_is_read_and_analysed(monkeypatch):
    monkeypatch.setattr(fastrf.limits, "layers", 5000)
    chain = {"input_shape": [1, 4], "layers": [{"op": "relu"}] * 5000}
    assert fastrf.analyze(chain).output.areas().tolist() == [1, 1, 1, 1]


def test_layer_constructors_check_their_attributes():
    assert fastrf.conv(64, 7, stride=2).to_dict() == {"op": "conv", "out_channels": 64, "kernel_size": 7, "stride": 2}
    assert fastrf.layer("relu", name="r", inputs="x").to_dict() == {"name": "r", "op": "relu", "inputs": ["x"]}
    assert "torch.nn.Conv2d" in fastrf.conv.__doc__
    with pytest.raises(fastrf.UnsupportedOpError, match="unknown operator"):
        fastrf.layer("nope")
    with pytest.raises(fastrf.NetworkError, match="at most 0 attributes"):
        fastrf.relu(3)
    with pytest.raises(fastrf.NetworkError, match="given twice"):
        fastrf.conv(3, out_channels=3)


def test_networks_compare_by_what_they_hold():
    one, two = fastrf.load(spec(CONV)), fastrf.load(spec(CONV, outputs="conv"))
    assert one == two
    assert hash(one) == hash(two)
    assert one != fastrf.load(spec({**CONV, "kernel_size": 1}))
    alone = {"input_shape": {"image": [3, 8, 8]}, "layers": [{**CONV, "inputs": ["image"]}]}
    assert fastrf.load(alone, (3, 9, 9)).by_name["conv"].shape == (4, 7, 7)


def test_names_of_nodes():
    analysis = fastrf.analyze("resnet18", (3, 64, 64))
    assert analysis["layer1"].name == "layer1.1.relu2"
    assert "layer1" in analysis
    assert "layer9" not in analysis
    assert 3 not in analysis
    assert len(analysis) == len(list(analysis)) == len(analysis.network.nodes) + 1
    assert analysis.outputs == (analysis.output,)
    assert repr(analysis) == "Analysis('resnet18', wrt='input', 70 nodes)"
    with pytest.raises(fastrf.NetworkError, match="node 'fcc' is not in network 'resnet18'; did you mean fc"):
        analysis["fcc"]
    with pytest.raises(fastrf.NetworkError, match="fastrf summary lists"):
        analysis["~~~~"]
    with pytest.raises(KeyError, match="names are strings"):
        analysis[5]
    assert analysis.get("nope") is None


def test_targets_and_wrt():
    whole = fastrf.analyze("resnet18", (3, 64, 64))
    some = fastrf.analyze("resnet18", (3, 64, 64), targets=["layer2", "layer1"])
    assert list(some) == ["layer2.1.relu2", "layer1.1.relu2"]
    assert some["layer2"].dependency == whole["layer2"].dependency
    with pytest.raises(fastrf.NetworkError, match=r"was not among the targets; analyse with targets=\['fc'\]"):
        some["fc"]
    inner = fastrf.analyze("resnet18", (3, 64, 64), wrt="layer1", targets="layer2")["layer2"]
    assert inner.input_shape == (64, 16, 16)
    assert inner.size == (15, 15)
    assert not fastrf.analyze("resnet18", (3, 64, 64), wrt="layer2")["layer1"].masks().any()
    assert fastrf.analyze("resnet18", (3, 64, 64), wrt="layer2")["layer1"].size == (0, 0)
    with pytest.raises(fastrf.NetworkError, match="is not in network"):
        fastrf.analyze("resnet18", wrt="nope")


def test_approximate_nodes_are_listed_downstream():
    layers = [
        {"name": "a", "op": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1},
        {"name": "top", "op": "topk", "axis": 1, "k": 3},
        {"name": "b", "op": "relu"},
        {"name": "other", "op": "relu", "inputs": ["a"]},
    ]
    analysis = fastrf.analyze(spec(*layers))
    assert analysis["b"].approximate_at == ("top",)
    assert not analysis["b"].exact
    assert analysis["other"].exact
    assert fastrf.analyze(spec(*layers), wrt="top")["b"].exact
    assert repr(analysis["b"]) == (
        "ReceptiveField('b', shape=(2, 3, 8), size=inf x 3, stride=inf x 1, channel_axis=0, "
        "input_shape=(3, 8, 8), input_channel_axis=0, approximate at top)"
    )


def test_term_limit_names_the_node(monkeypatch):
    monkeypatch.setattr(fastrf.limits, "terms", 1)
    rows = {"name": "rows", "op": "avg_pool", "kernel_size": [3, 1], "stride": 1}
    columns = {"name": "columns", "op": "avg_pool", "kernel_size": [1, 3], "stride": 1, "inputs": ["input"]}
    cut = [{**rows, "padding": [1, 0]}, {**columns, "padding": [0, 1]}]
    with pytest.raises(fastrf.LimitError, match=r"node 'sum' \(add\): .*needs 2 terms.*\(terms=1\)"):
        fastrf.analyze(spec(*cut, {"name": "sum", "op": "add", "inputs": ["rows", "columns"]}))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ({"op": "relu"}, (3, 2**40, 8)),
        ({"op": "resize", "scale": 1e9}, (3, 8, 8)),
        ({"op": "resize", "scale": 1e9, "mode": "linear"}, (3, 8, 8)),
        ({"op": "repeat", "repeats": [1, 10**9, 1]}, (3, 8, 8)),
        ({"op": "conv", "out_channels": 6 * 10**9, "kernel_size": 1, "groups": 3}, (3, 8, 8)),
        ({"op": "conv_transpose", "out_channels": 1, "kernel_size": 10**9}, (3, 8, 8)),
        ({"op": "pad", "padding": [[0, 0], [10**9, 0], [0, 0]]}, (3, 8, 8)),
    ],
)
def test_absurd_sizes_are_refused_before_memory_is_asked_for(layer, shape):
    with pytest.raises(fastrf.LimitError, match="raise it, or"):
        fastrf.analyze({"input_shape": shape, "layers": [layer]}).summary()


def test_huge_kernels_cost_no_more_than_the_axis():
    wide = {"op": "conv", "out_channels": 1, "kernel_size": 10**9, "dilation": 2, "padding": 10**9}
    assert fastrf.analyze([wide], (3, 8, 8)).output.position_shape == (10, 10)
    assert fastrf.analyze([wide], (3, 8, 8)).output.areas().tolist()[0] == [16] * 10


def test_run_limit(monkeypatch):
    monkeypatch.setattr(fastrf.limits, "runs", 10)
    with pytest.raises(fastrf.LimitError, match=r"\(runs=10\) allows; raise it"):
        fastrf.analyze([fastrf.conv(1, 3, dilation=7, padding=7), fastrf.conv(1, 2, dilation=3)], (1, 97))


def test_approximations_behind_a_branch_that_reads_nothing_are_not_listed():
    layers = [
        {"name": "chosen", "op": "sort", "axis": 1},
        {"name": "blank", "op": "constant", "shape": [2, 4, 4]},
        {"name": "sum", "op": "add", "inputs": ["input", "blank"]},
        {"name": "both", "op": "add", "inputs": ["chosen", "blank"]},
    ]
    analysis = fastrf.analyze({"input_shape": [2, 4, 4], "layers": layers})
    assert [analysis[name].approximate_at for name in ("chosen", "blank", "sum")] == [("chosen",), (), ()]
    assert analysis["both"].approximate_at == ("chosen",)
