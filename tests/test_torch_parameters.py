"""Parameters count in the row that uses them first, whatever operators a model is written in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional


class ByHand(nn.Module):  # type: ignore[misc,name-defined]
    """Layers that are operators on parameters, one of them tied, and one that forward leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(8, 4)), nn.Parameter(torch.randn(4))
        self.linear, self.scale = nn.Linear(4, 4), nn.Parameter(torch.ones(4))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.places, self.norm = nn.Embedding(10, 4), nn.LayerNorm(4, elementwise_affine=False)
        self.mixed, self.recurrent = nn.Parameter(torch.randn(4, 4)), nn.LSTM(4, 6, batch_first=True)
        self.left_out = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))

    def forward(self, x: Any) -> Any:
        x = x @ self.weight + self.bias
        x = self.norm(self.linear(x) * self.scale)
        x = self.attention(x, x, x)[0] + self.places(torch.arange(x.shape[1]))
        x = F.linear(torch.einsum("btc,cd->btd", x, self.mixed), self.linear.weight)
        return self.recurrent(x)[0]


@pytest.mark.parametrize("capture", ["record", "export"])
def test_every_parameter_counts_where_it_is_first_used(capture: str) -> None:
    model = ByHand()
    analysis = fastrf.analyze(model, (5, 8), capture=capture)
    rows = analysis.summary().rows
    told = [(row.name, row.parameters) for row in rows if row.parameters]
    assert told == [
        *(("matmul", 32), ("add", 4), ("linear", 20), ("mul", 4)),
        *(("attention.linear", 60), ("attention.linear_1", 20), ("places", 40)),
        *(("einsum", 16), ("recurrent[0]", 288)),
    ]
    assert analysis.network.unused == {"left_out": 24}
    assert sum(count for _, count in told) + 24 == sum(p.numel() for p in model.parameters())
    assert str(analysis.summary()).splitlines()[-1] == "parameters: 24 that no layer uses, in left_out (24)"


@pytest.mark.parametrize("capture", ["record", "export"])
def test_what_returns_the_input_makes_no_row(capture: str) -> None:
    summary = fastrf.analyze(nn.Sequential(nn.Identity(), nn.Conv2d(3, 3, 1)), (3, 8, 8), capture=capture).summary()
    assert [(row.name, row.parameters) for row in summary.rows] == [("1", 12)]


def test_weights_that_are_worked_out_count_where_they_are_read() -> None:
    class Masked(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(4, 1, 1, 1))
            self.inner = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))
            self.register_buffer("mask", torch.ones(3, 3).tril())

        def forward(self, x: Any) -> Any:
            return self.inner(F.conv2d(x, self.first * self.second * self.mask))

    model = Masked()
    for capture in ("record", "export"):
        summary = fastrf.analyze(model, (3, 8, 8), capture=capture).summary(depth=1)
        assert [(row.name, row.parameters) for row in summary.rows] == [("conv2d", 112), ("inner", 24)]
    assert sum(p.numel() for p in model.parameters()) == 136


@pytest.mark.usefixtures("rules_of_one_test")
def test_what_a_rule_of_a_user_hides_is_unknown() -> None:
    class Inner(nn.Conv2d):  # type: ignore[misc,name-defined]
        pass

    fastrf.rule(Inner)(lambda x: x)
    summary = fastrf.analyze(nn.Sequential(nn.Conv2d(3, 3, 1), Inner(3, 3, 1)), (3, 8, 8)).summary()
    assert [row.parameters for row in summary.rows] == [12, None]


def test_buffers_and_constants_are_no_parameters() -> None:
    class Frozen(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.randn(4, 3, 1, 1))

        def forward(self, x: Any) -> Any:
            return F.batch_norm(F.conv2d(x, self.weight), torch.zeros(4), torch.ones(4))

    network = fastrf.load(Frozen(), (3, 8, 8))
    assert [node.parameters for node in network.nodes] == [0, 0]
    assert fastrf.Network.from_dict(json.loads(json.dumps(network.to_dict()))) == network


def test_a_program_from_a_file_counts_tied_parameters_once(tmp_path: Any) -> None:
    class Tied(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(2, 2)
            self.b.weight = self.a.weight

        def forward(self, x: Any) -> Any:
            return self.b(self.a(x))

    exported = torch.export.export(Tied().eval(), (torch.rand(1, 5, 4),))
    torch.export.save(exported, tmp_path / "tied.pt2")
    for source in (exported, str(tmp_path / "tied.pt2")):
        network = fastrf.load(source)
        assert [node.parameters for node in network.nodes] == [20, 4]
        assert network.unused == {"unused": 6}


@pytest.mark.parametrize("given", [-1, 1.5, "3", True, [1], 1 << 64])
def test_counts_of_specs_are_whole_numbers(given: Any) -> None:
    layer = {"op": "relu", "name": "one"}
    specs: list[Callable[[Any], Any]] = [
        lambda n: {"input_shape": [3, 4, 4], "layers": [{**layer, "parameters": n}]},
        lambda n: {"input_shape": [3, 4, 4], "layers": [layer], "unused": {"one": n}},
    ]
    for spec in specs:
        with pytest.raises(fastrf.FormatError, match="'one': parameters must be a whole number"):
            fastrf.Network.from_dict(spec(given))
    assert fastrf.Network.from_dict(specs[0](None)).nodes[0].parameters is None
    assert fastrf.Network.from_dict(specs[0](7)).nodes[0].parameters == 7
    with pytest.raises(fastrf.FormatError, match="'unused' must map names"):
        fastrf.Network.from_dict({**specs[0](7), "unused": 5})
