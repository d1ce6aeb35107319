"""Published receptive fields of the built-in networks, each with its source."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf import zoo


def rows(name, nodes, shape=None):
    analysis = fastrf.analyze(name, shape)
    return [tuple(v[0] for v in (f.size, f.stride, f.padding)) for f in (analysis[node] for node in nodes)]


def row(analysis, node):
    field = analysis[node]
    return field.size[0], field.stride[0], field.padding[0]


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_loads_and_round_trips(name):
    network = fastrf.load(name)
    assert fastrf.Network.from_dict(network.to_dict()).to_dict() == network.to_dict()
    assert all(node.parameters is not None for node in network.nodes)


# rfa_toolbox 1.7.0 and tables computed per position; strides 4, 8, 16, 32, output 0 centred on pixel 0.
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("resnet18", (43, 99, 211, 435)),
        ("resnet34", (59, 179, 547, 899)),
        ("resnet50", (35, 91, 267, 427)),
        ("resnet101", (35, 91, 811, 971)),
        ("resnet152", (35, 155, 1291, 1451)),
        ("resnet50_caffe", (35, 99, 291, 483)),
    ],
)
def test_resnets(name, sizes):
    found = rows(name, ["layer1", "layer2", "layer3", "layer4"])
    if name == "resnet50_caffe":
        assert [r[0] for r in found] == list(sizes)
    else:
        assert found == [(r, j, (r - 1) // 2) for r, j in zip(sizes, (4, 8, 16, 32), strict=True)]


# google-research/receptive_field, RECEPTIVE_FIELD_TABLE.md (Araujo et al., Distill 2019).
@pytest.mark.parametrize(("size", "padding"), [(224, 126), (321, 157)])
def test_mobilenet_v1(size, padding):
    assert rows("mobilenet_v1", ["Conv2d_13_pointwise"], (3, size, size)) == [(315, 32, padding)]


def test_vgg16_inception_densenet():
    """Araujo et al.: VGG-16 pool5 and Inception-v3 Mixed_7c; DenseNet-121 measured from the ONNX model zoo's."""
    assert rows("vgg16", ["features.30"]) == [(212, 32, 90)]
    inception = rows("inception_v3", ["Mixed_5d", "Mixed_6a", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c"])
    assert [r[:2] for r in inception] == [(127, 8), (159, 16), (927, 16), (1055, 32), (1183, 32), (1311, 32)]
    assert rows("densenet121", ["features.norm5"]) == [(2071, 32, 1021)]


def test_parameter_counts():
    """As the reference implementations report them."""
    counts = {
        "vgg16": 138_357_544,
        "resnet18": 11_689_512,
        "resnet50": 25_557_032,
        "resnet152": 60_192_808,
        "densenet121": 7_978_856,
        "inception_v3": 23_834_568,
        "yolov5s": 7_235_389,
    }
    for name, count in counts.items():
        assert sum(node.parameters for node in fastrf.load(name).nodes) == count


def test_resnet50_macs():
    """He et al. 2015 give 3.8 GFLOPs (multiply-adds) for the 50-layer network; torchvision's form has 4.09."""
    assert sum(node.macs for node in fastrf.load("resnet50").nodes) == 4_089_184_256


def test_unet_has_two_sizes_by_phase():
    """Ronneberger et al. 2015: 572 to 388; a border of 92."""
    same = fastrf.analyze("unet").output
    assert same.size_range == ((188, 204), (188, 204))
    assert same.stride == (1, 1)
    widths = np.ptp(same.intervals(0), axis=1)[200:216]
    assert [int(w) for w in widths] == [204 if o % 16 in range(2, 14) else 188 for o in range(200, 216)]
    valid = fastrf.analyze("unet_valid").output
    spans = valid.intervals(0)
    assert valid.position_shape == (388, 388)
    assert np.bincount(np.ptp(spans, axis=1))[[188, 204]].tolist() == [100, 288]
    assert spans[0].tolist() == [0, 188]
    assert spans[-1, 1] == 572
    assert not valid.clipped().any()


def test_feature_pyramid_levels_and_their_phases():
    """Torchvision's RetinaNet form: P2 and P3 alternate between two extents."""
    analysis = fastrf.analyze("fpn_resnet50")
    found = [analysis[f"p{level}"].size_range[0] for level in range(2, 8)]
    assert found == [(427, 459), (427, 459), (459, 459), (491, 491), (555, 555), (683, 683)]
    assert [analysis[f"p{level}"].stride[0] for level in range(2, 8)] == [4, 8, 16, 32, 64, 128]


# Zhang et al., "S3FD", ICCV 2017: layer, stride, receptive field with the 3x3 prediction, centre of cell 0, and the
# centre of the prior box of cell 0, which the receptive field misses by 16 and 48 pixels on the last two.
@pytest.mark.parametrize(
    ("layer", "stride", "size", "cell", "offset"),
    [
        ("conv3_3", 4, 48, (-22, 26), 0),
        ("conv4_3", 8, 108, (-50, 58), 0),
        ("conv5_3", 16, 228, (-106, 122), 0),
        ("conv_fc7", 32, 340, (-154, 186), 0),
        ("conv6_2", 64, 468, (-218, 250), 16),
        ("conv7_2", 128, 724, (-346, 378), 48),
    ],
)
def test_s3fd(layer, stride, size, cell, offset):
    analysis = fastrf.analyze("s3fd")
    head = analysis[f"{layer}_head"]
    assert row(analysis, f"{layer}_head") == (size, stride, -cell[0])
    assert head.start[0] == sum(cell) / 2
    assert stride / 2 - head.start[0] == offset


def test_lffd_every_convolution_and_tap():
    """He et al., "LFFD" 2019, 8 scales: symbol_structures.xlsx."""
    analysis = fastrf.analyze("lffd_8")
    sizes = [
        3,
        7,
        15,
        23,
        31,
        39,
        47,
        55,
        63,
        71,
        79,
        95,
        111,
        127,
        143,
        159,
        191,
        223,
        255,
        319,
        383,
        447,
        511,
        575,
        639,
    ]
    assert [analysis[f"conv{i}"].size[0] for i in range(1, 26)] == sizes
    taps = {8: (4, 3), 10: (4, 3), 13: (8, 7), 15: (8, 7), 18: (16, 15), 21: (32, 31), 23: (32, 31), 25: (32, 31)}
    for tap, (stride, center) in taps.items():
        field = analysis[f"relu_conv{tap}"]
        assert (field.stride[0], field.center[0]) == (stride, center)
        assert field.position_shape[0] == {4: 159, 8: 79, 16: 39, 32: 19}[stride]


def test_yolov5s():
    """Version 6.0, by module: layer 2, C3 of strides 8, 16, 32, SPPF, and the three heads by phase."""
    analysis = fastrf.analyze("yolov5s")
    assert [analysis[f"model.{i}"].size[0] for i in (2, 4, 6, 8, 9)] == [18, 58, 170, 266, 650]
    assert [analysis[p].size_range[0] for p in ("p3", "p4", "p5")] == [(682, 714), (746, 746), (842, 842)]
    assert analysis["p5"].center[0] == 0.5


@pytest.mark.parametrize(
    ("name", "node", "size"),
    [
        ("wavenet", "stack1.layer10", 1024),
        ("wavenet", "stack3.layer10", 3070),
        ("wavenet", "postprocess2", 3070),
        ("tcn", "Add_Skip_Connections", 253),
    ],
)
def test_causal_networks(name, node, size):
    """WaveNet (van den Oord et al. 2016) and keras-tcn's formula 1 + 2 (K - 1) sum(d)."""
    field = fastrf.analyze(name, (1, 4000))[node]
    assert field.size == (size,)
    assert field.box((3500,)).tolist() == [[3501 - size, 3501]]


def test_araujo_fixture_net1():
    """receptive_field_computation_test.py: two aligned paths give size 3, stride 4, padding 1."""
    spec = {
        "input_shape": [1, 33, 33],
        "layers": [
            {"name": "a", "op": "conv", "out_channels": 1, "kernel_size": 1, "stride": 4},
            {"name": "pad", "op": "pad", "padding": [[0, 0], [1, 0], [1, 0]], "inputs": ["input"]},
            {"name": "b", "op": "conv", "out_channels": 1, "kernel_size": 3, "stride": 2},
            {"name": "c", "op": "conv", "out_channels": 1, "kernel_size": 1, "stride": 2},
            {"name": "cut", "op": "slice", "axis": 1, "stop": 8},
            {"name": "sum", "op": "add", "inputs": ["cut2", "crop"]},
            {"name": "cut2", "op": "slice", "axis": 2, "stop": 8, "inputs": ["cut"]},
            {"name": "crop", "op": "pad", "padding": [[0, 0], [0, -1], [0, -1]], "inputs": ["a"]},
        ],
        "outputs": ["sum"],
    }
    assert row(fastrf.analyze(spec), "sum") == (3, 4, 1)


def test_araujo_fixture_net5():
    """The same file: kernels that differ by axis."""
    layers = [fastrf.conv(1, [3, 5], stride=2), fastrf.conv(1, [3, 1], stride=2)]
    field = fastrf.analyze(layers, (1, 64, 64)).output
    assert (field.size, field.stride, field.padding) == ((7, 5), (4, 4), (0, 0))


def test_swin_window_attention_is_bounded():
    """A window partition, attention inside it, a shift and a second one: phases of the window, not the whole image."""
    spec = {
        "input_shape": [4, 32],
        "layers": [
            {"name": "windows", "op": "reshape", "shape": [4, 4, 8]},
            {"name": "mixed", "op": "softmax", "axis": 2},
            {"name": "back", "op": "reshape", "shape": [4, 32]},
            {"name": "shifted", "op": "roll", "shifts": -4, "axes": 1},
            {"name": "windows2", "op": "reshape", "shape": [4, 4, 8]},
            {"name": "mixed2", "op": "softmax", "axis": 2},
            {"name": "back2", "op": "reshape", "shape": [4, 32]},
        ],
    }
    analysis = fastrf.analyze(spec)
    assert analysis["back"].size == (8,)
    assert analysis["back2"].size == (16,)
    assert analysis["back2"].intervals(0)[3].tolist() == [0, 16]


@pytest.mark.parametrize(
    ("name", "shape"), [("unet3d", (1, 12, 16, 16)), ("yolov5s", (3, 100, 96)), ("unet_valid", (1, 60, 60))]
)
def test_inputs_that_do_not_fit_an_architecture(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(fastrf.FastRFError, match=r"multiples of|at least"):
        fastrf.load(name, shape)


def test_a_map_that_is_smaller_than_its_skip_is_padded() -> None:
    assert fastrf.load("unet", (1, 50, 70)).shape_of("head") == (2, 50, 70)
