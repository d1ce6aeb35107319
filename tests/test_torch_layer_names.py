"""Layers of PyTorch models are called by modules, and a summary has a row for each."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Module):  # type: ignore[misc,name-defined]
    """A residual block: one activation called twice, and operators of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

    def forward(self, x: Any) -> Any:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.conv2(y + x) + x)


class Returns(nn.Module):  # type: ignore[misc,name-defined]
    """A model whose results no input reaches."""

    def __init__(self, results: Any) -> None:
        super().__init__()
        self.results = results

    def forward(self, _x: Any) -> Any:
        return self.results


class Net(nn.Module):  # type: ignore[misc,name-defined]
    """Two blocks, pieces that are swapped, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 3, padding=1)
        self.layers = nn.Sequential(Block(), Block())
        self.fc = nn.Linear(3, 5)

    def forward(self, x: Any) -> Any:
        first, second = self.layers(self.stem(x)).chunk(2, 2)
        return self.fc(torch.cat([second, first], 2).mean((2, 3)))


BLOCK = ["conv1", "bn1", "relu@0", "add", "conv2", "add_1", "relu@1"]
NAMES = ["stem", *(f"layers.{k}.{name}" for k in (0, 1) for name in BLOCK)]


@pytest.mark.parametrize("capture", ["record", "export"])
def test_layers_bear_the_names_of_modules(capture: str) -> None:
    analysis = fastrf.analyze(Net(), (3, 8, 8), capture=capture)
    rows = analysis.summary().rows
    assert [row.name for row in rows][: len(NAMES)] == NAMES
    assert rows[-1].name == "fc"
    assert {name for name in analysis if "~" not in name} == {"x", *(row.name for row in rows)}
    kinds = dict(zip(NAMES, (row.module or row.op for row in rows), strict=False))
    assert kinds["layers.0.bn1"] == "BatchNorm2d"
    assert kinds["layers.1.relu@1"] == "ReLU"
    assert kinds["layers.1.add"] == "add"
    assert {row.name: row.ends for row in rows if row.ends} == {
        "layers.0.relu@1": ("layers.0",),
        "layers.1.relu@1": ("layers.1", "layers"),
    }
    text = analysis.summary().to_text(80)
    assert "layers.1.relu@1 = layers " in text
    assert max(map(len, text.splitlines())) <= 80
    assert json.loads(analysis.summary().to_json())["layers"][len(NAMES) - 1]["ends"] == ["layers.1", "layers"]
    again = fastrf.Network.from_dict(json.loads(json.dumps(analysis.network.to_dict())))
    assert again == analysis.network
    assert again.classes["layers.0"] == "Block"


def test_a_norm_is_one_row_with_all_its_parameters() -> None:
    """Torch's exporter makes an operator of three results of it, of which the first is what the module returned."""
    rows = {row.name: row for row in fastrf.analyze(Net(), (3, 8, 8), capture="export").summary().rows}
    assert rows["layers.0.bn1"].parameters == 6
    assert rows["layers.0.bn1"].module == "BatchNorm2d"


def test_names_of_the_graph_are_found_too() -> None:
    exported = torch.export.export(Net().eval(), (torch.rand(1, 3, 8, 8),))
    analysis = fastrf.analyze(exported)
    found = {node.name for node in exported.graph.nodes if node.op == "call_function" and node.name in analysis}
    assert {"conv2d", "conv2d_1", "add_1", "linear"} <= found
    assert analysis["conv2d_1"].name == analysis["layers.0.conv1"].name == "layers.0.conv1"
    assert analysis["add_1"].name == "layers.0.add_1"


def test_programs_of_users_have_the_rows_of_their_modules(tmp_path: Any) -> None:
    exported = torch.export.export(Net().eval(), (torch.rand(1, 3, 8, 8),))
    notes = [sorted(node.meta) for node in exported.graph.nodes]
    torch.export.save(exported, tmp_path / "net.pt2")
    recorded = fastrf.analyze(Net(), (3, 8, 8)).summary().rows[: len(NAMES)]
    for source in (exported, tmp_path / "net.pt2"):
        *rows, last = fastrf.analyze(source).summary().rows
        rows = rows[: len(NAMES)]
        assert last.name == "fc"
        assert [(row.name, row.parameters, row.size) for row in rows] == [
            (row.name, row.parameters, row.size) for row in recorded
        ]
        assert [row.ends for row in rows] == [row.ends for row in recorded]
    assert [sorted(node.meta) for node in exported.graph.nodes] == notes


