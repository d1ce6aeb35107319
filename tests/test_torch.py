"""The PyTorch front-end: operators, whole models, and everything around them."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  (after the check that torch is there)

import fastrf  # noqa: E402
from fastrf.frontends import torch as frontend  # noqa: E402
from tests.autograd import Oracle  # noqa: E402
from tests.autograd.cases import CASES, Wrapped, module  # noqa: E402

#: Cases whose fields are over-approximations by design, and the operator.
APPROXIMATE = {"conv weights computed": "conv2d", "grid sample": "grid_sampler", "topk": "topk", "sort": "sort"}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def field_and_truth(analysis, oracle, name, node, full, index, wrt=0):
    """A neuron's mask by fastrf and by autograd."""
    field = analysis[name]
    (gradient,) = (
        torch.autograd.grad(oracle.values[node][index], oracle.inputs[wrt], retain_graph=True, allow_unused=True)
        if oracle.values[node].requires_grad
        else (None,)
    )
    shape = field.input_shape
    truth = np.zeros(shape, bool) if gradient is None else (gradient != 0).numpy().reshape(shape)
    return field.neuron_mask(index[1:] if len(full) == len(field.shape) + 1 else index), truth


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_every_neuron_of_a_small_module_equals_autograd(name):
    x = torch.rand(CASES[name][0])
    exported = frontend.capture(module(name), x)
    analysis = fastrf.analyze(exported)
    oracle = Oracle(exported, (x,))
    node = exported.graph_signature.user_outputs[0]
    full = tuple(oracle.values[node].shape)
    field = analysis.output
    for index in itertools.product(*map(range, full)):
        mine, truth = field_and_truth(analysis, oracle, field.name, node, full, index)
        if name in APPROXIMATE:
            assert (mine | truth == mine).all(), index
        else:
            np.testing.assert_array_equal(mine, truth, str(index))
    assert field.exact == (name not in APPROXIMATE)
    assert all(APPROXIMATE[name] in node for node in field.approximate_at)


MODELS = {
    "resnet18": 64,
    "swin_t": 64,
    "mobilenet_v3_small": 64,
    "densenet121": 64,
    "shufflenet_v2_x0_5": 65,
    "vit_b_32": 64,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.slow
def test_neurons_of_a_model_equal_autograd(name, rng):
    torchvision = pytest.importorskip("torchvision")
    size = MODELS[name]
    options = {"image_size": size, "num_layers": 3} if name.startswith("vit") else {}
    if name.startswith("vit"):
        options = {"patch_size": 16, "num_heads": 3, "hidden_dim": 48, "mlp_dim": 96, **options}
        model = torchvision.models.VisionTransformer(**options)
    else:
        model = torchvision.models.get_model(name, weights=None)
    x = torch.rand(1, 3, size, size)
    exported = frontend.capture(model, (3, size, size))
    analysis = fastrf.analyze(exported)
    assert analysis.output.exact
    layers = {*analysis.network.aliases, *(node.name for node in analysis.network.nodes if not node.scope)}
    shapes = {
        n.name: tuple(n.meta["val"].shape)
        for n in exported.graph.nodes
        if n.name in layers and isinstance(n.meta.get("val"), torch.Tensor)
    }
    chosen = [list(shapes)[int(k)] for k in np.linspace(0, len(shapes) - 1, 10)]
    oracle = Oracle(exported, (x,), keep=set(chosen))
    for node, turn in itertools.product(chosen, range(4)):
        full = shapes[node]
        index = tuple(turn * (n - 1) if turn < 2 else int(rng.integers(n)) for n in full)
        mine, truth = field_and_truth(analysis, oracle, node, node, full, index)
        np.testing.assert_array_equal(mine, truth, f"{node} {index}")


class Two(nn.Module):
    """Two inputs, results in containers."""

    def __init__(self):
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(1, 4, 1)

    def forward(self, image, depth):
        features = self.stem(image)
        return {"features": {"p3": features, "p4": features[:, :, ::2]}, "sum": features + self.side(depth)}


def test_several_inputs_by_name_and_nested_outputs():
    analysis = fastrf.analyze(Two(), {"image": (3, 8, 10), "depth": (1, 4, 5)})
    assert analysis.network.outputs == ("features.p3", "features.p4", "sum")
    assert analysis["features.p4"].shape == (4, 2, 5)
    assert analysis["sum"].neuron_mask((0, 0, 0)).sum() == 3 * 2 * 2
    other = fastrf.analyze(Two(), {"image": (3, 8, 10), "depth": (1, 4, 5)}, wrt="depth")
    assert np.argwhere(other["sum"].neuron_mask((0, 3, 2))).tolist() == [[0, 3, 2]]
    assert not other["features.p3"].neuron_mask((0, 0, 0)).any()


def test_tuple_outputs_are_numbered():
    net = Wrapped(lambda x: (x[:, :1], [x[:, 1:] * 2, x.mean()]))
    assert fastrf.analyze(net, (3, 4, 4)).network.outputs == ("out.0", "out.1.0", "out.1.1")


def test_modules_name_their_nodes():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 3)))
    network = fastrf.load(net, (3, 8, 8))
    scopes = [layer.get("scope", [])[-1] for layer in network.to_dict()["layers"]]
    assert scopes == ["0", "1.0", "1.1"]


