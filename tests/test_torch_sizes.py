"""Sizes that PyTorch modules take: runs on a symbol, compared with runs at every size."""

from __future__ import annotations

import copy
import functools
import sys

import pytest

import fastrf
from fastrf.errors import NetworkError, ShapeError, UsageError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from fastrf.frontends.torch import sizes as frontend  # noqa: E402


class Skip(nn.Module):
    """Up to the size of the skip, and of the input."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)])

    def forward(self, x):
        fine = self.down[0](x)
        coarse = functional.interpolate(self.down[1](fine), size=fine.shape[2:], mode="bilinear")
        return functional.interpolate(torch.cat([fine, coarse], 1), size=x.shape[-2:])


class Joined(nn.Module):
    """Twice as large, to be added to the skip."""

    def forward(self, x):
        small = functional.max_pool2d(x, 2)
        smaller = functional.max_pool2d(small, 2)
        return x + functional.interpolate(small + functional.interpolate(smaller, scale_factor=2), scale_factor=2)


class Raising(nn.Module):
    """Multiples of 32, as it says itself."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x):
        if x.shape[2] % 32 or x.shape[3] % 32:
            raise RuntimeError(f"Wrong input shape {tuple(x.shape[2:])}, multiples of 32 are expected")
        return self.stem(x)


