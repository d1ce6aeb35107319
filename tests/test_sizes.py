"""Which sizes of an input fit: solved, and compared with reading the network at every size."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

import fastrf
from fastrf.cli import commands
from fastrf.errors import FastRFError, NetworkError, ShapeError, UsageError
from fastrf.network import Network
from fastrf.queries.sizes.answers import AxisSizes
from fastrf.queries.sizes.layers import follow
from fastrf.queries.sizes.readings import learned
from tests.strategies import random_spec

N = np.arange(2000)


def weights(network):
    """Parameters by layer; those that nobody knows aside."""
    return {node.name: node.parameters for node in network.nodes if node.parameters is not None}


def read_at(network, name, axis, size):
    """The network with another size of one axis; None where it does not fit, or would need other weights."""
    shapes = {key: given.shape for key, given in network.inputs.items()}
    shapes[name] = tuple(size if k == axis else n for k, n in enumerate(shapes[name]))
    try:
        other = Network.from_dict(network.to_dict(), shapes)
    except FastRFError:
        return None
    return other if weights(other) == weights(network) else None


def require_as_tried(network, name, axis, sizes):
    """What is solved is what reading the network at each size says, outputs included."""
    answer = AxisSizes(axis, network.inputs[name].shape[axis], follow(network, name, axis).pieces)
    for size in sizes:
        other = read_at(network, name, axis, size)
        assert answer.fits(size) == (other is not None), (name, axis, size, answer.why(size))
        for output in network.outputs if other else ():
            assert answer.output_shape(size, output) == other.shape_of(output)


# Layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_fit_where_they_can_be_read(seed, rng):
    network = Network.from_dict(random_spec(np.random.default_rng(rng.integers(1 << 32)), layers=5))
    for name, given in network.inputs.items():
        for axis in range(len(given.shape)):
            with suppress(fastrf.UnsupportedOpError):  # products of an axis with itself
                require_as_tried(network, name, axis, range(1, 14))


def conv(n, name, **more):
    return fastrf.conv(4, n, name=name, **more)


def unpadded_unet(levels=(4, 16, 40, 88)):
    """Ronneberger et al. (2015): no padding, skips cropped to what is upsampled."""
    layers, depth = [], len(levels)
    for level in range(depth + 1):
        layers += [fastrf.max_pool(2, name=f"pool{level}")] if level else []
        layers += [conv(3, f"a{level}"), conv(3, f"skip{level}")]
    for level, crop in zip(reversed(range(depth)), levels, strict=True):
        cut = [-crop, -crop]
        layers += [fastrf.conv_transpose(4, 2, stride=2, name=f"up{level}")]
        layers += [fastrf.layer("pad", padding=[[0, 0], cut, cut], inputs=f"skip{level}", name=f"crop{level}")]
        layers += [fastrf.concat(axis=0, inputs=[f"crop{level}", f"up{level}"], name=f"join{level}")]
        layers += [conv(3, f"b{level}"), conv(3, f"c{level}")]
    return layers


def adding_unet(factor=2):
    """Skips that are added: what is upsampled must be as large."""
    layers = []
    for level in range(4):
        layers += [conv(3, f"skip{level}", padding=1), fastrf.max_pool(2, name=f"pool{level}")]
    for level in reversed(range(4)):
        layers += [fastrf.resize(scale=factor, name=f"up{level}"), fastrf.add(inputs=[f"up{level}", f"skip{level}"])]
    return layers


def pyramid():
    """Levels that are upsampled twice and added to the finer ones."""
    layers = [conv(3, f"c{level}", stride=2, padding=1) for level in range(4)]
    for level in (2, 1):
        layers += [fastrf.resize(scale=2, name=f"up{level}"), fastrf.add(inputs=[f"up{level}", f"c{level}"])]
    return layers


def windows():
    """Attention within windows of 7."""
    return [
        conv(4, "patches", stride=4),
        fastrf.layer("window_partition", window=7),
        fastrf.layer("softmax", axis=-1),
        fastrf.layer("window_reverse", window=7, output_size=56),
    ]


SPECS = {
    "unpadded": unpadded_unet(),
    "unpadded, two levels": unpadded_unet((4, 16)),
    "adding": adding_unet(),
    "pyramid": pyramid(),
    "unshuffle": [conv(3, "a"), fastrf.max_pool(2), fastrf.layer("pixel_unshuffle", factor=4)],
    "windows": windows(),
    "strides": [conv(3, f"c{k}", stride=k + 2) for k in range(4)],
    "dilated": [conv(3, "a", dilation=9), conv(5, "b", padding=[[1, 0], [2, 2]], stride=3)],
    "same": [conv(3, "a", stride=2, padding="same"), conv(4, "b", stride=3, padding="same_lower")],
    "ceil": [fastrf.max_pool(3, 2, ceil_mode=True, name=f"p{k}") for k in range(4)],
    "ceil, padded": [fastrf.max_pool(2, 3, padding=1, ceil_mode=True, name=f"p{k}") for k in range(3)],
    "transposed": [conv(3, "a", stride=3), fastrf.conv_transpose(2, 3, stride=3, output_padding=2), fastrf.max_pool(4)],
    "flat": [conv(7, "a", stride=4), fastrf.max_pool(3, 2), fastrf.flatten(), fastrf.linear(10)],
    "adaptive": [conv(7, "a", stride=4), fastrf.adaptive_avg_pool(6), fastrf.flatten(), fastrf.linear(10)],
    "reflected": [
        conv(9, "a", padding=4, padding_mode="reflect"),
        fastrf.max_pool(2),
        conv(3, "b", padding_mode="circular"),
    ],
    "parts": [
        fastrf.layer("chunk", axis=1, chunks=3, index=0, name="first"),
        fastrf.layer("split", axis=1, sections=7, index=1, inputs="input", name="second"),
        fastrf.layer("slice", axis=1, start=-9, stop=-2, name="third"),
        fastrf.concat(axis=1, inputs=["first", "second", "third"]),
    ],
    "scaled": [fastrf.resize(scale=0.3, name="less"), fastrf.resize(scale=2.5, name="more"), fastrf.max_pool(3)],
    "squeezed": [fastrf.max_pool(60, 50), fastrf.layer("squeeze"), fastrf.layer("unsqueeze", axis=0)],
}


T, SAME = {"name": "t", "op": "permute", "order": [1, 0], "inputs": ["input"]}, {"inputs": ["t", "t", "t"]}
MIXED = {
    "matmul": [T, {"op": "matmul", "inputs": ["input", "t"]}],
    "vectors": [T, {"name": "v", "op": "mean", "axes": 1, "inputs": ["t"]}, {"op": "matmul", "inputs": ["input", "v"]}],
    "einsum": [{"op": "einsum", "equation": "ij,kj->ik", "inputs": ["input", "input"]}],
    "diagonal": [T, {"op": "matmul", "inputs": ["t", "input"]}, {"op": "einsum", "equation": "ii"}],
    "attention": [T, {"op": "attention", **SAME}],
    "masked": [T, {"op": "attention", "mask": np.tri(12, dtype=bool).tolist(), **SAME}],
    "reduced": [{"op": "mean", "axes": [-1], "keepdims": True}, {"op": "sum"}],
    "argmax": [{"op": "argmax", "axis": 1}],
    "topk": [{"op": "topk", "axis": 1, "k": 5}],
    "recurrent": [T, {"op": "recurrent", "mode": "lstm", "hidden_size": 3, "direction": "bidirectional"}],
    "linear": [T, {"op": "linear", "out_features": 5}],
    "last": [{"op": "linear", "out_features": 5}],
    "norm": [{"op": "layer_norm", "axes": [1]}],
    "kept": [{"op": "keep", "mask": [True] * 12, "axes": [1]}],
    "constant": [{"name": "c", "op": "constant", "shape": [4, 1]}, {"op": "add", "inputs": ["input", "c"]}],
    "gathered": [
        {"name": "i", "op": "slice", "axis": 0, "start": 0, "stop": 1},
        {"name": "j", "op": "reshape", "shape": [12]},
        {"op": "dynamic_gather", "axis": 1, "inputs": ["input", "j"]},
    ],
    "halves": [{"op": "slice", "axis": 1, "start": 2, "stop": -2, "step": 3}, {"op": "cumsum", "axis": 1}],
    "joined": [T, {"op": "concat", "axis": 0, "inputs": ["input", "input"]}, {"op": "unsqueeze", "axis": 0}],
    "repeated": [
        {"op": "flip", "axes": 1},
        {"op": "repeat", "repeats": [1, 2]},
        {"op": "roll", "shifts": 1, "axes": 1},
    ],
}


@pytest.mark.parametrize("kind", MIXED)
def test_layers_that_mix_positions_are_solved(kind):
    network = Network.from_dict({"input_shape": [4, 12], "layers": MIXED[kind]})
    require_as_tried(network, "input", 1, range(1, 30))


@pytest.mark.parametrize("name", SPECS)
def test_specs_fit_where_they_can_be_read(name):
    shapes = {
        **{"windows": (3, 224, 224), "unpadded": (3, 188, 204), "unpadded, two levels": (3, 44, 60)},
        **{"adding": (3, 64, 96), "pyramid": (3, 64, 96), "strides": (3, 200, 180)},
    }
    network = fastrf.load(SPECS[name], shapes.get(name, (3, 66, 98)))
    require_as_tried(network, "input", 1, [*range(1, 120), *range(180, 260, 3)])


def test_the_unet_of_the_paper():
    sizes = fastrf.sizes(unpadded_unet(), (1, 570, 570))

    assert sizes.progressions == (((188, None, 16),),) * 2
    assert sizes.smallest == (188, 188)
    assert (sizes.input_for(388), sizes.input_for((4, 20))) == ((572, 572), (188, 204))
    assert sizes.fits(572)
    assert not sizes.fits(570)
    assert sizes.why((572, 570)).startswith("570 on axis 2: node 'join3': sizes 55 and 54 differ")
    assert sizes.assumes == ("the network was read at 1x572x572, since 1x570x570 does not fit",)
    with pytest.raises(ShapeError, match="no size of axis 1 gives an output of 389; a size of 572 gives 388 and 588"):
        sizes.input_for(389)


def test_skips_that_are_added_want_multiples():
    sizes = fastrf.sizes(adding_unet(), (4, 64, 64), within=(1, 701))

    assert sizes.progressions == (((16, 689, 16),),) * 2
    assert sizes.multiple == (16, 16)
    assert fastrf.sizes(pyramid(), (3, 64, 64)).multiple == (1, 1)


def test_weights_stay():
    sizes = fastrf.sizes(SPECS["flat"], (3, 64, 64))

    assert sizes.progressions[0] == ((63, 71, 1),)
    assert sizes.tied_at == "flatten3"
    assert sizes.fits((66, 70))
    assert "weights are for another" in sizes.why((66, 90))
    with pytest.raises(ShapeError, match="axes are tied at node 'flatten3'"):
        sizes.input_for(10)


def test_operators_of_users_are_asked(monkeypatch):
    monkeypatch.setattr("fastrf.ops.rules.RULES", dict(fastrf.ops.rules.RULES))
    monkeypatch.setattr("fastrf.queries.sizes.layers.OF_USERS", fastrf.ops.rules.RULES)
    monkeypatch.setattr("fastrf.ops.applying.RULES", fastrf.ops.rules.RULES)

    @fastrf.rule("thirds", batch=False)
    def thirds(x):
        return x.reshape([x.shape[0], x.shape[1] // 3, 3]).reduce(2)

    sizes = fastrf.sizes({"layers": [{"op": "thirds"}]}, (2, 12))

    assert sizes.axes[0].progressions == ((3, 1024, 3),)
    assert sizes.axes[0].why(7).node == "thirds1"
    assert sizes.assumes == ("operator thirds is a user's; sizes of 1024 and more are not known",)


# Networks that are built for an input -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fpn_resnet50", "unet_valid"])
def test_numbers_that_follow_the_size_are_found(name):
    shape = {"fpn_resnet50": (3, 64, 64), "unet_valid": (1, 204, 188)}[name]
    sizes = fastrf.sizes(name, shape, within=(1, 300))

    assert sizes.smallest == ((1, 1) if name == "fpn_resnet50" else (188, 188))
    assert "as at" in sizes.assumes[0] or "go on alike" in sizes.assumes[0]
    for size in (*range(1, 6), *range(185, 194)):
        try:
            wanted = fastrf.load(name, (shape[0], size, shape[2]))
        except NetworkError:
            assert not sizes.axes[0].fits(size)
            continue
        for output in wanted.outputs:
            assert sizes.axes[0].output_shape(size, output) == wanted.shape_of(output)


def built(size, odd):
    """A skip to whose size a map is resized; sizes that leave `odd` of 4 get another layer."""
    half = -(-size // 2)
    layers = [
        fastrf.conv(1, 3, stride=2, padding=1, name="skip"),
        fastrf.max_pool(2, ceil_mode=True),
        *([fastrf.layer("pad", padding=[[0, 0], [size // 4, 0]])] if size % 4 in odd else []),
        fastrf.resize(output_size=[half], name="wide"),
        fastrf.add(inputs=["skip", "wide"]),
        fastrf.layer("gather", axis=1, indices=list(range(half - 1))),
    ]
    return fastrf.load(layers, (1, size))


@pytest.mark.parametrize("odd", [(), (1, 3)])
def test_what_is_built_for_an_input_is_read_at_a_few(odd):
    def read(size):
        try:
            return built(size, odd)
        except NetworkError as error:
            return str(error)

    found = learned(read, "input", 1, 30, (1, None))
    assert "as at 30, 31" in found.assumes[0] if not odd else "go on alike" in found.assumes[0]
    answer = AxisSizes(1, 30, found.pieces)
    for size in range(1, 80):
        network = read(size)
        assert answer.fits(size) == isinstance(network, Network)
        if answer.fits(size):
            assert answer.output_shape(size) == network.nodes[-1].shape


# Bad input -------------------------------------------------------------------------------------------------------

TWO = {"input_shape": {"a": [1, 8], "b": [1, 8]}, "layers": [{"op": "add", "inputs": ["a", "b"]}]}


@pytest.mark.parametrize("within", [5, (5,), (0, 5), (-3, 5), (7, 7), (9, 3), (1.5, 3), "ab", (1, 1 << 40), (1, 2, 3)])
def test_ranges_that_are_none(within):
    with pytest.raises(UsageError, match="within must be"):
        fastrf.sizes("alexnet", within=within)


@pytest.mark.parametrize("size", [0, -4, 2.5, "a", True, 1 << 60, None])
def test_sizes_that_are_none(size):
    sizes = fastrf.sizes([fastrf.conv(1, 3)], (1, 8))
    with pytest.raises(ShapeError, match="a size"):
        sizes.fits(size)


def test_questions_that_have_no_answer():
    sizes = fastrf.sizes([fastrf.conv(1, 3), fastrf.flatten()], (1, 8, 8))
    with pytest.raises(ShapeError, match="3 sizes for 2 spatial axes"):
        sizes.fits((1, 2, 3))
    with pytest.raises(ShapeError, match="'nope' is no output; the outputs are flatten2"):
        sizes.axes[0].output_shape(8, "nope")
    with pytest.raises(ShapeError, match="a size of 2 on axis 1 does not fit: node 'conv1': kernel 3 does not fit"):
        sizes.axes[0].output_shape(2)
    with pytest.raises(UsageError, match="inputs a, b; name one by wrt"):
        fastrf.sizes(TWO)
    with pytest.raises(UsageError, match="'c' is no input"):
        fastrf.sizes(TWO, wrt="c")
    assert fastrf.sizes(TWO, wrt="b").progressions == (((1, 9, 7),),)
    with pytest.raises(ShapeError, match="no spatial axes"):
        fastrf.sizes([fastrf.linear(3)], (8,), channel_axis=0)
    with pytest.raises(ShapeError, match="no axis of the output follows"):
        fastrf.sizes([fastrf.layer("global_avg_pool")], (1, 8, 8)).input_for(1)
    with pytest.raises(NetworkError, match="is not a layer"):
        fastrf.sizes([fastrf.conv(1, 3, inputs="nope")], (1, 8, 8))


@pytest.fixture
def run(capsys):
    """Run the command and give (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            commands.main(list(arguments))
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call


def test_the_command(run):
    code, out, _ = run("sizes", "s3fd", "--for", "20", "--within", "1:100")
    assert code == 0
    assert "28 to 99" in out
    assert " 80" in out
    assert run("sizes", "alexnet", "--fits", "100")[0] == 1
    for words in (
        ["--within", "9"],
        ["--within", "9:3"],
        ["--for", "x"],
        ["--fits", "-1"],
        ["--for", "0"],
        ["--ignore", "gates"],
    ):
        code, out, err = run("sizes", "alexnet", *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1), words


def test_sizes_that_are_rare_are_found():
    def read(size):
        if size % 12:
            return "node 'parts' (reshape): 12 does not divide it"
        layers = [fastrf.layer("reshape", shape=[1, size // 12, 12], name="parts"), fastrf.layer("sum", axes=2)]
        return fastrf.load(layers, (1, size))

    answer = AxisSizes(1, 36, learned(read, "input", 1, 36, (1, None)).pieces)
    assert answer.progressions == ((12, None, 12),)
    assert answer.output_shape(120) == (1, 10)


def test_layers_that_are_not_solved_are_named():
    def uneven(size):
        return fastrf.load([fastrf.layer("pad", padding=[[0, 0], [size * size % 7, 0]], name="uneven")], (1, size))

    def another(size):
        return fastrf.load([fastrf.layer("relu" if size % 3 else "tanh", name="another")], (1, size))

    for read, told in (
        (uneven, "numbers of node 'uneven' (pad) do not grow evenly"),
        (another, "node 'another' (relu) is another from size to size"),
    ):
        found = learned(read, "input", 1, 30, (1, None))
        assert told in found.assumes[0]
        assert "--within START:STOP" in found.assumes[0]
        assert found.assumes[0].count("\n") == 0
