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