def test_the_model_stays_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    field = fastrf.analyze(model, (3, 8, 8)).output
    assert field.neuron_mask((0, 0, 0)).sum() == 27
    assert [m.training for m in model] == [True, False, True]
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_precision(dtype):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU()).to(dtype)
    assert fastrf.analyze(model, (3, 6, 6)).output.neuron_mask((0, 0, 0)).sum() == 12
    assert next(model.parameters()).dtype == dtype


def test_weights_are_never_needed():
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten(2), nn.LSTM(36, 2))
    assert fastrf.analyze(model[:3], (3, 6, 6)).output.neuron_mask((0, 0)).sum() == 12


def test_example_tensors_with_or_without_a_tuple():
    model, x = nn.Conv2d(3, 4, 3), torch.rand(1, 3, 6, 6)
    for given in (x, (x,), {"input": x}, {"input": (3, 6, 6)}):
        assert fastrf.analyze(model, given).output.shape == (4, 4, 4)


def test_exported_programs_and_files(tmp_path: Path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(model, (torch.rand(1, 3, 6, 6),))
        torch.export.save(exported, tmp_path / "model.pt2")
    expected = fastrf.analyze(model, (3, 6, 6)).output
    for source in (exported, tmp_path / "model.pt2", str(tmp_path / "model.pt2")):
        field = fastrf.analyze(source).output
        assert (field.neuron_mask((0, 1, 2)) == expected.neuron_mask((0, 1, 2))).all()


def test_a_callable_by_name():
    assert fastrf.analyze("torch.nn:ReLU", (3, 4, 4)).output.neuron_mask((1, 2, 3)).sum() == 1
    with pytest.raises(fastrf.FormatError, match="has no 'Nothing'; did you mean"):
        fastrf.analyze("torch.nn:Nothing", (3, 4, 4))
    with pytest.raises(fastrf.FormatError, match="gives an OrderedDict"):
        fastrf.analyze("collections:OrderedDict", (3, 4, 4))


class Odd(nn.Module):
    """An operator without a rule, inside a submodule."""

    def __init__(self):
        super().__init__()
        self.inner = Wrapped(torch.linalg.matrix_exp)
        self.conv = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.conv(self.inner(x)) + x


def test_an_operator_without_a_rule_is_named():
    with pytest.raises(fastrf.UnsupportedOpError, match=r"node 'inner' .*aten::linalg_matrix_exp .*full"):
        fastrf.analyze(Odd(), (2, 3, 3))
    field = fastrf.analyze(Odd(), (2, 3, 3), on_unsupported="full").output
    assert not field.exact
    assert field.approximate_at[0].startswith("inner")
    assert field.neuron_mask((0, 0, 0)).all()


class Failing(nn.Module):
    """Wants four axes of eight."""

    def forward(self, x):
        return x.reshape(1, 8, -1) @ torch.ones(7, 7)


def one_line(caught):
    return "\n" not in str(caught.value)


def test_a_model_that_fails_is_one_line():
    with pytest.raises(fastrf.NetworkError, match=r"Failing fails in its own forward .*\(1, 3, 8, 8\)") as caught:
        fastrf.analyze(Failing(), (3, 8, 8))
    assert one_line(caught)


def test_data_dependent_control_flow_is_one_line():
    net = Wrapped(lambda x: x * 2 if x.sum() > 0 else x)
    with pytest.raises(fastrf.NetworkError, match="control flow") as caught:
        fastrf.analyze(net, (3, 4, 4), capture="export")
    assert one_line(caught)


def test_a_mask_of_booleans_is_told_with_its_remedy():
    net = Wrapped(lambda x: x[:, torch.tensor([True, False, True])] + 1)
    with pytest.raises(fastrf.UnsupportedOpError, match="depends on values") as caught:
        fastrf.analyze(net, (3, 4, 4), capture="export")
    assert one_line(caught)


def test_missing_or_wrong_shapes():
    with pytest.raises(fastrf.ShapeError, match=r"input_shape is missing.*Two"):
        fastrf.analyze(Two())
    with pytest.raises(fastrf.ShapeError, match="positive integers"):
        fastrf.analyze(nn.ReLU(), (3, -1, 4))
    with pytest.raises(fastrf.ShapeError, match=r"'colour' is not an argument .* image, depth"):
        fastrf.analyze(Two(), {"colour": (3, 4, 4)})
    with pytest.raises(fastrf.NetworkError, match="on_unsupported must be"):
        fastrf.analyze(nn.ReLU(), (3, 4, 4), on_unsupported="ignore")


def test_a_file_that_is_no_program(tmp_path: Path):
    (tmp_path / "model.pt2").write_bytes(b"nothing")
    with pytest.raises(fastrf.FormatError, match=r"not a \.pt2 file"):
        fastrf.analyze(tmp_path / "model.pt2")
    with pytest.raises(fastrf.FormatError, match=r"check the path|not a \.pt2"):
        fastrf.analyze(tmp_path / "missing.pt2")
