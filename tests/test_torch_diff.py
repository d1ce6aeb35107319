"""Diffs of PyTorch models name the modules that changed, whatever they are made of inside."""

from __future__ import annotations

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn


def names(changes):
    return [change.name for change in changes]


class UNet(nn.Module):
    """A small U-Net of two levels."""

    def __init__(self, mode="zeros", stem="stem", strides=(1, 2)):
        super().__init__()
        self.order = stem
        self.add_module(stem, nn.Conv2d(1, 4, 3, padding=1, stride=strides[0]))
        self.down = nn.Conv2d(4, 8, 3, padding=1, stride=strides[1])
        self.bottom = nn.Conv2d(8, 8, 3, padding=1, padding_mode=mode)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.head = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x):
        first = torch.relu(getattr(self, self.order)(x))
        low = self.bottom(torch.relu(self.down(first)))
        up = nn.functional.interpolate(self.up(low), first.shape[-2:])
        return self.head(torch.cat([first, up], 1))


def test_a_padding_mode_of_a_unet():
    found = fastrf.diff(UNet(), UNet("circular"), (1, 32, 32))
    assert names(found.causes) == ["bottom"]
    assert (found.causes[0].module, found.causes[0].changed) == ("Conv2d", ("digest",))
    assert found.causes[0].pixels.positions == 16 * 16 - 14 * 14
    assert "head" in names(found.inherited)
    assert not {"stem", "down"} & set(names(found.changes))
    for mode in ("reflect", "replicate"):
        found = fastrf.diff(UNet(), UNet(mode), (1, 32, 32))
        assert (found.changes, found.same) == ((), ("bottom",))


def test_a_stride_that_moves_between_two_layers():
    found = fastrf.diff(UNet(strides=(1, 2)), UNet(strides=(2, 1)), (1, 32, 32))
    assert names(found.causes) == ["stem", "down"]


def test_another_name():
    found = fastrf.diff(UNet(), UNet(stem="entry"), (1, 32, 32))
    assert (found.changes, found.renamed) == ((), (("stem", "entry"),))


def test_wrappers_and_modes_are_no_change():
    assert not fastrf.diff(UNet(), UNet().eval(), (1, 32, 32))
    locked = fastrf.Lock.of(fastrf.analyze(UNet(), (1, 32, 32), capture="record"))
    exported = fastrf.analyze(UNet(), (1, 32, 32), capture="export")
    assert not fastrf.diff(locked, exported)


class Chain(nn.Module):
    """Layers in a Sequential, whose names count, and one behind."""

    def __init__(self, *layers):
        super().__init__()
        self.net, self.end = nn.Sequential(*layers), nn.Flatten()

    def forward(self, x):
        return self.end(self.net(x))


def chain(**more):
    """Convolutions, norms and activations; `at_3` puts a layer in before the one of that number."""
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, stride=2)]
    layers += [nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)]
    for at, layer in more.items():
        layers.insert(int(at.removeprefix("at_")), layer)
    return Chain(*layers)


@pytest.mark.parametrize("at", range(8))
def test_only_a_layer_put_into_a_sequential_is_added(at):
    put = {f"at_{at}": nn.ReLU()}
    told = [(f"net.{n}", f"net.{n + 1}") for n in range(at, 7)]
    found = fastrf.diff(chain(), chain(**put), (3, 16, 16))
    (change,) = found.changes
    where = at + (at in (2, 5))  # before another of its kind it is as well the second of both
    assert (change.name, change.kind, change.module) == (f"net.{where}", "added", "ReLU")
    assert found.renamed == tuple(pair for pair in told if pair[0] != f"net.{at}" or where == at)
    (change,) = fastrf.diff(chain(**put), chain(), (3, 16, 16)).changes
    assert (change.was, change.kind) == (f"net.{where}", "removed")


def test_what_follows_from_a_layer_that_was_put_in_is_told_as_such():
    found = fastrf.diff(chain(), chain(at_3=nn.Conv2d(8, 8, 3, padding=1)), (3, 16, 16))
    assert [(c.name, c.was, c.kind) for c in found.changes] == [
        ("net.3", "", "added"),
        *((f"net.{n + 1}", f"net.{n}", "inherited") for n in (3, 4, 5, 6)),
        ("end", "end", "inherited"),
    ]
    old, new = chain(), chain(at_2=nn.Tanh())
    new.net[0] = nn.Conv2d(3, 8, 5, padding=2)
    found = fastrf.diff(old, new, (3, 16, 16))
    assert (names(found.causes), names(found.added), found.removed) == (["net.0"], ["net.2"], ())


def test_blocks_put_in_are_added_whole():
    def blocks(n):
        return Chain(*(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()) for _ in range(n)), nn.AvgPool2d(2))

    found = fastrf.diff(blocks(2), blocks(3), (3, 16, 16))
    assert names(found.added) == ["net.2.0", "net.2.1"]
    assert [(c.was, c.name) for c in found.inherited] == [("net.2", "net.3"), ("end", "end")]


def test_functions_put_in_are_added_and_nothing_else():
    class Net(nn.Module):
        def __init__(self, calls):
            super().__init__()
            self.calls, self.conv = calls, nn.Conv2d(1, 1, 3)

        def forward(self, x):
            for call in self.calls:
                x = call(self.conv(x))
            return x

    sides = [Net([torch.relu, torch.relu]), Net([torch.relu, lambda x: torch.relu(torch.sigmoid(x))])]
    found = fastrf.diff(*sides, (1, 16, 16))
    assert [(c.name, c.kind) for c in found.changes] == [("sigmoid", "added")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("folded", [False, True])
def test_a_network_and_its_onnx_file_are_one(folded, tmp_path):
    pytest.importorskip("onnx")

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.first, self.second, self.relu = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU()
            self.down = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4))

        def forward(self, x):
            y = self.second(self.two(self.relu(self.first(self.one(x)))))
            return self.relu(y + self.down(x))

    model, path = Chain(Residual(), Residual(), nn.AdaptiveAvgPool2d(1)).eval(), tmp_path / "net.onnx"
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    how = {"dynamo": False, "training": mode, "do_constant_folding": folded}
    torch.onnx.export(model, (torch.zeros(1, 4, 16, 16),), path, **how)
    found = fastrf.diff(model, path, (4, 16, 16))
    if not folded:
        assert found.changes == ()
        return
    assert {(c.changed, c.was.rpartition(".")[2]) for c in found.causes} == {
        (("parameters",), k) for k in ("one", "two", "0")
    }
    assert {c.module for c in found.removed} == {"BatchNorm2d"}
    assert (len(found.causes), len(found.removed), len(found.changes)) == (6, 6, 12)


@pytest.mark.slow
def test_a_dilation_in_a_resnet():
    models = pytest.importorskip("torchvision").models
    sides = [models.resnet50(), models.resnet50()]
    conv = sides[1].layer3[1].conv2
    conv.dilation, conv.padding = (2, 2), (2, 2)
    found = fastrf.diff(*sides, (3, 224, 224))
    assert names(found.causes) == ["layer3.1.conv2"]
    assert len(found.inherited) == 78
    assert {name.partition(".")[0] for name in names(found.inherited)} == {"layer3", "layer4"}
