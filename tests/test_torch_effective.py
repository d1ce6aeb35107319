"""Effective receptive fields against autograd on the same networks with all kernels alike."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastrf  # noqa: E402
from fastrf.erf.gradients import gradient_effective  # noqa: E402
from fastrf.erf.maps import effective, sigmas  # noqa: E402
from fastrf.errors import (  # noqa: E402
    FormatError,
    NetworkError,
    PositionError,
    ShapeError,
    UnknownNodeError,
    UsageError,
)

pytestmark = pytest.mark.slow

F = torch.nn.functional


def taps(attributes, n_axes):
    kernel = attributes["kernel_size"]
    return int(np.prod(kernel)) if isinstance(kernel, list | tuple) else kernel**n_axes


def uniform(shape, kernels, divisor=1.0):
    """A kernel of ones, or of one divided by its inputs."""
    return torch.full(shape, 1.0 if kernels == "ones" else 1.0 / divisor, dtype=torch.float64)


def as_listed(value, n):
    return list(value) if isinstance(value, list | tuple) else [value] * n


def run_conv(x, a, kernels):
    groups, kernel = a.get("groups", 1), as_listed(a["kernel_size"], 2)
    shape = (a["out_channels"], x.shape[1] // groups, *kernel)
    weight = uniform(shape, kernels, np.prod(shape[1:]))
    stride, dilation, padding = (
        as_listed(a.get("stride", 1), 2),
        as_listed(a.get("dilation", 1), 2),
        a.get("padding", 0),
    )
    if padding == "same":
        totals = [
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
        ]
        (top, left), padding = [total // 2 for total in totals], 0
        x = F.pad(x, (left, totals[1] - left, top, totals[0] - top))
    return F.conv2d(x, weight, None, stride, padding, dilation, groups)


def run_depthwise(x, a, kernels):
    return run_conv(x, {**a, "out_channels": x.shape[1], "groups": x.shape[1]}, kernels)


def run_transposed(x, a, kernels):
    stride, kernel = as_listed(a.get("stride", 1), 2), as_listed(a["kernel_size"], 2)
    weight = uniform((x.shape[1], a["out_channels"], *kernel), kernels, x.shape[1] * np.prod(kernel) / np.prod(stride))
    return F.conv_transpose2d(x, weight, None, stride, a.get("padding", 0), a.get("output_padding", 0))


def run_pool(x, a, kernels):
    """A pool as a depthwise convolution with the same windows; what `ceil_mode` adds is padded."""
    kernel = as_listed(a["kernel_size"], 2)
    stride, pads = as_listed(a.get("stride", kernel), 2), as_listed(a.get("padding", 0), 2)
    extra = []
    for n, k, s, p in zip(x.shape[2:], kernel, stride, pads, strict=True):
        more = -(n + 2 * p - k) % s if a.get("ceil_mode") else 0
        extra.append(more if (-(-(n + 2 * p - k) // s)) * s < n + p else 0)
    x = F.pad(x, (pads[1], pads[1] + extra[1], pads[0], pads[0] + extra[0]))
    weight = uniform((x.shape[1], 1, *kernel), kernels, np.prod(kernel))
    return F.conv2d(x, weight, None, stride, 0, 1, x.shape[1])


def run_resize(x, a, kernels):
    if a.get("output_size") is not None:
        where = {"size": list(as_listed(a["output_size"], 2))}
    else:
        where = {"scale_factor": as_listed(float(a["scale"]) if not isinstance(a["scale"], tuple) else a["scale"], 2)}
    if a.get("mode", "nearest") == "nearest":
        return F.interpolate(x, **where)
    return F.interpolate(x, mode="bilinear", align_corners=a.get("coordinates") == "align_corners", **where)


def run_global(x, a, kernels):
    return x.sum((2, 3), keepdim=True) if kernels == "ones" else x.mean((2, 3), keepdim=True)


RUN = {
    "conv": run_conv,
    "depthwise_conv": run_depthwise,
    "conv_transpose": run_transposed,
    "max_pool": run_pool,
    "avg_pool": run_pool,
    "resize": run_resize,
    "global_avg_pool": run_global,
}
SAME = ("relu", "relu6", "silu", "sigmoid", "batch_norm", "dropout", "identity")


def linear_network(network, kernels, targets):
    """The input (a leaf of ones) and the wanted maps of a network with uniform kernels and no activations."""
    x = torch.ones((1, *network.input_shape), dtype=torch.float64, requires_grad=True)
    values = {"input": x}
    for node in network.nodes:
        parts = [values[read] for read in node.inputs]
        if node.op in SAME:
            values[node.name] = parts[0]
        elif node.op == "add":
            values[node.name] = sum(parts[1:], start=parts[0])
        elif node.op == "concat":
            values[node.name] = torch.cat(parts, node.attributes["axis"] + 1)
        elif node.op == "slice":
            a = node.attributes
            picked = [slice(None)] * (a["axis"] + 1) + [slice(a.get("start"), a.get("stop"), a.get("step", 1))]
            values[node.name] = parts[0][tuple(picked)]
        else:
            values[node.name] = RUN[node.op](parts[0], dict(node.attributes), kernels)
        assert tuple(values[node.name].shape[1:]) == node.shape, node
        if all(target in values for target in targets):
            break
    return x, [values[target] for target in targets]


def spread(x, result, position):
    """The gradient of one position, over channels of both ends, with sum 1."""
    (gradient,) = torch.autograd.grad(result[(0, slice(None), *position)].sum(), x, retain_graph=True)
    total = gradient[0].sum(0).numpy()
    return total / total.sum()


def places(shape):
    h, w = shape
    return [(0, 0), (h - 1, w - 1), (h // 2, w // 2), (0, w // 2), (h // 3, w - 1)]


CASES = [
    ("resnet18", (3, 65, 82), "layer4", "ones"),
    ("resnet18", (3, 65, 50), "layer4", "fan_in"),
    ("resnet50", (3, 64, 64), "layer3", "fan_in"),
    ("unet", (1, 32, 48), "dec1", "ones"),
    ("unet", (1, 32, 32), "dec1", "fan_in"),
    ("deeplabv3_resnet50", (3, 49, 33), "out", "fan_in"),
    ("densenet121", (3, 48, 32), "features.denseblock3", "fan_in"),
    ("fpn_resnet50", (3, 64, 32), "p3", "fan_in"),
    ("mobilenet_v1", (3, 64, 48), "Conv2d_13_pointwise", "ones"),
    ("inception_v3", (3, 107, 79), "Mixed_6b", "fan_in"),
]


@pytest.mark.parametrize(("name", "shape", "node", "kernels"), CASES)
def test_zoo_against_autograd(name, shape, node, kernels):
    network = fastrf.load(name, shape)
    target = node if node in network.by_name else None
    analysis = fastrf.analyze(network, targets=None)
    field = analysis[node]
    target = field.name
    x, (result,) = linear_network(network, kernels, [target])
    deviations = sigmas(analysis, node, kernels=kernels)
    for position in places(field.position_shape):
        wanted = spread(x, result, position)
        found = effective(analysis, node, position, kernels=kernels)
        np.testing.assert_allclose(found.weights, wanted, rtol=1e-9, atol=0)
        np.testing.assert_allclose(deviations[position], found.sigma, rtol=1e-9)


def linearised(model):
    """A torchvision ResNet with kernels of ones, no batch norm or activations, and sums for max pools."""
    for name, part in list(model.named_modules()):
        parent = model.get_submodule(name.rpartition(".")[0])
        leaf = name.rpartition(".")[2]
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.ones_(part.weight)
        elif isinstance(part, torch.nn.BatchNorm2d | torch.nn.ReLU):
            setattr(parent, leaf, torch.nn.Identity())
        elif isinstance(part, torch.nn.MaxPool2d):
            setattr(parent, leaf, torch.nn.AvgPool2d(part.kernel_size, part.stride, part.padding, divisor_override=1))
    return model.double()


def test_torchvision_resnet18_against_autograd():
    torchvision = pytest.importorskip("torchvision")
    shape = (3, 64, 96)
    analysis = fastrf.analyze(torchvision.models.resnet18(), shape)
    model = linearised(torchvision.models.resnet18())
    for node, position in [("layer4", (0, 0)), ("layer4", (1, 2)), ("layer3", (3, 0)), ("layer2.0", (7, 11))]:
        wanted = gradient_effective(model, node, shape, [position], samples=1, field=analysis[node])
        found = effective(analysis, node, position)
        np.testing.assert_allclose(found.weights, wanted.weights, rtol=1e-9, atol=0)
        np.testing.assert_allclose(found.sigma, wanted.sigma, rtol=1e-9)
        assert found.theoretical == wanted.theoretical


def small_model(bias=False):
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 8, 3, padding=1, bias=bias),
        torch.nn.ReLU(inplace=True),
        torch.nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=bias),
        torch.nn.Dropout(0.5),
        torch.nn.Flatten(),
    )


def test_gradients_average_over_inputs_and_positions():
    model = small_model()
    one = gradient_effective(model, "0", (2, 17, 21), [(8, 10)])
    assert one.position == (8, 10)
    assert one.pixels(0).tolist() == [3, 3]
    found = gradient_effective(model, "2", (2, 17, 21))
    assert found.position is None
    assert found.pixels(0).tolist() == [5, 5]
    np.testing.assert_allclose(found.mean, (8, 10), atol=0.5)
    assert found.theoretical == (17, 21)
    same = gradient_effective(model, "2", (2, 17, 21), [(4, 5)], inputs=np.ones((2, 2, 17, 21)), squared=True)
    assert same.weights.sum() == pytest.approx(1)
    assert model.training
    assert all(part.training for part in model.modules())


def test_expected_squared_gradients_are_the_weights_of_fan_in():
    """The mean over 4000 random linear networks, run as groups of one."""
    layers = [fastrf.conv(4, 3, padding=1) for _ in range(3)]
    exact = effective(fastrf.analyze(layers, (1, 9, 9)), "conv3", (4, 4), kernels="fan_in").weights
    torch.manual_seed(0)
    n = 4000
    x = torch.ones(1, n, 9, 9, requires_grad=True)
    result = x
    for channels in (1, 4, 4):
        result = F.conv2d(result, torch.randn(4 * n, channels, 3, 3), padding=1, groups=n)
    (gradient,) = torch.autograd.grad(result[0, :, 4, 4].sum(), x)
    squares = (gradient[0].double() ** 2).sum(0).numpy()
    np.testing.assert_allclose(squares / squares.sum(), exact, atol=0.005)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("nope", (2, 9, 9)), {}, UnknownNodeError, "no submodule 'nope'"),
        (("2", (2, 9)), {"samples": 0}, UsageError, "samples"),
        (("2", (9,)), {}, ShapeError, "input_shape"),
        (("2", (3, 9, 9)), {}, NetworkError, "fails on inputs of shape"),
        (("4", (2, 9, 9)), {}, ShapeError, "not a tensor"),
        (("2", (2, 9, 9), [(5, 0)]), {}, PositionError, "outside the map"),
        (("2", (2, 9, 9), np.zeros((0, 2), int)), {}, UsageError, "empty"),
        (("2", (2, 9, 9)), {"inputs": np.ones((1, 2, 9, 8))}, ShapeError, "are not images"),
        (("2", (2, 9, 9)), {"inputs": "a"}, FormatError, "must be numbers"),
        (("2", (2, 9, 9)), {"inputs": np.full((1, 2, 9, 9), np.nan)}, FormatError, "not finite"),
    ],
)
def test_gradients_that_cannot_be(arguments, options, error, message):
    with pytest.raises(error, match=message):
        gradient_effective(small_model(), *arguments, **options)


def test_gradients_of_what_has_none():
    model = small_model()
    with pytest.raises(UsageError, match=r"torch.nn.Module is needed"):
        gradient_effective("resnet18", "layer4", (3, 9, 9))
    model.add_module("unused", torch.nn.Identity())
    model.forward = torch.nn.Sequential(*list(model)[:3]).forward
    with pytest.raises(UnknownNodeError, match="never called"):
        gradient_effective(model, "unused", (2, 9, 9))
    constant = torch.nn.Sequential(torch.nn.Identity())
    constant.forward = lambda _: constant[0](torch.ones(1, 1, 3, 3))
    with pytest.raises(UsageError, match="no gradient"):
        gradient_effective(constant, "0", (2, 9, 9))