def test_a_container_that_does_not_run_is_what_is_read_of_it() -> None:
    class Branches(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.chain = nn.ModuleList(nn.Conv1d(1, 1, 3) for _ in range(2))
            self.heads = nn.ModuleList(nn.Conv1d(1, 1, k) for k in (1, 3))

        def forward(self, x: Any) -> Any:
            for part in self.chain:
                x = part(x)
            return [head(x) for head in self.heads]

    analysis = fastrf.analyze(Branches(), (1, 20))
    assert analysis["chain"].size == (5,)
    with pytest.raises(fastrf.UnknownNodeError, match=r"several tensors; ask for one of heads.0, heads.1"):
        _ = analysis["heads"]


def test_keys_of_outputs_are_found() -> None:
    class Pyramid(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return OrderedDict([("0", x), ("1", torch.max_pool2d(x, 2)), ("p6", x[:, :, ::4])])

    analysis = fastrf.analyze(Pyramid(), (3, 8, 8))
    assert analysis.network.outputs == ("out.0", "out.1", "p6")
    assert [analysis[name].shape for name in ("0", "1", "p6")] == [(3, 8, 8), (3, 4, 4), (3, 2, 8)]
    with pytest.raises(fastrf.UnknownNodeError, match=r"node '7' is not in network .* outputs: out.0, out.1, p6"):
        _ = analysis["7"]


def test_keys_that_others_have_and_constants() -> None:
    class Keyed(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, only: bool) -> None:
            super().__init__()
            self.conv, self.only = nn.Conv2d(3, 3, 3), only

        def forward(self, img: Any) -> Any:
            return torch.ones(1, 2) if self.only else {"img": self.conv(img), "conv": self.conv(img), "mul": img * 2}

    analysis = fastrf.analyze(Keyed(False), (3, 8, 9))
    assert analysis.network.outputs == ("out.img", "out.conv", "out.mul")
    assert analysis["out.img"].shape == (3, 6, 7)
    constant = fastrf.analyze(Keyed(True), (3, 8, 9))
    assert list(constant)[-1] == constant.output.name == "output"
    assert not constant.output.neuron_mask((1,)).any()
    several = fastrf.load(Returns({"a": torch.ones(1, 2), "b": [torch.ones(1, 3)]}), (3, 8, 9))
    assert several.outputs == ("a", "b.0")
    assert [name for name in several.by_name if "~" in name] == []


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(6)])
def test_a_file_has_the_rows_of_its_program(norm: Any, tmp_path: Any) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.MaxPool2d(2)).eval()
    program = torch.export.export(model, (torch.zeros(1, 3, 8, 8),))
    torch.export.save(program, tmp_path / "model.pt2")
    held, stored = (fastrf.analyze(source) for source in (program, str(tmp_path / "model.pt2")))
    assert list(stored) == list(held)
    assert stored["1"].relations == held["1"].relations
    assert [n.parameters for n in stored.network.nodes] == [n.parameters for n in held.network.nodes]


def test_the_last_map_is_named_where_a_classifier_is_asked_for_a_position() -> None:
    analysis = fastrf.analyze(Net(), (3, 8, 6))
    with pytest.raises(fastrf.PositionError, match=r"has 0 axes; the last map is 'cat' of \(8, 6\)"):
        analysis.output.mask((3, 4))
    with pytest.raises(fastrf.ShapeError, match=r"positions must have shape .*; the last map is 'cat' of \(8, 6\)"):
        analysis.output.masks([(3, 4)])
    with pytest.raises(fastrf.PositionError, match=r"the last map is 'cat' of \(8, 6\)"):
        fastrf.anchors.effective(analysis, "fc", (3, 4))
    with pytest.raises(fastrf.ShapeError, match=r"the last map is 'cat' of \(8, 6\)"):
        fastrf.anchors.path_weights(analysis, "fc", [(3, 4)])
    with pytest.raises(fastrf.PositionError, match=r"the last map is 'layer4.1.relu2' of \(4, 4\)"):
        fastrf.analyze("resnet18", (3, 128, 128)).output.box((3, 3))
    with pytest.raises(fastrf.PositionError, match=r"outside the map of \(8, 6\); indices are 0-based, one per axis$"):
        analysis["layers"].mask((8, 0))
