"""What people ask by mistake, or nearly right: accepted, or answered in one line with the place and the right form."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf
from fastrf import FastRFError, FormatError, MissingExtraError, NetworkError, PositionError, ShapeError

torch = pytest.importorskip("torch")

nn = torch.nn


class Function(nn.Module):  # type: ignore[misc,name-defined]
    """A convolution and a part named `inner`, which calls a function of it and of the input."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, self.norm(self.conv(x)))


class Within(nn.Module):  # type: ignore[misc,name-defined]
    """A model with a `Function` in it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.inner = Function(function)

    def forward(self, x: Any) -> Any:
        return self.inner(x)


def said(error: type[FastRFError], ask: Callable[[], Any]) -> str:
    """What an error says, on one line."""
    with pytest.raises(error) as caught:
        ask()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(field: Any, wanted: Any) -> bool:
    """Whether two fields have the same boxes and nominal numbers."""
    numbers = (field.size, field.stride, field.start) == (wanted.size, wanted.stride, wanted.start)
    return numbers and np.array_equal(field.boxes(), wanted.boxes())


def small() -> Any:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


# Shapes ------------------------------------------------------------------------------------------------

SAME = [
    *((1, 3, 8, 9), torch.Size([3, 8, 9]), [3, 8, 9], tuple(np.array([3, 8, 9]))),
    *(torch.zeros(1, 3, 8, 9), np.zeros((1, 3, 8, 9), np.float32)),
]


@pytest.mark.parametrize("shape", SAME, ids=range(len(SAME)))
def test_shapes_that_mean_the_same(shape: Any) -> None:
    wanted = fastrf.analyze(small(), (3, 8, 9)).output
    assert same(fastrf.analyze(small(), shape).output, wanted)
    assert same(fastrf.analyze(small(), {"input": shape}).output, wanted)
    assert fastrf.analyze("resnet18", shape).network.input_shape == (3, 8, 9)
    spec = fastrf.load("resnet18", (3, 16, 16))
    assert fastrf.load(spec, shape).input_shape == fastrf.load(spec.to_dict(), shape).input_shape == (3, 8, 9)


@pytest.mark.parametrize("source", [small, lambda: "resnet18", lambda: [fastrf.conv(4, 3)]])
@pytest.mark.parametrize("size", [224, np.int64(224)])
def test_one_number_is_no_shape(source: Callable[[], Any], size: Any) -> None:
    told = said(ShapeError, lambda: fastrf.analyze(source(), size))
    assert told == "input_shape=224 is one number; give every axis, such as (3, 224, 224)"


def test_what_is_no_shape() -> None:
    for shape in ((3, 8.0, 8), "3x8x8"):
        assert "must be positive integers" in said(ShapeError, lambda shape=shape: fastrf.analyze("resnet18", shape))
    for shape in ((3, 8.0, 8), "3x8x8", (True, 8, 8), (0, 8, 8)):
        assert "must be positive integers such as (3, 224, 224)" in said(
            ShapeError, lambda shape=shape: fastrf.analyze(small(), shape)
        )
    assert "not a generator" in said(ShapeError, lambda: fastrf.analyze(small(), (n for n in (3, 8, 8))))
    told = said(ShapeError, lambda: fastrf.analyze(nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)]))
    assert told.endswith("a mapping by argument name, such as {'input1': (2, 3), 'input2': (2, 4)}")
    assert "missing a required argument: 'input2'" in said(
        ShapeError, lambda: fastrf.analyze(nn.Bilinear(3, 4, 5), (3,))
    )


def test_a_batch_of_two_is_told_with_both_shapes() -> None:
    told = said(NetworkError, lambda: fastrf.analyze(small(), (2, 3, 8, 9)))
    assert "in module '0' (Conv2d)" in told
    assert told.endswith("input_shape is without the batch, and (2, 3, 8, 9) fits with it; leave the first number out")


# Models ------------------------------------------------------------------------------------------------


def test_what_is_no_model() -> None:
    assert "ReLU is a class, not a network; give what it makes, such as ReLU()" in said(
        FormatError, lambda: fastrf.analyze(nn.ReLU, (3, 8, 8))
    )
    assert "an SGD is not a network" in said(
        FormatError, lambda: fastrf.analyze(torch.optim.SGD(small().parameters()), (3, 8, 8))
    )
    assert "this lambda is a function" in said(FormatError, lambda: fastrf.analyze(lambda x: x, (3, 8, 8)))
    assert "small is a function" in said(FormatError, lambda: fastrf.analyze(small, (3, 8, 8)))
    assert "a generator is not a network" in said(FormatError, lambda: fastrf.analyze((x for x in ()), (3, 8, 8)))


def test_a_list_of_modules_is_run_in_order() -> None:
    parts = [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)]
    assert same(fastrf.analyze(parts, (3, 8, 8)).output, fastrf.analyze(nn.Sequential(*parts), (3, 8, 8)).output)


FAILURES = {
    r"in module 'inner' \(Function\): RuntimeError: mat1 and mat2 shapes cannot be multiplied \(24x6 and 7x7\); give": (
        lambda _, x: x @ torch.ones(7, 7)
    ),
    r"in module 'inner.conv' \(Conv2d\): .* to have 3 channels, but got 4 channels instead; give inputs that": (
        lambda net, x: net.conv(x)
    ),
    r"in module 'inner' \(Function\): AttributeError: .*; correct it": lambda _, x: x.nothing,
    r"in module 'inner' .*; make tensors on the device of its input \(device=x.device\)": (
        lambda _, x: x + torch.ones(1, device="cuda")
    ),
    r"Within ends the process": lambda *_: sys.exit(3),
    r"returns no tensor but a generator; return tensors, or lists": lambda _, x: (x + k for k in (1, 2)),
    r"returns no tensor but a set; return tensors, or lists": lambda _, x: {x},
}


@pytest.mark.parametrize("message", FAILURES)
@pytest.mark.parametrize("capture", ["auto", "record", "export"])
def test_a_model_that_fails_says_where(message: str, capture: str, capfd: pytest.CaptureFixture[str]) -> None:
    if "cuda" in message and torch.cuda.is_available():
        pytest.skip("there is such a device")
    with pytest.raises(NetworkError, match=message) as caught:
        fastrf.analyze(Within(FAILURES[message]), (3, 8, 8), capture=capture)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_argument_that_was_left_out() -> None:
    class Optional(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any, other: Any = None) -> Any:
            return x + other.mean()

    told = said(NetworkError, lambda: fastrf.analyze(Optional(), (3, 8)))
    assert told.endswith("other was left out; give input_shape as a mapping by argument name")


class Decoded(nn.Module):  # type: ignore[misc,name-defined]
    """Ids in, and others that one of its modules asks for."""

    class Decoder(nn.Module):  # type: ignore[misc,name-defined]
        """What wants ids."""

        def forward(self, ids: Any) -> Any:
            if ids is None:
                raise ValueError("You must give ids")
            return ids

    def __init__(self) -> None:
        super().__init__()
        self.table, self.decoder = nn.Embedding(9, 4), self.Decoder()

    def forward(self, ids: Any, decoder_ids: Any = None) -> Any:
        return self.table(ids).sum(1, keepdim=True) + self.table(self.decoder(decoder_ids))


def test_ids_are_tried_at_once_and_what_is_missing_then_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = said(NetworkError, lambda: fastrf.analyze(Decoded(), {"ids": (5,)}))
    assert "ValueError: You must give ids; decoder_ids was left out" in told
    shapes = {"ids": (5,), "decoder_ids": (3,)}
    looked: list[int] = []
    monkeypatch.setattr("gc.get_objects", lambda: looked.append(1) or [])
    assert fastrf.analyze(Decoded(), shapes, wrt="decoder_ids").output.neuron_mask((1, 0)).tolist() == [
        False,
        True,
        False,
    ]
    assert not looked  # all objects of the process are looked through only where something is left


def test_keys_that_modules_return_by_are_found() -> None:
    class Levels(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.fine, self.coarse = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, 2)

        def forward(self, x: Any) -> Any:
            x = self.fine(x)
            return {"0": x, "p6": self.coarse(x)}

    class Detector(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.other, self.head = Levels(), Levels(), nn.Conv2d(4, 1, 1)

        def forward(self, x: Any) -> Any:
            found = self.backbone(x)
            return self.head(found["0"]).mean() + self.head(found["p6"]).mean()

    analysis = fastrf.analyze(Detector(), (3, 16, 16))
    assert analysis["p6"] is analysis["backbone[p6]"]
    assert analysis["0"].shape == (4, 14, 14)
    assert "Did you mean" not in said(fastrf.UnknownNodeError, lambda: analysis["p7"])


def test_a_failing_model_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("exported")

    monkeypatch.setattr(sys.modules["fastrf.frontends.torch.capture"], "export", never)
    said(NetworkError, lambda: fastrf.analyze(Within(lambda _, x: x @ x), (3, 8, 9)))


def test_a_model_without_data() -> None:
    wanted = fastrf.analyze(small(), (3, 8, 8)).output
    assert same(fastrf.analyze(small().to("meta"), (3, 8, 8)).output, wanted)
    reads = Within(lambda net, x: x if net.norm.weight.sum() > 0 else -x).to("meta")
    assert "the model with its data" in said(NetworkError, lambda: fastrf.analyze(reads, (3, 8, 8)))


@pytest.mark.parametrize("capture", ["auto", "record", "export"])
def test_a_failing_model_is_left_as_it_was(capture: str) -> None:
    def spoil(net: Any, x: Any) -> Any:
        net.norm.running_mean += 1
        net.conv.weight.data *= torch.rand(())
        net.conv.weight.requires_grad_(False)
        return net.train().norm(x) @ torch.ones(7, 7)

    net = Within(spoil)
    net.inner.norm.eval()
    state, before = torch.get_rng_state(), {name: value.clone() for name, value in net.state_dict().items()}
    said(NetworkError, lambda: fastrf.analyze(net, (3, 8, 8), capture=capture))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [m.training for m in (net, net.inner, net.inner.norm, net.inner.conv)] == [True, True, False, True]
    assert all(p.requires_grad for p in net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


# Names of models ---------------------------------------------------------------------------------------


def test_factories_are_asked_for_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def made(weights: Any = "DEFAULT", weights_backbone: Any = "V1", pretrained: bool = True, scale: int = 2) -> Any:
        asked.update(weights=weights, weights_backbone=weights_backbone, pretrained=pretrained, scale=scale)
        return small()

    def kept(weights: Any = (1, 2), pretrained: bool = False) -> Any:
        asked.update(weights=weights, pretrained=pretrained)
        return small()

    module = types.ModuleType("factories")
    module.made, module.kept = made, kept  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "factories", module)
    assert fastrf.load("factories:made", (3, 8, 8)).nodes
    assert asked == {"weights": None, "weights_backbone": None, "pretrained": False, "scale": 2}
    assert fastrf.load("factories:kept", (3, 8, 8)).nodes
    assert asked["weights"] == (1, 2)


def test_a_model_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = types.ModuleType("timm")
    timm.is_model = lambda name: name == "tiny"  # type: ignore[attr-defined]
    timm.list_models = lambda: ["tiny"]  # type: ignore[attr-defined]
    timm.create_model = lambda _, **__: small()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
    assert fastrf.load("timm/tiny", (3, 8, 8)).name == "timm/tiny"
    assert "'tinny' is not a model of timm; did you mean tiny?" in said(FormatError, lambda: fastrf.load("timm/tinny"))
    monkeypatch.setitem(sys.modules, "timm", None)
    assert "pip install 'fastrf[torch]' timm" in said(MissingExtraError, lambda: fastrf.load("timm/tiny"))


# Positions ---------------------------------------------------------------------------------------------


def test_positions() -> None:
    field = fastrf.analyze(small(), (3, 8, 8)).output
    for position in ((np.int64(1), np.uint8(2)), np.array([1, 2]), torch.tensor([1, 2])):
        assert np.array_equal(field.box(position), field.box((1, 2)))
    told = "is not a tuple of integers such as (0, 0); for several ask masks(positions)"
    assert told in said(PositionError, lambda: field.mask((slice(0, 2), 1)))
    assert told in said(PositionError, lambda: field.mask(slice(0, 2)))
    assert "not slices" in said(PositionError, lambda: field.masks(slice(0, 2)))
    assert "not slices" in said(PositionError, lambda: field.masks([(slice(0, 2), 1)]))


def test_modules_that_wait_for_an_input_are_named() -> None:
    model = nn.Sequential(nn.ReLU(), nn.LazyConv2d(4, 3))
    for capture in ("auto", "export"):
        told = said(NetworkError, lambda: fastrf.analyze(model, (3, 8, 8), capture=capture))  # noqa: B023 (called at once)
        assert "module 1 has no parameters yet; run the model once" in told


def test_a_shape_in_an_array_is_a_shape() -> None:
    for given in (np.array([3, 8, 8]), {"input": np.array([3, 8, 8])}, torch.Size((3, 8, 8))):
        assert fastrf.load(small(), given).input_shape == (3, 8, 8)


def test_names_are_suggested_once_and_wrappers_left_out() -> None:
    analysis = fastrf.analyze(nn.DataParallel(small()), (3, 8, 8))
    assert analysis["module.0"].name == analysis["0"].name
    model = nn.Sequential()
    model.add_module("norm1", nn.BatchNorm2d(3))
    model.add_module("norm2", nn.BatchNorm2d(3))
    told = said(fastrf.UnknownNodeError, lambda: fastrf.analyze(model, (3, 8, 8))["norm"])
    assert "did you mean norm2, norm1" in told or "did you mean norm1, norm2" in told
    assert "lists the nodes. Its outputs: " in said(fastrf.UnknownNodeError, lambda: analysis["xyzzy"])


def test_a_run_that_ends_has_what_no_module_makes_anything_of_for_outputs() -> None:
    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()

        def forward(self, x: Any) -> Any:
            y = self.one(x)
            y += x
            return self.act(y)

    class Detector(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.block = nn.Conv2d(3, 4, 3), Block()
            self.scores, self.boxes = nn.Conv2d(4, 1, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x: Any) -> Any:
            y = self.block(self.stem(x))
            scores, boxes = self.scores(y).flatten(), self.boxes(y).flatten(2)[0].T
            return boxes[scores > 0.5]

    network = fastrf.load(Detector(), (3, 8, 8))
    assert network.outputs == ("out.scores", "out.boxes")


def test_a_model_without_a_batch_is_told_so() -> None:
    class Text(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.bag = nn.EmbeddingBag(9, 4)

        def forward(self, text: Any, offsets: Any) -> Any:
            return self.bag(text, offsets)

    told = said(NetworkError, lambda: fastrf.analyze(Text(), {"text": (6,), "offsets": (3,)}))
    assert "give text, offsets as tensors of one axis less, of whole numbers where those are ids" in told
    assert told.endswith("and by values={name: tensor} what is constant")
    given = {"text": torch.zeros(6, dtype=torch.long)}
    field = fastrf.analyze(Text(), given, values={"offsets": torch.tensor([0, 2, 5])}).output
    assert field.neuron_mask((1, 0)).tolist() == [False, False, True, True, True, False]
