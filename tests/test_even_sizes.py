"""Sizes that strides divide: solved, and compared with looking at the layers at every size."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf.cli import commands
from fastrf.errors import FastRFError, ShapeError
from fastrf.network import Network
from fastrf.queries.sizes.answers import AxisSizes
from fastrf.queries.sizes.layers import follow
from tests.strategies import random_spec

POOLS = ("max_pool", "avg_pool", "lp_pool")
SLIDING = (*POOLS, "conv", "depthwise_conv", "deform_conv", "window", "unfold")


def layer(name, op, *inputs, **attributes):
    return {"name": name, "op": op, **attributes, **({"inputs": list(inputs)} if inputs else {})}


def conv(name, **more):
    return layer(name, "conv", out_channels=2, kernel_size=3, **more)


def unet(levels=4):
    """Ronneberger et al. (2015): no padding, skips cropped at the centre to the map that they meet."""
    layers = [conv("a0"), conv("e0")]
    for k in range(1, levels + 1):
        layers += [layer(f"p{k}", "max_pool", kernel_size=2), conv(f"a{k}"), conv(f"e{k}")]
    for k in reversed(range(levels)):
        layers += [
            layer(f"u{k}", "conv_transpose", out_channels=2, kernel_size=2, stride=2),
            layer(f"s{k}", "center_crop", f"e{k}", f"u{k}"),
            layer(f"j{k}", "concat", f"s{k}", f"u{k}", axis=0),
            conv(f"b{k}"),
            conv(f"c{k}"),
        ]
    return {"input_shape": [1, 572, 572], "layers": layers}


def read_at(network, name, axis, size):
    shapes = {key: given.shape for key, given in network.inputs.items()}
    shapes[name] = tuple(size if k == axis else n for k, n in enumerate(shapes[name]))
    try:
        return Network.from_dict(network.to_dict(), shapes)
    except FastRFError:
        return None


def bare(network, name):
    """What a layer gets, ahead of padding."""
    node = network.by_name.get(name)
    if node is not None and node.op == "pad" and min(n for pair in node.attributes["padding"] for n in pair) >= 0:
        return bare(network, node.inputs[0])
    return network.shape_of(name)


def leaves(network, follows):
    """Layers whose stride does not divide what they get, along axes that follow the input."""
    found = []
    for node in network.nodes:
        if node.op not in SLIDING:
            continue
        given = bare(network, node.inputs[0])[1:]
        kernel = node.attributes["kernel_size"]
        stride = node.attributes.get("stride") or (kernel if node.op in POOLS else 1)
        strides = stride if isinstance(stride, tuple) else [stride] * len(given)
        rests = [n % s for k, (n, s) in enumerate(zip(given, strides, strict=True)) if follows(node.inputs[0], k + 1)]
        found += [node.name] * any(rests)
    return found


def require_as_looked_at(network, name, axis, sizes):
    found = follow(network, name, axis)
    answer = AxisSizes(axis, network.inputs[name].shape[axis], found.pieces).evenly
    padded = {node.name: node.inputs[0] for node in network.nodes if node.op == "pad"}

    def follows(read, k):
        return (read, k) in found.varying or (read, k) == (name, axis) or (read in padded and follows(padded[read], k))

    for size in sizes:
        other = read_at(network, name, axis, size)
        if answer.fits(size):
            assert leaves(other, follows) == [], (axis, size)
        elif other is not None and answer.why(size).told.startswith("a stride"):
            assert answer.why(size).node in leaves(other, follows), (axis, size)


def test_the_unet_of_the_paper():
    spec = unet()
    sizes = fastrf.sizes(spec)

    assert sizes.even == (((188, None, 16),),) * 2
    assert sizes.input_for((388, 388)) == (572, 572)
    assert sizes.evenly.smallest == (188, 188)
    assert sizes.axes[0].output_shape(188) == (2, 4, 388)
    assert sizes.fits(570)
    assert not sizes.evenly.fits(570)
    assert sizes.evenly.why(570) == "570 on axis 1: node 'p2': a stride of 2 does not divide 279"
    network = fastrf.load({**spec, "input_shape": [1, 572, 188]})
    fitting, even = [], []
    for size in range(1, 701):
        other = read_at(network, "input", 1, size)
        fitting += [size] * (other is not None)
        even += [size] * (other is not None and leaves(other, lambda *_: True) == [])
    assert fitting == list(range(188, 701))
    assert even == list(range(188, 701, 16))


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed, rng):
    network = Network.from_dict(random_spec(np.random.default_rng(rng.integers(1 << 32)), layers=6))
    for name, given in network.inputs.items():
        for axis in range(len(given.shape)):
            try:
                require_as_looked_at(network, name, axis, range(1, 14))
            except fastrf.UnsupportedOpError:  # products of an axis with itself
                continue


SPECS = {
    "padded ahead": ([fastrf.layer("pad", padding=[[0, 0], [0, 1]]), fastrf.conv(1, 3, stride=2)], (2, None, 2)),
    "cropped ahead": ([fastrf.layer("pad", padding=[[0, 0], [-1, 0]]), fastrf.conv(1, 3, stride=2)], (5, None, 2)),
    "same": ([fastrf.conv(1, 3, stride=2, padding="same"), fastrf.max_pool(3, 2, ceil_mode=True)], (4, None, 4)),
    "every second": ([fastrf.layer("slice", axis=1, start=1, step=2)], (2, None, 2)),
    "a stretch": ([fastrf.layer("slice", axis=1, start=3, step=3)], (3, None, 3)),
    "at a fixed end": ([fastrf.layer("slice", axis=1, stop=-1, step=2)], (1, None, 2)),
    "shrunk": ([fastrf.resize(scale=0.75)], (4, None, 4)),
    "grown": ([fastrf.resize(scale=1.5)], (1, None, 1)),
    "one number": ([fastrf.adaptive_avg_pool(7), fastrf.max_pool(2)], (1, None, 1)),
    "no stride": ([fastrf.conv(1, 3, padding=1)], (1, None, 1)),
    "strides": ([fastrf.conv(1, 4, stride=4), fastrf.max_pool(2), fastrf.layer("unfold", 3, stride=3)], (24, None, 24)),
}


@pytest.mark.parametrize("name", SPECS)
def test_layers_have_their_stride(name):
    layers, wanted = SPECS[name]
    assert fastrf.sizes(layers, (1, 48)).even[0][-1] == wanted


@pytest.mark.parametrize(("name", "step"), [("resnet18", 32), ("unet", 16)])
def test_built_in_networks_want_their_whole_stride(name, step):
    sizes = fastrf.sizes(name, (3, 64, 64), within=(1, 200))

    assert sizes.even == (((step, 200 // step * step + 1, step),),) * 2
    assert sizes.fits(100)
    assert sizes.evenly.progressions == sizes.even


def test_several_axes():
    tied = fastrf.sizes([fastrf.conv(2, 3, stride=2, padding=1), fastrf.flatten(), fastrf.linear(10)], (1, 8, 8))

    assert tied.even == (((8, 9, 1),),) * 2
    assert tied.evenly.fits((8, 8))
    assert not tied.evenly.fits((16, 6))
    with pytest.raises(ShapeError, match="tied at node 'flatten2'; ask one by itself, such as sizes"):
        tied.evenly.fits((4, 16))


def test_what_is_not_known_is_said(monkeypatch):
    monkeypatch.setattr("fastrf.ops.rules.RULES", dict(fastrf.ops.rules.RULES))
    monkeypatch.setattr("fastrf.queries.sizes.layers.OF_USERS", fastrf.ops.rules.RULES)
    monkeypatch.setattr("fastrf.ops.applying.RULES", fastrf.ops.rules.RULES)
    fastrf.rule("halves", batch=False)(lambda x: x.reshape([x.shape[0], x.shape[1] // 2, 2]).reduce(2))
    fastrf.rule("copies", batch=False)(lambda x: x)

    sizes = fastrf.sizes({"layers": [{"op": "halves"}]}, (2, 12))
    assert sizes.even == (None,)
    assert "not known" in str(sizes)
    with pytest.raises(ShapeError, match="strides along axis 1 are not known; give a spec"):
        _ = sizes.evenly
    assert fastrf.sizes({"layers": [{"op": "copies"}, fastrf.max_pool(2)]}, (2, 12)).even[0][0][2] == 2


def test_the_command(capsys):
    for words, code, told in (
        (["--even", "--fits", "570"], 1, "a stride of 4 does not divide 570"),
        (["--even", "--fits", "256"], 0, "256 + 32 k"),
        (["--fits", "250"], 0, "256 + 32 k"),
    ):
        with pytest.raises(SystemExit) as stop:
            commands.main(["sizes", "alexnet", *words])
        assert (stop.value.code or 0) == code
        assert told in " ".join(capsys.readouterr().out.split())