class Padding(nn.Module):
    """Windows of 7, padded where they do not divide."""

    def forward(self, x):
        _, c, h, w = x.shape
        wide = functional.pad(x, (0, 0, 0, -h % 7))
        return wide.view(1, c, wide.shape[2] // 7, 7, w).softmax(3).view(1, c, -1, w)[:, :, :h]


class Tokens(nn.Module):
    """Patches as tokens, put back on a grid."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        grid = self.patch(x)
        tokens = grid.flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens)[0].transpose(1, 2).view(grid.shape)


MODELS = {
    "skip": (Skip(), (3, 20, 24)),
    "joined": (Joined(), (3, 16, 16)),
    "raising": (Raising(), (3, 64, 96)),
    "padding": (Padding(), (3, 21, 9)),
    "tokens": (Tokens(), (3, 32, 40)),
    "unshuffle": (nn.Sequential(nn.PixelUnshuffle(4), nn.Upsample(scale_factor=1.5), nn.Conv2d(48, 3, 3)), (3, 24, 24)),
    "ceil": (nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2, 3, 1, ceil_mode=True)), (3, 30, 30)),
    "flat": (nn.Sequential(nn.Conv2d(3, 4, 5, 4), nn.Flatten(), nn.Linear(100, 3)), (3, 21, 22)),
    "adaptive": (
        nn.Sequential(nn.Conv2d(3, 4, 7, 4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)),
        (3, 30, 30),
    ),
    "transposed": (
        nn.Sequential(nn.Conv1d(1, 4, 4, 3), nn.ConvTranspose1d(4, 1, 5, 3, 1, 2), nn.ReflectionPad1d(9)),
        (1, 50),
    ),
    "folded": (nn.Sequential(nn.Unfold(3, stride=2), nn.Linear(60, 4)), (1, 13, 21)),
}


QUICK = ("raising", "flat", "adaptive", "ceil")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in MODELS])
def test_modules_take_what_they_run_on(name):
    model, shape = MODELS[name]
    sizes = fastrf.sizes(model, shape)
    hollow = copy.deepcopy(model).to("meta").eval()
    for axis in sizes.axes:
        for n in (*range(1, 26), 32, 37, 60, 64, 67):
            full = (1, *(n if k == axis.axis else m for k, m in enumerate(shape)))
            try:
                wanted = tuple(hollow(torch.empty(full, device="meta")).shape[1:])
            except (RuntimeError, ValueError):
                wanted = None
            assert axis.fits(n) == (wanted is not None), (axis.axis, n, wanted)
            assert wanted is None or axis.output_shape(n) == wanted


# What strides divide ---------------------------------------------------------------------------------------------


class Levels(nn.Module):
    """A U-Net that resizes to its skips, so that it takes sizes that it does not need."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 2, 3)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x):
        fine = self.first(x)
        coarse = self.second(self.pool(fine))
        return fine + functional.interpolate(coarse, size=fine.shape[2:], mode="bilinear")


class Residual(nn.Module):
    """Sums in between: of sizes of 1 PyTorch makes numbers."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 1, 2)

    def forward(self, x):
        y = self.first(x)
        return self.second(y + y.relu())


class Cut(nn.Module):
    """Every second row and column, and less of them."""

    def forward(self, x):
        return functional.interpolate(x[:, :, ::2, 1::2], scale_factor=0.75)


EVEN = {
    "levels": (Levels(), (3, 36, 24), 12),
    "skip": (*MODELS["skip"], 4),
    "residual": (Residual(), (3, 36, 24), 4),
    "cut": (Cut(), (2, 16, 8), 8),
    "padded": (nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(1, 1, 3, 2)), (1, 9, 8), 2),
    "pad and conv": (nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 3, 2)), (1, 9, 8), 2),
    "one number": (nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.MaxPool2d(2)), (1, 9, 8), 1),
    "a circle": (nn.Conv2d(1, 1, 3, 2, 1, padding_mode="circular"), (1, 8, 8), 2),
    "a sequence": (nn.Sequential(nn.Conv1d(1, 1, 4, 4), nn.MaxPool1d(2), nn.AvgPool1d(3)), (1, 48), 24),
}


@pytest.mark.parametrize("name", EVEN)
def test_what_strides_divide_is_known_of_modules(name):
    model, shape, step = EVEN[name]
    axis = fastrf.sizes(model, shape, within=(1, 100)).axes[0]

    listed = [n for p in axis.even for n in range(*p)]
    assert sorted(listed) == [n for n in range(1, 100) if axis.fits(n) and n % step == 0]


def given_evenly(model, shape):
    """Whether convolutions and pools get whole multiples of their strides, by a run; None where there is none."""
    rests = []

    def look(module, arguments):
        stride = module.stride if isinstance(module.stride, tuple) else (module.stride,) * 2
        rests.append(arguments[0].shape[2] % stride[0])

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        model(torch.empty(shape, device="meta"))
    except (RuntimeError, ValueError):
        return None
    finally:
        for handle in handles:
            handle.remove()
    return not any(rests)


@pytest.mark.parametrize("name", ["levels", "residual", pytest.param("skip", marks=pytest.mark.slow)])
def test_modules_get_what_strides_divide(name):
    model, shape, _ = EVEN[name]
    axis = fastrf.sizes(model, shape).axes[0]
    hollow = copy.deepcopy(model).to("meta").eval()

    for n in range(1, 80):
        wanted = given_evenly(hollow, (1, shape[0], n, shape[2]))
        assert (axis.fits(n), axis.evenly.fits(n)) == (wanted is not None, bool(wanted)), n
    assert axis.evenly.why(7).told == "a stride of 2 does not divide 7"


def test_operators_of_others_have_unknown_strides():
    class Other(nn.Module):
        def forward(self, x):
            return torch.as_strided(x, (1, 1, 4), (8, 8, 2))

    sizes = fastrf.sizes(Other(), (1, 8))
    assert sizes.even == (None,)
    assert "not known" in str(sizes)


# What else -------------------------------------------------------------------------------------------------------


def test_what_a_module_says_of_a_size():
    model = Raising()
    sizes = fastrf.sizes(model, (3, 70, 96))

    assert sizes.progressions == (((32, None, 32),),) * 2
    assert sizes.multiple == (32, 32)
    assert sizes.input_for((16, 48)) == (32, 96)
    assert "the model was run at 3x72x96" not in sizes.assumes[0]
    assert sizes.assumes[0] == "the model was run at 3x96x96, since 3x70x96 does not fit"
    assert sizes.why((32, 40)) == "RuntimeError: Wrong input shape (32, 40), multiples of 32 are expected"
    assert model.training
    assert not model._forward_hooks


def test_modules_that_fail_are_named():
    sizes = fastrf.sizes(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 9)), (3, 16, 16))

    assert sizes.smallest == (9, 9)
    assert sizes.axes[0].why(5).node == "1"
    assert "Kernel size" in sizes.axes[0].why(5).told
    assert sizes.why((16, 12)) is None


def test_ids_have_sizes_too():
    assert fastrf.sizes(nn.Embedding(10, 4), (12,)).input_for(7) == (7,)


def test_ways_that_do_not_end():
    class Single(nn.Module):
        def forward(self, x):
            return x[:, :, : int(x.shape[2] ** 0.5)]

    found = fastrf.sizes(Single(), (3, 16), within=(16, 30))
    assert found.progressions == (((16, 30, 1),),)
    assert found.axes[0].input_for(5) == 25
    assert found.assumes == ("the network was read at every size from 16 to 29, and at no other",)
    near = fastrf.sizes(Single(), (3, 16))
    assert near.progressions == (((1, 49, 1),),)
    assert "every size from 1 to 48, and at no other, which are not known" in near.assumes[0]
    assert "--within" in near.assumes[0]
    assert "--within" in near.axes[0].why(90).told
    with pytest.raises(fastrf.UnsupportedOpError, match="give within="):
        fastrf.sizes(Single(), (3, 16), within=(1, 1000))


def test_several_inputs_of_a_module():
    class Two(nn.Module):
        def forward(self, image, mask):
            return image * mask

    shapes = {"image": (1, 8, 8), "mask": (1, 8, 8)}
    with pytest.raises(UsageError, match="inputs image, mask; name one by wrt"):
        fastrf.sizes(Two(), shapes)
    assert fastrf.sizes(Two(), shapes, wrt="mask").progressions[0] == ((1, 9, 7),)
    with pytest.raises(UsageError, match="'nope' is no input"):
        fastrf.sizes(Two(), shapes, wrt="nope")


def test_modules_that_take_nothing():
    class Never(nn.Module):
        def forward(self, _):
            raise ValueError("never")

    with pytest.raises(ShapeError, match=r"Never does not take .*none of 20 larger shapes near it fits either"):
        fastrf.sizes(Never(), (3, 4, 4))
    with pytest.raises(NetworkError, match="input_shape"):
        fastrf.sizes(nn.ReLU())


@functools.cache
def ramp(size):
    return torch.arange(float(size))


class Ramped(nn.Module):
    def forward(self, x):
        return x + ramp(int(x.shape[-1]))


def test_memoised_functions_keep_nothing_of_a_run():
    ramp.cache_clear()
    assert fastrf.sizes(Ramped(), (3, 8), within=(6, 12)).progressions == (((6, 12, 1),),)
    assert type(Ramped()(torch.zeros(3, 8))) is torch.Tensor


def test_kernels_are_no_ways_through_a_module():
    sizes = fastrf.sizes(nn.Conv2d(3, 16, 3, padding=1), (3, 99, 64))
    assert sizes.progressions == (((1, None, 1),),) * 2
    assert len(sizes.axes[0]._pieces) == 1


def test_runs_that_are_too_dear_are_not_made(monkeypatch):
    model, shape = MODELS["ceil"]
    monkeypatch.setattr(frontend, "MOST_MET", 0)
    found = fastrf.sizes(model, shape)
    assert found.assumes[-1].startswith("some sizes of 1 and more are not known: runs meet 2 conditions")
    assert "(--within START:STOP)" in found.assumes[-1]
    assert found.axes[0].fits(30)
    assert found.smallest[0] is None
    assert "not known" in str(found)
    assert "is not known" in found.axes[0].why(1).told
    assert fastrf.sizes(model, shape, within=(1, 8)).assumes == found.assumes[:1]


def test_without_symbols_of_this_pytorch_sizes_are_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastrf.frontends.torch.sizes", None)
    monkeypatch.delattr(sys.modules["fastrf.frontends.torch"], "sizes", raising=False)
    found = fastrf.sizes(nn.Conv2d(3, 4, 3, stride=2), (3, 32, 32), within=(1, 40))
    assert found.progressions == (((3, 40, 1),),) * 2
