"""Quantised models have the fields of the models that they were made from: rounding reads no further."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn
ao: Any = pytest.importorskip("torch.ao.quantization")
fx: Any = pytest.importorskip("torch.ao.quantization.quantize_fx")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"),
    pytest.mark.skipif("fbgemm" not in torch.backends.quantized.supported_engines, reason="no engine that packs"),
]
SHAPE = (3, 14, 12)


class Net(nn.Module):  # type: ignore[misc,name-defined]
    """Convolutions, a norm, a sum, a join and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.end = ao.QuantStub(), ao.DeQuantStub()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.down, self.pool = nn.Conv2d(4, 4, (3, 1), stride=2), nn.MaxPool2d(2)
        self.up, self.head = nn.ConvTranspose2d(4, 4, 2, stride=2), nn.Linear(4, 5)
        self.sum = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x: Any) -> Any:
        x = self.up(self.down(self.stem(self.start(x))))
        x = self.sum.cat([self.sum.add(x, x), x], 1)[:, 2:6]
        return self.end(self.head(self.pool(x).permute(0, 2, 3, 1)))


class Plain(Net):
    """The same without what only eager quantisation needs."""

    def forward(self, x: Any) -> Any:
        x = self.up(self.down(self.stem(x)))
        x = torch.cat([x + x, x], 1)[:, 2:6]
        return self.head(self.pool(x).permute(0, 2, 3, 1))


def eager(train: bool = False) -> Any:
    net = Net().train(train)
    net.qconfig = ao.get_default_qat_qconfig("fbgemm") if train else ao.get_default_qconfig("fbgemm")
    net.up.qconfig = None if train else ao.QConfig(ao.default_observer, ao.default_weight_observer)
    if not train:
        ao.fuse_modules(net.stem, [["0", "1", "2"]], inplace=True)
    found = ao.prepare_qat(net) if train else ao.prepare(net)
    found(torch.rand(1, *SHAPE))
    return found


def by_graph(train: bool = False) -> Any:
    mapping = ao.get_default_qat_qconfig_mapping("fbgemm") if train else ao.get_default_qconfig_mapping("fbgemm")
    prepare = fx.prepare_qat_fx if train else fx.prepare_fx
    found = prepare(Plain().train(train), mapping, (torch.rand(1, *SHAPE),))
    found(torch.rand(1, *SHAPE))
    return found


MADE: dict[str, Callable[[], Any]] = {
    "eager, prepared": eager,
    "eager, converted": lambda: ao.convert(eager()),
    "eager, trained": lambda: eager(train=True),
    "graph, prepared": by_graph,
    "graph, converted": lambda: fx.convert_fx(by_graph()),
    "graph, trained": lambda: by_graph(train=True),
    "graph, trained, converted": lambda: fx.convert_fx(by_graph(train=True).eval()),
    "graph, reference": lambda: fx.convert_to_reference_fx(by_graph()),
}


@pytest.mark.parametrize("made", MADE)
def test_quantised_models_have_the_fields_of_their_models(made: str) -> None:
    wanted = fastrf.analyze(Plain(), SHAPE)
    model = MADE[made]()
    state = copy.deepcopy({name: t for name, t in model.state_dict().items() if isinstance(t, torch.Tensor)})
    analysis = fastrf.analyze(model, SHAPE)
    assert analysis.output.exact
    assert analysis.output.assumes == ()
    assert analysis.output.relations == wanted.output.relations
    assert analysis.output.size == wanted.output.size
    for name in ("down", "up"):
        assert analysis[name].relations == wanted[name].relations
    now = model.state_dict()
    assert all(torch.equal(t, now[name]) for name, t in state.items())
    count = sum(p.numel() for p in (Plain() if "converted" in made else model).parameters())
    counts = [node.parameters or 0 for node in analysis.network.nodes]
    assert sum(counts) == count - 8 * ("converted" in made)  # a norm is folded into its convolution
    model(torch.rand(1, *SHAPE))


def test_a_quantised_model_reads_what_its_mask_says() -> None:
    model = fx.convert_fx(by_graph())
    field = fastrf.analyze(model, SHAPE).output
    x = torch.rand(1, *SHAPE)
    before = model(x)[0]
    for row, column in ((0, 0), (6, 5), (13, 11), (7, 2)):
        other = x.clone()
        other[0, :, row, column] += 100
        changed = (model(other)[0] != before).any(-1).numpy()
        seen = np.zeros_like(changed)
        for place in np.ndindex(*seen.shape):
            seen[place] = field.mask(place)[row, column]
        assert not (changed & ~seen).any()


def test_a_range_that_is_found_while_it_runs_is_assumed() -> None:
    model = ao.quantize_dynamic(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)), {nn.Linear})
    analysis = fastrf.analyze(model, (5, 8))
    assert [node.parameters for node in analysis.network.nodes] == [54, 0, 28]
    assert np.flatnonzero(analysis.output.mask((3,))).tolist() == [3]
    assert analysis.output.assumes == ("the range by which a tensor is quantised dynamically is taken for a constant",)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("dtype", [torch.qint8, torch.float16])
