"""Effective receptive fields against closed forms and against counting every path, one neuron at a time."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import fastrf
from fastrf.engine.axis_map import from_relation
from fastrf.engine.relation import Relation
from fastrf.erf.maps import Effective, effective, marginals, moments, path_weights, radii, sigmas
from fastrf.erf.path_weights import PathWeights
from fastrf.errors import PositionError, ShapeError, UnknownNodeError, UnsupportedOpError, UsageError
from fastrf.ops.resize import Sampling, resize_axis


@pytest.mark.parametrize(
    ("kernel", "n", "sigma", "pixels", "fraction"),
    [
        (3, 5, 1.8257, 9, 0.664),
        (3, 10, 2.5820, 13, 0.492),
        (3, 20, 3.6515, 19, 0.356),
        (3, 40, 5.1640, 25, 0.255),
        (5, 10, 4.4721, None, None),
    ],
)
def test_stacks_of_uniform_kernels(kernel, n, sigma, pixels, fraction):
    """The sum of n uniform variables on k values: sigma = sqrt(n (k^2 - 1) / 12) (Luo et al. 2016)."""
    analysis = fastrf.analyze([fastrf.conv(2, kernel, padding=kernel // 2) for _ in range(n)], (3, 83, 81))
    found = effective(analysis, f"conv{n}")
    assert found.position == (41, 40)
    np.testing.assert_allclose(found.sigma, math.sqrt(n * (kernel**2 - 1) / 12), rtol=1e-12)
    np.testing.assert_allclose(found.sigma, sigma, atol=5e-5)
    np.testing.assert_allclose(found.mean, (41, 40))
    assert found.weights.sum() == pytest.approx(1, rel=1e-12)
    if pixels:
        assert found.pixels().tolist() == [pixels, pixels]
        np.testing.assert_allclose(found.fraction, fraction, atol=5e-4)
    np.testing.assert_allclose(sigmas(analysis, f"conv{n}")[41, 40], found.sigma, rtol=1e-12)


def test_worked_example():
    """Two layers of three taps: 1 2 3 2 1 paths along an axis, and at the corner 2 2 1 of them."""
    analysis = fastrf.analyze([fastrf.conv(1, 3, padding=1) for _ in range(2)], (1, 9, 9))
    np.testing.assert_allclose(effective(analysis, "conv2").marginals[0] * 9, [0, 0, 1, 2, 3, 2, 1, 0, 0])
    corner = effective(analysis, "conv2", (0, 0))
    np.testing.assert_allclose(corner.marginals[1] * 5, [2, 2, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(corner.weights, np.outer(*corner.marginals))
    assert corner.area() == 9
    assert repr(corner) == "Effective('conv2', position=(0, 0), sigma=(0.7483, 0.7483))"


# Counting every path -------------------------------------------------------------------------------------


def listed(value, n):
    return list(value) if isinstance(value, list | tuple) else [value] * n


def taps(node, shape, neuron, in_shape):
    """Every input neuron that a convolution or pool reads, once per tap, and its share with `fan_in`."""
    a, n = node.attributes, len(shape) - 1
    kernel, channels = listed(a["kernel_size"], n), in_shape[0]
    stride = listed(a.get("stride") or (kernel if "pool" in node.op else 1), n)
    pads, dilation = listed(a.get("padding", 0), n), listed(a.get("dilation", 1), n)
    if "pool" in node.op:
        reads = [neuron[0]]
    else:
        groups = a.get("groups", 1)
        width = channels // groups
        first = neuron[0] // (shape[0] // groups) * width
        reads = range(first, first + width)
    share = Fraction(1, math.prod(kernel) * len(reads))
    for tap in itertools.product(*map(range, kernel)):
        if node.op == "conv_transpose":
            source = [o + p - t * d for o, p, t, d in zip(neuron[1:], pads, tap, dilation, strict=True)]
            if any(i % s for i, s in zip(source, stride, strict=True)):
                continue
            place = [i // s for i, s in zip(source, stride, strict=True)]
        else:
            place = [o * s - p + t * d for o, s, p, t, d in zip(neuron[1:], stride, pads, tap, dilation, strict=True)]
        if all(0 <= i < m for i, m in zip(place, in_shape[1:], strict=True)):
            for channel in reads:
                yield (channel, *place), share * (math.prod(stride) if node.op == "conv_transpose" else 1)


def reads(network, node, neuron):
    """Pairs of (what is read, its weight with `fan_in`) of a neuron, once per path."""
    shapes = [network.shape_of(name) for name in node.inputs]
    first = node.inputs[0]
    if node.op in ("conv", "conv_transpose", "avg_pool", "max_pool"):
        for place, share in taps(node, node.shape, neuron, shapes[0]):
            yield first, place, share
    elif node.op in ("relu", "batch_norm", "layer_norm", "group_norm"):
        yield first, neuron, 1
    elif node.op in ("add", "mul"):
        for name in node.inputs:
            yield name, neuron, 1
    elif node.op == "concat":
        channel = neuron[0]
        for name, shape in zip(node.inputs, shapes, strict=True):
            if 0 <= channel < shape[0]:
                yield name, (channel, *neuron[1:]), 1
            channel -= shape[0]
    elif node.op == "resize":
        sizes = zip(neuron[1:], shapes[0][1:], node.shape[1:], strict=True)
        yield first, (neuron[0], *(i * n // m for i, n, m in sizes)), 1
    elif node.op == "global_avg_pool":
        for place in itertools.product(*map(range, shapes[0][1:])):
            yield first, (neuron[0], *place), Fraction(1, math.prod(shapes[0][1:]))
    elif node.op == "channel_shuffle":
        parts = node.attributes["groups"]
        yield first, (neuron[0] % parts * (shapes[0][0] // parts) + neuron[0] // parts, *neuron[1:]), 1
    elif node.op == "flatten":
        yield first, tuple(int(i) for i in np.unravel_index(neuron[0], shapes[0])), 1
    else:
        assert node.op == "linear"
        for i in range(shapes[0][0]):
            yield first, (i,), Fraction(1, shapes[0][0])


def counter(network, name, kernels):
    """A function of a position: the share of each pixel in all paths that lead there, by following every one."""
    memory = {}

    def weights(node_name, neuron):
        if node_name == "input":
            return {neuron[1:]: 1}
        key = (node_name, neuron)
        if key not in memory:
            total = {}
            for read, place, share in reads(network, network.by_name[node_name], neuron):
                for pixel, weight in weights(read, place).items():
                    total[pixel] = total.get(pixel, 0) + (weight * share if kernels == "fan_in" else weight)
            memory[key] = total
        return memory[key]

    def counted(position):
        out = {}
        for channel in range(network.shape_of(name)[0]):
            for pixel, weight in weights(name, (channel, *position)).items():
                out[pixel] = out.get(pixel, 0) + weight
        dense = np.zeros(network.input_shape[1:])
        total = sum(out.values())
        for pixel, weight in out.items():
            dense[pixel] = float(Fraction(weight) / total)
        return dense

    return counted


def conv(name, *inputs, **attributes):
    return {"name": name, "op": "conv", "out_channels": 2, "kernel_size": 3, "inputs": list(inputs), **attributes}


def other(name, op, *inputs, **attributes):
    return {"name": name, "op": op, "inputs": list(inputs), **attributes}


RESIDUAL = [
    conv("stem", "input", stride=2, padding=1, out_channels=3),
    conv("a", "stem", padding=1, out_channels=4),
    other("act", "relu", "a"),
    conv("b", "act", padding=2, dilation=2, out_channels=3),
    other("sum", "add", "b", "stem"),
    conv("last", "sum", kernel_size=[3, 1], stride=[2, 1]),
]
BRANCHES = [
    conv("a", "input", padding=1, out_channels=4),
    conv("one", "a", kernel_size=1, out_channels=3),
    conv("wide", "a", kernel_size=[1, 3], padding=[0, 1], out_channels=2),
    other("pool", "avg_pool", "a", kernel_size=3, stride=1, padding=1),
    other("all", "concat", "one", "wide", "pool", axis=0),
    other("norm", "group_norm", "all", groups=3),
    conv("grouped", "norm", groups=3, out_channels=6, padding=1),
    other("mixed", "channel_shuffle", "grouped", groups=3),
    conv("again", "mixed", groups=2, out_channels=4, kernel_size=2, stride=2),
]
PYRAMID = [
    conv("a", "input", padding=1),
    other("down", "max_pool", "a", kernel_size=2),
    conv("deep", "down", padding=1, out_channels=3),
    other("near", "resize", "deep", scale=2.0),
    {"name": "up", "op": "conv_transpose", "out_channels": 2, "kernel_size": 3, "stride": 2, "padding": 1,
     "output_padding": 1, "inputs": ["deep"]},
    other("both", "concat", "up", "a", "near", axis=0),
    other("pooled", "global_avg_pool", "deep"),
    conv("gate", "pooled", kernel_size=1, out_channels=7),
    other("gated", "mul", "both", "both"),
]  # fmt: skip
HEAD = [
    conv("a", "input", stride=2),
    other("flat", "flatten", "a"),
    {"name": "fc", "op": "linear", "out_features": 3, "inputs": ["flat"]},
]
CASES = [
    (RESIDUAL, (2, 13, 16), "last"),
    (RESIDUAL, (2, 13, 16), "sum"),
    (BRANCHES, (1, 8, 9), "again"),
    (BRANCHES, (1, 8, 9), "mixed"),
    (PYRAMID, (1, 8, 12), "gated"),
    (PYRAMID, (1, 8, 12), "gate"),
    ([conv("line", "input", stride=2), conv("more", "line")], (1, 15), "more"),
    ([conv("a", "input", padding=1), conv("b", "a", stride=2)], (1, 5, 6, 4), "b"),
]


@pytest.mark.parametrize("kernels", ["ones", "fan_in"])
@pytest.mark.parametrize(("layers", "shape", "node"), CASES)
def test_equals_counting_every_path(layers, shape, node, kernels):
    analysis = fastrf.analyze({"input_shape": shape, "layers": layers})
    map_shape = analysis[node].position_shape
    every = list(itertools.product(*map(range, map_shape)))
    found = path_weights(analysis, node, kernels=kernels)
    deviations = sigmas(analysis, node, kernels=kernels)
    reach = radii(analysis, node, kernels=kernels)
    counted = counter(analysis.network, node, kernels)
    for row, position in enumerate(every):
        np.testing.assert_allclose(found[row], counted(position), rtol=1e-12, atol=1e-15)
    for row in (0, len(every) // 2, len(every) - 1):
        one = effective(analysis, node, every[row], kernels=kernels)
        np.testing.assert_allclose(one.weights, found[row], rtol=1e-12)
        np.testing.assert_allclose(deviations[every[row]], one.sigma, rtol=1e-9)
        np.testing.assert_allclose(reach[every[row]], one.radius(), rtol=1e-9)
        for axis, marginal in enumerate(one.marginals):
            spread = marginals(analysis, node, axis, kernels=kernels)[every[row]]
            np.testing.assert_allclose(spread, marginal, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kernels", ["ones", "fan_in"])
def test_squeeze_and_excitation_equals_its_parts(kernels):
    """A mean over positions, two linear layers as convolutions, and a product."""
    whole = [conv("a", "input", stride=2), other("out", "squeeze_excitation", "a", squeeze_channels=5)]
    parts = [
        conv("a", "input", stride=2),
        other("mean", "global_avg_pool", "a"),
        conv("less", "mean", kernel_size=1, out_channels=5),
        conv("more", "less", kernel_size=1, out_channels=2),
        other("out", "mul", "a", "more"),
    ]
    one, other_one = (
        path_weights(fastrf.analyze({"input_shape": (1, 9, 8), "layers": layers}), "out", kernels=kernels)
        for layers in (whole, parts)
    )
    np.testing.assert_allclose(one, other_one, rtol=1e-12)


def test_a_vector_of_features_has_one_position():
    analysis = fastrf.analyze({"input_shape": (2, 7, 9), "layers": HEAD})
    np.testing.assert_allclose(
        effective(analysis, "fc").weights, counter(analysis.network, "fc", "ones")(()), rtol=1e-12
    )
    assert sigmas(analysis, "fc").shape == (2,)
    # The nominal size of a vector is unbounded, so the fraction is one of its box.
    assert effective(analysis, "fc").theoretical == (7, 9)


def test_deep_networks_do_not_overflow():
    """120 layers of 3 x 512 taps count 2 ** 1270 paths; a skip around the last one keeps its small share."""
    names = ["input", *(f"c{i}" for i in range(120))]
    layers = [conv(name, before, padding=1, out_channels=512) for before, name in itertools.pairwise(names)]
    layers.append(other("sum", "add", "c119", "c118"))
    analysis = fastrf.analyze({"input_shape": (512, 91), "layers": layers})
    found = effective(analysis, "c119")
    plain = fastrf.analyze([fastrf.conv(1, 3, padding=1) for _ in range(120)], (1, 91))
    np.testing.assert_allclose(found.weights, effective(plain, "conv120", kernels="fan_in").weights, rtol=1e-10)
    np.testing.assert_allclose(sigmas(analysis, "c119")[45], found.sigma, rtol=1e-9)
    np.testing.assert_allclose(marginals(analysis, "c119", 0)[45], found.marginals[0], rtol=1e-9)
    before, both = (effective(analysis, name).weights for name in ("c118", "sum"))
    share = (both - found.weights)[40] / (before - found.weights)[40]
    assert share == pytest.approx(1 / (3 * 512 + 1), rel=1e-4)


def test_several_nodes_in_one_pass():
    analysis = fastrf.analyze({"input_shape": (2, 13, 16), "layers": RESIDUAL})
    found = moments(analysis, ["stem", "sum", "last"])
    for name, moment in found.items():
        np.testing.assert_allclose(moment.sigma, sigmas(analysis, name), rtol=1e-12)
        one = effective(analysis, name, (0, 1))
        np.testing.assert_allclose(moment.mean[0, 1], one.mean, rtol=1e-9)
    assert moments(analysis, []) == {}


def test_measured_against_another_node():
    analysis = fastrf.analyze({"input_shape": (2, 13, 16), "layers": RESIDUAL}, wrt="stem")
    found = effective(analysis, "sum", (3, 3))
    assert found.weights.shape == (7, 8)
    itself = effective(analysis, "stem", (2, 5))
    assert itself.weights[2, 5] == 1
    assert itself.sigma.tolist() == [0, 0]
    assert itself.radius().tolist() == [0, 0]


def test_positions_that_nothing_leads_to():
    layers = [conv("a", "input"), other("none", "constant", "a", shape=[2, 3, 3]), other("both", "add", "none", "b")]
    layers.insert(2, conv("b", "input"))
    analysis = fastrf.analyze({"input_shape": (1, 5, 5), "layers": layers})
    blind = effective(analysis, "none")
    assert not blind.weights.any()
    assert np.isnan(blind.sigma).all()
    assert np.isnan(blind.radius()).all()
    assert blind.pixels().tolist() == [0, 0]
    assert np.isnan(sigmas(analysis, "none")).all()
    assert not marginals(analysis, "none", 0).any()
    np.testing.assert_allclose(effective(analysis, "both").weights, effective(analysis, "b").weights)


def test_what_has_no_weight_of_its_own():
    layers = [conv("a", "input", padding=1), other("soft", "softmax", "a", axis=1), conv("b", "soft", padding=1)]
    analysis = fastrf.analyze({"input_shape": (1, 5, 6), "layers": layers})
    with pytest.raises(UnsupportedOpError, match=r"node 'soft' \(softmax\): its weights depend on data"):
        effective(analysis, "b")
    with pytest.raises(UnsupportedOpError, match="node 'soft'"):
        sigmas(analysis, "b")
    assert effective(analysis, "a").sigma[0] == pytest.approx(math.sqrt(2 / 3))
    counted_once = effective(analysis, "b", (0, 0), nonlinear="count")
    assert counted_once.marginals[0].min() > 0
    data = fastrf.analyze({"input_shape": (1, 5, 6), "layers": [other("best", "topk", "input", axis=2, k=2)]})
    with pytest.raises(UnsupportedOpError, match="node 'best'"):
        effective(data, "best")


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize(("n", "m"), [(4, 8), (5, 7), (9, 4), (1, 3)])
def test_interpolation_has_its_own_weights(n, m, mode):
    """Resizing twice through the engine equals the product of two matrices; linear rows sum to 1."""
    one, two = resize_axis(Sampling(n, m, mode, "half_pixel", "floor", False, (n, m))), None
    matrix = one.weigh().toarray()
    np.testing.assert_array_equal(matrix != 0, one.relation.to_mask())
    if mode == "linear":
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
    layers = [other("a", "resize", "input", output_size=[m], mode=mode), conv("b", "a", padding=1)]
    analysis = fastrf.analyze({"input_shape": (1, n), "layers": layers})
    two = np.eye(m) + np.eye(m, k=1) + np.eye(m, k=-1)
    wanted = two @ (matrix / matrix.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(path_weights(analysis, "b"), wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-12)


def test_linear_interpolation_by_two():
    """Two pixels to four: 1, 3/4 and 1/4, 1/4 and 3/4, 1."""
    weights = resize_axis(Sampling(2, 4, "linear", "half_pixel", "floor", False, (2, 4))).weigh().toarray()
    assert weights.tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]


def test_radius_holds_the_share():
    analysis = fastrf.analyze([fastrf.conv(1, 3, padding=1) for _ in range(2)], (1, 9))
    found = effective(analysis, "conv2")
    # 1 2 3 2 1 of 9: a third within 0, seven ninths within 1, everything within 2.
    assert [found.radius(share)[0] for share in (0.3, 1 / 3, 0.5, 7 / 9, 0.8, 1)] == [0, 0, 1, 1, 2, 2]
    for share in (0, 1.5, math.nan):
        with pytest.raises(UsageError, match="share"):
            found.radius(share)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: effective(a, "nope"), UnknownNodeError, "'nope'"),
        (lambda a: effective(a, "conv2", (9, 0)), PositionError, "outside the map"),
        (lambda a: effective(a, "conv2", (1,)), PositionError, "has 1 index"),
        (lambda a: effective(a, "conv2", "a"), PositionError, "not a tuple of integers"),
        (lambda a: path_weights(a, "conv2", [[0.5, 1]]), PositionError, "must be integers"),
        (lambda a: path_weights(a, "conv2", [1, 2]), ShapeError, r"shape \(n, 2\)"),
        (lambda a: path_weights(a, "conv2", [[0, 0], [-1, 0]]), PositionError, "outside the map"),
        (lambda a: effective(a, "conv2", kernels="half"), UsageError, "ones, fan_in"),
        (lambda a: sigmas(a, "conv2", nonlinear="skip"), UsageError, "raise, count"),
        (lambda a: marginals(a, "conv2", 2), UsageError, "axis 2"),
        (lambda a: radii(a, "conv2", 2.0), UsageError, "share"),
    ],
)
def test_arguments_that_do_not_fit(call, error, message):
    analysis = fastrf.analyze([fastrf.conv(1, 3, padding=1) for _ in range(2)], (1, 9, 9))
    with pytest.raises(error, match=message) as caught:
        call(analysis)
    assert "\n" not in str(caught.value)


def test_stretches_are_joined_and_split():
    """A channel axis of 6 in three stretches, reshaped to (2, 3), put back and cut."""
    value = PathWeights(np.arange(3.0).reshape(1, 3, 1), (np.array([1, 2, 3]), np.array([4])))
    assert value.shape == (6, 4)
    wanted = np.repeat([0.0, 1, 1, 2, 2, 2], 4).reshape(1, 6, 4)
    np.testing.assert_array_equal(value.dense(), wanted)
    split = value.reshape((2, 3, 4))
    np.testing.assert_array_equal(split.dense(), wanted.reshape(1, 2, 3, 4))
    assert split.reshape((6, 4)).data.shape == (1, 3, 1)
    np.testing.assert_array_equal(value.cut(0, 2, 3).dense(), wanted[:, 2:5])
    np.testing.assert_array_equal(value.reshape((6, 1, 2, 2)).dense(), wanted.reshape(1, 6, 1, 2, 2))
    assert value.reshape((0, 3)).shape == (0, 3)
    assert value.scaled(2.0**300).exponent == 302


def test_a_matrix_and_a_radius_alone():
    """Three indices read by two, the second of which reads nothing; back again; and half of a row either way."""
    read = from_relation(Relation.from_rows(3, [[(0, 1), (2, 3)], []]))
    ones = (np.ones(3, np.int64), np.ones(2, np.int64))
    there = PathWeights(np.arange(6.0).reshape(1, 3, 2), ones).map_axis(0, read)
    assert there.data.tolist() == [[[4, 6], [0, 0]]]
    assert there.map_axis(0, read, transposed=True).data.tolist() == [[[4, 6], [0, 0], [4, 6]]]
    halves = Effective("both", (0,), np.outer([1.0, 0, 0, 1], [0, 2.0, 0]), (4.0, 3.0))
    assert halves.radius(0.9).tolist() == [1.5, 0]
    assert np.isnan(Effective("none", (0,), np.zeros((2, 0)), (2.0, 0.0)).radius()).all()
