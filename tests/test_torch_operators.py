"""Every rule of an ATen operator, entered by each of its names, with a batch beyond 1 wherever there is one.

A node of the operator is put into a graph by hand, since captured programs hold many of these only inside others. What
the rule says is compared with the operator's own Jacobian, or with "its own place" for functions of single elements.
"""

from __future__ import annotations

import math
import operator
import types

import numpy as np
import pytest

import fastrf
from fastrf.network import Network

torch = pytest.importorskip("torch")
frontend = pytest.importorskip("fastrf.frontends.torch")

from fastrf.frontends.lowering import Value, without_batch  # noqa: E402  (needs torch)
from fastrf.frontends.torch import names  # noqa: E402
from fastrf.frontends.torch.programs import Program  # noqa: E402
from fastrf.frontends.torch.registry import RULES  # noqa: E402
from fastrf.frontends.torch.walk import ProgramWalk  # noqa: E402
from tests.torch_cases import BY_VALUES, EVERY, LONG, POINTWISE, w  # noqa: E402


def example(case):
    drawn = w(*case.shape)
    if case.dtype == LONG:
        return (drawn > 1).long()
    return torch.complex(drawn, drawn.flip(0)) if case.dtype.is_complex else drawn / 2


def chosen(name, case, x):
    """The overload that takes these arguments, and what it gives."""
    packet = getattr(torch.ops.aten, name)
    if case.results is not None:
        return packet.default, case.results
    for overload in packet.overloads():
        operator_ = getattr(packet, overload)
        if operator_._schema.is_mutable and not name.endswith("_"):
            continue
        try:
            return operator_, operator_(*case.arguments(x.clone()), **case.named)
        except (RuntimeError, TypeError, ValueError):
            continue
    raise AssertionError(f"no overload of {name} takes these arguments")


def entered(operator_, case, x, result):
    """A network of the operator alone, and the layers of its results that are tensors."""
    module, graph, constants = torch.nn.Module(), torch.fx.Graph(), []
    placeholder = graph.placeholder("x")
    placeholder.meta["val"] = x

    def node_of(tensor):
        if tensor is x:
            return placeholder
        name = f"constant{len(constants)}"
        constants.append(tensor)
        module.register_buffer(name, tensor)
        node = graph.get_attr(name)
        node.meta["val"] = tensor
        return node

    made = torch.utils._pytree.tree_map_only(torch.Tensor, node_of, case.arguments(x))
    node = graph.call_function(operator_, tuple(made), case.named)
    node.meta["val"] = result
    walk = ProgramWalk(Program(graph, {"x": placeholder}, {}, {}, None, module=module))
    full = tuple(x.shape)
    walk.values[placeholder] = Value(walk.unique("x"), without_batch(full), full, None)
    plain = names.plain_name(operator_._schema.name)
    rule, walked = RULES[plain], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RULES, plain, lambda *given: walked.append(given) or rule(*given))
        walk.run(graph)
    assert walked, "the rule was not entered"
    nodes = [node]
    if not isinstance(result, torch.Tensor):
        nodes = [
            graph.call_function(operator.getitem, (node, k)) for k in range(min(len(walk.values[node]), len(result)))
        ]
        for k, one in enumerate(nodes):
            one.meta["val"] = result[k]
        walk.run(types.SimpleNamespace(nodes=nodes))
    spec = walk.spec("model", [walk.values[placeholder]], [walk.values[one].name for one in nodes])
    return Network.from_dict(spec), [(one.meta["val"], walk.values[one].name) for one in nodes]


def of_one_place(x, result):
    """Which elements of an input the results of an operator of single elements read, their own."""
    places = torch.arange(x.numel()).reshape(x.shape).broadcast_to(result.shape).ravel()
    return torch.nn.functional.one_hot(places, x.numel()).bool().numpy()


def by_autograd(operator_, case, x, shape, index):
    """Which elements of the input change a result, flat; None where there are no gradients."""

    def run(tensor):
        result = operator_(*case.arguments(tensor), **case.named)
        result = result if index is None else result[index]
        return torch.view_as_real(result) if result.is_complex() else result

    try:
        if not x.is_floating_point() or not run(x).is_floating_point():
            return None
        found = torch.autograd.functional.jacobian(run, x)
    except (RuntimeError, NotImplementedError):
        return None
    return (found != 0).reshape(math.prod(shape), -1, x.numel()).any(1).numpy()


