"""Modules recorded in one run: the same answers as from `torch.export`, and some where that gives none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional


class Function(nn.Module):
    """A function of the module, which has a convolution and other attributes, and the input."""

    def __init__(self, function: Callable[..., Any], **held: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.function = function
        for name, value in held.items():
            if isinstance(value, torch.Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def padded_by_hand(net: Any, x: Any) -> Any:
    out = torch.zeros(1, 4, 10, 10)
    out[:, :, 1:9, 1:9] = net.conv(x)
    return out


def row_by_row(net: Any, x: Any) -> Any:
    y = net.conv(x)
    out = torch.zeros_like(y)
    for i in range(8):
        out[:, :, i] = y[:, :, 7 - i]
    out[..., 0] = 5
    return out


def constant_written_twice(net: Any, x: Any) -> Any:
    table = torch.ones(8)
    first = x * table
    table[:4] = 0
    return first + x.flip(-1) * table


def a_view_written_to(net: Any, x: Any) -> Any:
    y = net.conv(x)
    part = y[:, :2]
    part.mul_(2)
    part[..., 0].zero_()
    return y


def a_view_in_another_order(net: Any, x: Any) -> Any:
    y = net.conv(x)
    y.transpose(2, 3)[:, :, 0] = 0
    return y + 1


def a_view_of_what_is_written_to(net: Any, x: Any) -> Any:
    y = net.conv(x)
    flat = y.view(1, 4, 64)
    y.add_(x.mean())
    return flat


def pieces(net: Any, x: Any) -> Any:
    a, b = net.conv(x).chunk(2, 1)
    a += b.flip(3)
    return torch.cat([a, b], 1)


def rows_that_are_unbound(net: Any, x: Any) -> Any:
    y = net.conv(x).clone()
    a, b, *_ = y.unbind(1)
    a.copy_(b.flip(1))
    y.narrow(2, 2, 3).fill_(1)
    return y


def every_other(net: Any, x: Any) -> Any:
    y = net.conv(x)
    y[..., ::2] += y[..., 1::2]
    return y


def truths(net: Any, x: Any) -> Any:
    y = net.conv(x).clone()
    chosen = torch.zeros(8, 8, dtype=torch.bool)
    chosen[2:4] = True
    y[:, :, chosen] = 0
    return y


def buffer_written_to(net: Any, x: Any) -> Any:
    net.held[:, :2] = x[:, :2]
    return net.held + 1


def buffer_counted_up(net: Any, x: Any) -> Any:
    net.held += 1
    return net.conv(x) * (net.held[:, :1] > 0)


def containers(net: Any, x: Any) -> Any:
    y = net.conv(x)
    return [y, {"a": y[:, :1], "b": functional.relu_(y.clone())}]


def recurrent(net: Any, x: Any) -> Any:
    return net.part(x[:, 0])[0]


def attending(net: Any, x: Any) -> Any:
    return net.part(*[x[:, 0]] * 3)[0]


def drawn(net: Any, x: Any) -> Any:
    return net.conv(x) + torch.randn(8, 8) * x[:, :1]


HELD: dict[Any, dict[str, Any]] = {
    recurrent: {"part": nn.LSTM(8, 6, batch_first=True, bidirectional=True)},
    attending: {"part": nn.MultiheadAttention(8, 2, batch_first=True)},
    buffer_written_to: {"held": torch.zeros(1, 3, 8, 8)},
    buffer_counted_up: {"held": torch.zeros(1, 3, 8, 8)},
}
FUNCTIONS = [
    *(padded_by_hand, row_by_row, constant_written_twice, a_view_written_to, a_view_in_another_order, pieces, drawn),
    *(a_view_of_what_is_written_to, rows_that_are_unbound, every_other, truths, buffer_written_to, buffer_counted_up),
    *(containers, recurrent, attending),
]


def equal(first: fastrf.ReceptiveField, second: fastrf.ReceptiveField) -> bool:
    """Whether fields are, in what they hold and in what they say."""
    numbers = [str((f.shape, f.exact, f.size, f.stride, f.start)) for f in (first, second)]
    return numbers[0] == numbers[1] and first.dependency == second.dependency


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_both_captures_tell_the_same(function: Callable[..., Any]) -> None:
    net = Function(function, **HELD.get(function, {})).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recorded = fastrf.analyze(net, (3, 8, 8), capture="record")
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    exported = fastrf.analyze(net, (3, 8, 8), capture="export")
    assert len(recorded.network.outputs) == len(exported.network.outputs)
    for ours, theirs in zip(recorded.network.outputs, exported.network.outputs, strict=True):
        assert equal(recorded[ours], exported[theirs])
    used = [name for name, _ in net.named_modules() if name in exported.network.returns]
    assert all(equal(recorded[name], exported[name]) for name in used)


# What torch.export refuses -------------------------------------------------------------------------------


def test_control_flow_is_followed_for_the_given_input() -> None:
    net = Function(lambda net, x: net.conv(x) if x.sum() > 1 else x.flip(-1)[:, :1])
    zeros = fastrf.analyze(net, (3, 8, 8)).output
    assert zeros.shape == (1, 8, 8)
    assert zeros.assumes == (
        "the control flow of the model, and numbers that it reads from tensors, are those of an input of zeros",
    )
    ones = fastrf.analyze(net, torch.ones(1, 3, 8, 8)).output
    assert ones.shape == (4, 8, 8)
    assert "are those of the example input" in ones.assumes[0]
    assert ones.size == (3, 3)


def test_numbers_held_in_tensors_are_constants() -> None:
    net = Function(lambda net, x: functional.pad(x, (int(net.k) - 1, 0))[..., : x.shape[-1]], k=torch.tensor(3))
    field = fastrf.analyze(net, (3, 8, 8)).output
    assert field.exact
    assert not field.assumes
    assert field.mask((0, 2)).sum() == 1


def test_weights_that_are_masked_in_place_stay_as_they_were() -> None:
    def masked(net: Any, x: Any) -> Any:
        net.conv.weight.data *= net.mask
        return net.conv(x)

    mask = torch.ones(4, 3, 3, 3)
    mask[:, :, 2] = 0
    net = Function(masked, mask=mask)
    before = net.conv.weight.detach().clone()
    assert fastrf.analyze(net, (3, 8, 8)).output.mask((4, 4)).sum() == 6
    assert torch.equal(net.conv.weight, before)


def test_places_of_truths_are_known() -> None:
    chosen = torch.tensor([True, False, True])
    field = fastrf.analyze(Function(lambda net, x: x[:, net.chosen] + 1, chosen=chosen), (3, 4, 4)).output
    assert [int(np.flatnonzero(field.neuron_mask((c, 1, 2)).any((1, 2)))[0]) for c in range(2)] == [0, 2]


class Detector(nn.Module):
    """Heads, and a selection by score."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.scores, self.boxes = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 1), nn.Conv2d(4, 4, 3)

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        scores, boxes = self.scores(y).flatten(), self.boxes(y).flatten(2)[0].T
        return boxes[torch.where(scores[: len(boxes)] > 0.5)[0]]


