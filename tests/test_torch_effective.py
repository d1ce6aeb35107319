"""Effective receptive fields against autograd on the same networks with all kernels alike."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastrf  # noqa: E402
from fastrf.anchors.effective import effective, sigmas  # noqa: E402

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
    ("resnet18", (3, 97, 130), "layer4", "ones"),
    ("resnet18", (3, 97, 130), "layer4", "fan_in"),
    ("resnet50", (3, 64, 64), "layer3", "fan_in"),
    ("unet", (1, 64, 96), "dec1", "ones"),
    ("unet", (1, 64, 64), "dec1", "fan_in"),
    ("deeplabv3_resnet50", (3, 65, 65), "out", "fan_in"),
    ("densenet121", (3, 64, 64), "features.denseblock3", "fan_in"),
    ("fpn_resnet50", (3, 64, 96), "p3", "fan_in"),
    ("mobilenet_v1", (3, 96, 64), "Conv2d_13_pointwise", "ones"),
    ("inception_v3", (3, 107, 107), "Mixed_6b", "fan_in"),
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
