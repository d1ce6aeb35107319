"""TorchScript is recorded as it runs, traced or scripted, and left as it was."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")


class Net(nn.Module):  # type: ignore[misc,name-defined]
    """Convolutions, sizes that are looked at, and a write."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.second(torch.relu(self.first(x)))))
        batch, _, _, width = x.shape
        x[:, :, :1] = 0
        return x.reshape(batch, -1, width).transpose(1, 2)[:, 1:]


def loaded(module: Any) -> Any:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def traced(net: Any) -> Any:
    return torch.jit.trace(net.eval(), torch.rand(1, 3, 16, 12))


FORMS: dict[str, Callable[[Any], Any]] = {
    "traced": traced,
    "scripted": torch.jit.script,
    "traced, from a file": lambda net: loaded(traced(net)),
    "scripted, from a file": lambda net: loaded(torch.jit.script(net)),
    "within a module": lambda net: nn.Sequential(nn.Identity(), torch.jit.script(net)),
    "frozen": lambda net: torch.jit.freeze(torch.jit.script(net.eval())),
}


@pytest.mark.parametrize("form", FORMS)
def test_torchscript_has_the_fields_of_its_module(form: str) -> None:
    wanted = fastrf.analyze(Net(), (3, 16, 12)).output
    model = FORMS[form](Net())
    before = torch._C._get_graph_executor_optimize(), getattr(model, "training", None)
    analysis = fastrf.analyze(model, (3, 16, 12))
    assert analysis.output.exact
    assert analysis.output.relations == wanted.relations
    assert analysis.output.size == wanted.size
    counts = [node.parameters for node in analysis.network.nodes]
    assert sum(counts) == sum(p.numel() for p in model.parameters())
    assert (torch._C._get_graph_executor_optimize(), getattr(model, "training", None)) == before
    assert all(getattr(part, "training", before[1]) == before[1] for part in model.modules())
    model(torch.rand(1, 3, 16, 12))


def test_what_torchscript_does_not_take_is_said_in_one_line() -> None:
    model = traced(Net())
    for given in ({"y": (3, 16, 12)}, None):
        with pytest.raises(fastrf.ShapeError, match=r"TopLevelTracedModule(\.forward; it takes x|\(x\))$"):
            fastrf.load(model, given)
    with pytest.raises(fastrf.NetworkError, match=r"\(1, 5, 16, 12\): RuntimeError: Given groups=1.*; give inputs"):
        fastrf.load(model, (5, 16, 12))
    with pytest.raises(fastrf.NetworkError, match=r"is TorchScript, which torch.export does not take; give capture="):
        fastrf.load(model, (3, 16, 12), capture="export")
    assert list(fastrf.load(model, {"x": (3, 16, 12)}).inputs) == ["x"]


def test_what_torchscript_hides_asks_for_the_module() -> None:
    model = torch.jit.optimize_for_inference(torch.jit.script(Net().eval()))
    for capture in ("auto", "record"):
        with pytest.raises(fastrf.NetworkError, match=r"cannot be recorded.*; give the module that it was made from$"):
            fastrf.load(model, (3, 16, 12), capture=capture)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.safetensors", "net.ckpt"])
def test_files_of_weights_or_code_are_refused_by_name(name: str, tmp_path: Any) -> None:
    with pytest.raises(fastrf.FormatError, match=r"give the module that it belongs to, torch.jit.load\(path\)"):
        fastrf.load(tmp_path / name)


def test_a_forward_that_is_a_builtin() -> None:
    net = nn.Module()
    net.forward = torch.relu
    assert fastrf.load(net, (3, 4, 4)).nodes[0].op == "relu"