def test_every_rule_has_a_case():
    plain = {names.plain_name(f"aten::{name}") for name in EVERY}
    elsewhere = {"torchvision::deform_conv2d", "fastrf::module", "fastrf::modules"}  # tests of their own have them
    elsewhere |= {"_grouped_mm", "transformers::grouped_mm_fallback"}
    assert {name for name in set(RULES) - plain if not name.startswith("quantized_decomposed::")} == elsewhere
    assert plain <= set(RULES)
    assert {form for form, of in names.FORMS.items() if of in RULES} <= set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_rule(name):
    case = EVERY[name]
    x = example(case)
    operator_, result = chosen(name, case, x)
    network, results = entered(operator_, case, x, result)
    analysis = fastrf.analyze(network)
    several = not isinstance(result, torch.Tensor)
    assert results
    for index, (value, layer) in enumerate(results):
        field = analysis[layer]
        assert field.shape == without_batch(tuple(value.shape))
        mine = field.to_csr(channels=True).toarray().astype(bool)
        if name in POINTWISE:
            truth = of_one_place(x, value)
        else:
            truth = by_autograd(operator_, case, x, value.shape, index if several else None)
        if truth is None:
            continue
        assert not (truth & ~mine).any(), "reads what the rule does not say"
        assert name in BY_VALUES or not field.exact or np.array_equal(truth, mine)


@pytest.mark.parametrize("frames", [1, 3])
def test_deform_conv2d(frames):
    ops = pytest.importorskip("torchvision").ops

    class Deformed(torch.nn.Module):
        def forward(self, x, offset):
            return ops.deform_conv2d(x, offset, w(2, 2, 3, 3).float(), padding=1)

    net = fastrf.load(Deformed(), {"x": torch.ones(frames, 2, 5, 4), "offset": torch.ones(frames, 18, 5, 4)})
    field = fastrf.analyze(net, wrt="x").output
    assert field.neuron_mask((0,) * len(field.shape)).all()
    assert not field.exact


def test_slopes_that_the_input_makes_are_those_of_their_channels():
    class Sloped(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.prelu(torch.ones(3, 4, 2, 4), x[:, 0].mean(1))

    field = fastrf.analyze(Sloped(), torch.ones(4, 2, 6)).output
    mask = field.neuron_mask((1, 2, 0, 3))
    assert mask[2, 0].all()
    assert mask.sum() == 6


class Statistics(torch.nn.Module):
    """What a norm returns beside its result."""

    def forward(self, x):
        return torch.native_layer_norm(x, (4,), None, None, 1e-5)[1]


def test_statistics_have_no_rule():
    with pytest.raises(fastrf.UnsupportedOpError, match=r"aten::native_layer_norm is not supported"):
        fastrf.load(Statistics(), (3, 4))
    field = fastrf.analyze(Statistics(), (3, 4), on_unsupported="full").output
    assert field.approximate_at
    assert field.neuron_mask((1, 0)).all()


def test_forms_are_those_of_plain_operators():
    assert names.plain_name("aten::relu_") == names.plain_name("aten::relu") == "relu"
    assert names.plain_name("aten::__and__") == "bitwise_and"
    assert names.plain_name("torchvision::nms") == "torchvision::nms"
    assert names.plain_name("add") != names.plain_name("aten::add")  # Python's own, of sizes
    assert not set(names.FORMS) & set(RULES)


def test_zeros_of_weights_pass_slopes():
    class Sloped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.slope = (torch.nn.Parameter(torch.rand(n)) for n in ((1, 1, 3, 3), (1,)))

        def forward(self, x):
            weight = torch.nn.functional.prelu(self.weight * torch.eye(3), self.slope)
            return torch.nn.functional.conv2d(x, weight, padding=1)

    field = fastrf.analyze(Sloped(), (1, 5, 5)).output
    assert field.exact
    assert np.argwhere(field.mask((2, 2))).tolist() == [[1, 1], [2, 2], [3, 3]]
