"""Which layer of a PyTorch model is to blame: norms, attentions, gates and pools, those behind others, too."""

from __future__ import annotations

import pytest

import fastrf

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 (after torch is known to be there)


class Attend(nn.Module):
    """Attention over the whole image, with a skip."""

    def __init__(self, fused=False):
        super().__init__()
        self.p, self.fused = nn.Conv2d(4, 12, 1), fused

    def forward(self, x):
        q, k, v = self.p(x).flatten(2).transpose(1, 2).chunk(3, -1)
        if self.fused:
            y = nn.functional.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.softmax(q @ k.transpose(1, 2), -1) @ v
        return x + y.transpose(1, 2).reshape(x.shape)


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(self.pool(x)))


def conv(stride=1):
    return nn.Conv2d(4, 4, 3, stride, 1)


def blamed(*layers, shape=(4, 16, 16), **asked):
    found = fastrf.analyze(nn.Sequential(*layers), shape, **asked).output.why()
    assert found.kind == "unbounded"
    return [(reason.name, reason.operator, reason.behind) for reason in found.reasons], found


def test_a_norm_and_the_attention_behind_it_and_nothing_else():
    for fused in (False, True):
        layers = conv(), nn.GroupNorm(2, 4), conv(), Attend(fused=fused), nn.Upsample(scale_factor=2), conv()
        reasons, found = blamed(*layers)
        assert reasons == [("1", "GroupNorm", False), ("3", "Attend", True)]
        assert found.sentences[0] == (
            "'5' reads whole axes of 'input': statistics over all positions at '1' (GroupNorm); "
            "attention over all positions at '3' (Attend)."
        )
        left_out = [reason.ignore for reason in found.reasons]
        assert fastrf.analyze(nn.Sequential(*layers), (4, 16, 16), ignore=left_out).output.size == (6, 6)


def test_all_instance_norms_of_a_patch_discriminator():
    layers = [conv(2), nn.LeakyReLU(), conv(2), nn.InstanceNorm2d(4), conv(2), nn.InstanceNorm2d(4), conv()]
    reasons, found = blamed(*layers, shape=(4, 64, 64))
    assert reasons == [("3", "InstanceNorm2d", False), ("5", "InstanceNorm2d", True)]
    assert {reason.ignore for reason in found.reasons} == {"statistics"}
    rest = fastrf.analyze(nn.Sequential(*layers), (4, 64, 64), ignore="statistics").output.why()
    assert rest.sentences[0] == "'6' is 31 pixels wide; the widest steps are '6' (+16), '4' (+8) and '2' (+4)."


def test_a_gate_and_what_is_behind_it():
    reasons, found = blamed(conv(), Gate(), conv(), nn.InstanceNorm2d(4))
    assert reasons == [("1.pool", "AdaptiveAvgPool2d", False), ("3", "InstanceNorm2d", True)]
    assert [reason.ignore for reason in found.reasons] == ["gates", "statistics"]
    assert found.reasons[0].cause == "a gate that is the same at every position"


def test_a_pool_in_front_of_a_classifier_is_no_gate():
    reasons, found = blamed(conv(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert reasons == [("1", "AdaptiveAvgPool2d", False)]
    assert found.reasons[0].cause == "pools all positions"


def test_branches_that_are_both_first():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.InstanceNorm2d(4), nn.GroupNorm(1, 4)

        def forward(self, x):
            return self.left(x) + self.right(x)

    assert blamed(Both())[0] == [("0.left", "InstanceNorm2d", False), ("0.right", "GroupNorm", False)]


class Line(nn.Module):
    """Attention along a line, of each to three before it and itself."""

    def __init__(self):
        super().__init__()
        self.p = nn.Linear(4, 12)
        place = torch.arange(40)
        far = place[:, None] - place
        self.register_buffer("hidden", (far < 0) | (far > 3))

    def forward(self, x):
        q, k, v = self.p(x).chunk(3, -1)
        scores = (q @ k.transpose(-1, -2)).masked_fill(self.hidden, -torch.inf)
        return torch.softmax(scores, -1) @ v


class Norm(nn.Module):
    """A norm over all steps."""

    def forward(self, x):
        return nn.functional.layer_norm(x, x.shape[-2:])


def test_windows_of_an_attention_are_steps_and_no_causes():
    alone = fastrf.analyze(nn.Sequential(Line(), Line()), (40, 4)).output.why()
    assert alone.sentences[0] == "'1' is 7 pixels wide; the widest steps are '0' (+3) and '1' (+3)."
    assert [reason.operator for reason in alone.reasons] == ["Line", "Line"]
    behind = blamed(Norm(), Line(), Line(), shape=(40, 4), channel_axis=1)[0]
    between = blamed(Line(), Norm(), Line(), shape=(40, 4), channel_axis=1)[0]
    assert [name for name, _, _ in behind] == ["0"]
    assert [name for name, _, _ in between] == ["1"]


def test_a_pixel_is_followed_through_channels_and_skips():
    model = nn.Sequential(conv(), nn.PixelShuffle(2), nn.Conv2d(1, 4, 1), Attend())
    field = fastrf.analyze(model, (4, 8, 8)).output
    path = field.why((3, 3), (2, 2)).path
    assert [name for name, _ in path] == ["input", "0", "1", "2", "3"]
    far = field.why((3, 3), (7, 7))
    assert [name for name, _ in far.path][-2:] != ["2", "3"]
    assert far.reasons[-1].cause == "one branch alone has it"


def test_what_a_mask_of_future_steps_hides_is_outside():
    field = fastrf.analyze(nn.Sequential(Line(), Line()), (40, 4)).output
    assert field.why((10,), (11,)).sentences == (
        "'1' at (10,) does not see pixel (11,): it lies outside of what it sees, [4, 11).",
    )


def test_a_masked_convolution_has_a_hole_of_its_own():
    class Masked(nn.Conv2d):
        def forward(self, x):
            mask = torch.ones_like(self.weight)
            mask[:, :, 1, 1:] = 0
            mask[:, :, 2:] = 0
            return nn.functional.conv2d(x, self.weight * mask, padding=1)

    field = fastrf.analyze(nn.Sequential(Masked(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1)), (1, 8, 8)).output
    found = field.why((4, 4), (4, 4))
    assert (found.kind, [reason.name for reason in found.reasons]) == ("hole", ["0"])
    assert field.why(pixel=(7, 7)).sentences[0].startswith("No position of '2' sees pixel (7, 7): it is lost at '0'")