@pytest.mark.parametrize("packed", [False, True])
def test_quantised_recurrent_layers_are_plain_ones(kind: Any, dtype: torch.dtype, packed: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = kind(4, 5, num_layers=2, bidirectional=not packed, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not packed:
                return self.layers(x)[0]
            rows = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([7]), batch_first=True)
            return nn.utils.rnn.pad_packed_sequence(self.layers(rows)[0], batch_first=True)[0]

    plain, quantised = (fastrf.analyze(m, (7, 4)) for m in (Model(), ao.quantize_dynamic(Model(), {kind}, dtype)))
    assert quantised.output.relations == plain.output.relations
    assert quantised.output.exact
    counts = [sum(node.parameters or 0 for node in found.network.nodes) for found in (plain, quantised)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("dtype", [torch.qint8, torch.float16])
def test_quantised_cells_are_plain_ones(kind: Any, dtype: torch.dtype) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = kind(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states = self.cell(x[:, 0])
            states = self.cell(x[:, 1], states)
            return states[0] if isinstance(states, tuple) else states

    plain, quantised = (fastrf.analyze(m, (3, 4)) for m in (Model(), ao.quantize_dynamic(Model(), {kind}, dtype)))
    assert quantised.output.relations == plain.output.relations
    counts = [sum(node.parameters or 0 for node in found.network.nodes) for found in (plain, quantised)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_quantised_tables_are_looked_up_as_plain_ones(kind: Any, bits: int) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.mix = kind(9, 8), nn.Linear(8, 3)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            rows = ids if kind is nn.Embedding else ids.reshape(3, 2)
            return self.mix(self.table(rows))

    config = ao.float_qparams_weight_only_qconfig if bits == 8 else ao.float_qparams_weight_only_qconfig_4bit
    quantised = ao.quantize_dynamic(Model(), {kind: config}, mapping=None)
    plain, found = (fastrf.analyze(model, (6,)) for model in (Model(), quantised))
    assert found.output.relations == plain.output.relations
    assert [sum(n.parameters or 0 for n in one.network.nodes) for one in (plain, found)] == [99, 99]


@pytest.mark.parametrize("width", ["byte", "4bit", "2bit"])
def test_bags_of_rows_that_a_plain_tensor_holds_packed(width: str) -> None:
    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer(
                "rows", getattr(torch.ops.quantized, f"embedding_bag_{width}_prepack")(torch.ones(9, 8))
            )

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            bags = getattr(torch.ops.quantized, f"embedding_bag_{width}_rowwise_offsets")
            return bags(self.rows, ids.flatten(), torch.tensor([0, 2, 5]), include_last_offset=False)

    field = fastrf.analyze(Model(), (6,)).output
    assert field.exact
    assert [field.neuron_mask((bag, 0)).nonzero()[0].tolist() for bag in range(3)] == [[0, 1], [2, 3, 4], [5]]


@pytest.mark.parametrize("capture", ["record", "export"])
def test_operators_of_exported_quantisation(capture: str) -> None:
    from torch.ao.quantization.fx import _decomposed  # noqa: F401  (it registers them)

    told = torch.ops.quantized_decomposed

    class Decomposed(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.zeros(4, 3, 3, 3, dtype=torch.int8))
            self.register_buffer("scales", torch.ones(4))
            self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))

        def forward(self, x: Any) -> Any:
            x = told.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)
            x = told.dequantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)
            weight = told.dequantize_per_channel(self.weight, self.scales, self.zeros, 0, -128, 127, torch.int8)
            x = nn.functional.conv2d(x, weight)
            scale, zero = told.choose_qparams(x, -128, 127, 1e-5, torch.int8)
            x = told.quantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8)
            return told.dequantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8)

    field = fastrf.analyze(Decomposed(), (3, 8, 8), capture=capture).output
    assert (field.exact, field.size) == (True, (3, 3))
    assert len(field.assumes) == 1
    exported = torch.export.export(
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval(), (torch.rand(1, 3, 4, 4),)
    )
    assert fastrf.analyze(exported.module(), (3, 4, 4), capture=capture).output.size == (1, 1)


def test_zeros_pass_what_rounds() -> None:
    class Masked(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.round = nn.Parameter(torch.rand(1, 1, 3)), ao.FakeQuantize()
            self.register_buffer("mask", torch.tensor([1.0, 1.0, 0.0]))

        def forward(self, x: Any) -> Any:
            return nn.functional.conv1d(x, self.round(self.weight * self.mask), padding=1)

    for capture in ("record", "export"):
        field = fastrf.analyze(Masked(), (1, 6), capture=capture).output
        assert np.flatnonzero(field.mask((3,))).tolist() == [2, 3]