def test_a_detector_is_followed_to_where_it_selects() -> None:
    analysis = fastrf.analyze(Detector(), (3, 8, 8))
    assert analysis["scores"].size == (3, 3)
    assert analysis["boxes"].size == (5, 5)
    assert len(analysis.network.outputs) == 2
    assert "followed up to the operator 'where' in the model" in analysis["boxes"].assumes[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["retinanet_resnet50_fpn", "fasterrcnn_mobilenet_v3_large_fpn", "ssd300_vgg16"])
def test_detectors_of_torchvision(name: str) -> None:
    models = pytest.importorskip("torchvision").models
    model = models.get_model(name, weights=None, weights_backbone=None)
    analysis = fastrf.analyze(model, (3, 128, 128))
    assert all(analysis[output].exact for output in analysis.network.outputs)
    assert any("followed up to" in text for text in analysis.output.assumes)


# Which capture -------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.__version__ < "2.6", reason="torch.export does not take vmap before 2.6")
def test_what_cannot_be_recorded_is_exported(caplog: pytest.LogCaptureFixture) -> None:
    def mapped(net: Any, x: Any) -> Any:
        return torch.func.vmap(lambda row: row + 1)(net.conv(x))

    net = Function(mapped)
    with caplog.at_level(logging.DEBUG, logger="fastrf"):
        field = fastrf.analyze(net, (3, 8, 8)).output
    assert field.size == (3, 3)
    assert "is exported, since recording it fails" in caplog.text
    with pytest.raises(fastrf.NetworkError, match=r"cannot be recorded .* try capture='export'"):
        fastrf.analyze(net, (3, 8, 8), capture="record")


def test_an_unknown_capture_is_named() -> None:
    with pytest.raises(fastrf.NetworkError, match="capture must be 'auto', 'record' or 'export', not 'trace'"):
        fastrf.analyze(nn.ReLU(), (3, 8, 8), capture="trace")


def test_nothing_of_a_run_is_left() -> None:
    handles = torch.nn.modules.module._global_forward_hooks
    before = dict(handles)

    def failing(net: Any, x: Any) -> Any:
        net.kept = net.conv(x)
        raise ValueError("no more")

    net = Function(failing)
    with pytest.raises(fastrf.NetworkError, match="no more"):
        fastrf.analyze(net, (3, 8, 8))
    assert dict(handles) == before
    assert not hasattr(net, "kept")
    assert net.training
    assert torch.backends.mha.get_fastpath_enabled()
    assert type(torch.ones(2) + 1) is torch.Tensor
