"""Questions that people ask of their sequence models, each answered by one member; numbers are worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tests.sequence_models import Attention, tril  # noqa: E402

INF = math.inf


def test_how_many_earlier_tokens_a_chunk_needs_under_sliding_windows():
    layers = [Attention(tril(40) & ~tril(40, -5), form) for form in ("added", "filled", "sdpa")]
    told = fastrf.analyze(nn.Sequential(*layers), (40, 4), channel_axis=1).output.context()
    assert (told.lookback, told.lookahead, told.period, told.unbounded_at) == (3 * 4, 0, 1, ())


@pytest.mark.parametrize("form", ["added", "filled", "sdpa"])
def test_whether_a_language_model_sees_the_future(form):
    analysis = fastrf.analyze(nn.Sequential(Attention(tril(12), form), Attention(tril(12), form)), (12, 4))
    told = analysis.output.context()
    assert (told.is_causal, told.lookback, told.bounded_lookback) == (True, INF, 0)
    assert len(told.unbounded_at) == 2


class Spectrogram(nn.Module):
    def __init__(self, centred):
        super().__init__()
        self.centred = centred
        self.register_buffer("window", torch.hann_window(32, periodic=False) + 0.1)

    def forward(self, x):
        return torch.stft(x[:, 0], 32, 8, 32, self.window, center=self.centred, return_complex=True).abs()


def test_how_far_ahead_frames_of_a_spectrogram_look():
    plain = fastrf.analyze(Spectrogram(False), (1, 256)).output.context(8_000)  # frames behind their frequencies
    assert (plain.lookback, plain.lookahead, plain.step, plain.latency) == (0, 24, 8, 32)
    assert plain.seconds["latency"] == 0.004
    centred = fastrf.analyze(Spectrogram(True), (1, 256)).output
    # Frame 0 begins 16 mirrored samples before the first, which are samples 1 to 16; the last one likewise.
    assert (centred.lookback(), centred.lookahead()) == (17, 9)


def test_how_far_ahead_frames_over_mirrored_samples_look():
    field = fastrf.analyze(nn.Sequential(nn.ReflectionPad1d(12), nn.Conv1d(1, 1, 25, 10)), (1, 4000)).output
    # Frame 0 sees the first 13 samples, which are behind its own 10 by 3; the last one begins 12 before its own.
    assert (field.lookahead(), field.lookback()) == (3, 12)


class Interleaved(nn.Module):
    def __init__(self):
        super().__init__()
        self.even, self.odd = nn.Conv1d(1, 1, 2), nn.Conv1d(1, 1, 2)

    def forward(self, x):
        late = nn.functional.pad(x, (1, 0))
        return torch.stack([self.even(late), self.odd(late)], -1).flatten(-2)


def test_what_a_step_of_an_up_sampling_decoder_is():
    told = fastrf.analyze(nn.Sequential(Interleaved(), Interleaved()), (1, 24)).output.context(100)
    assert (told.step, told.lookahead, told.is_causal) == (0.25, 0, True)
    assert told.lookback == 2
    assert told.seconds["step"] == 0.0025


class OverTime(nn.Module):
    """Rows and columns folded into the batch."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3)

    def forward(self, x):
        batch, channels, steps, rows, columns = x.shape
        lines = nn.functional.pad(x, (0, 0, 0, 0, 2, 0)).permute(0, 3, 4, 1, 2).flatten(0, 2)
        return self.conv(lines).reshape(batch, rows, columns, channels, steps).permute(0, 3, 4, 1, 2)


def test_which_axes_of_a_video_model_need_context():
    field = fastrf.analyze(OverTime(), (2, 8, 3, 5)).output
    assert [(field.lookback(axis), field.lookahead(axis)) for axis in range(3)] == [(2, 0), (0, 0), (0, 0)]


def test_window_and_global_tokens_leak_what_the_global_ones_see():
    steps = torch.arange(24)
    open_ = ((steps[:, None] - steps).abs() <= 2) | (steps == 0) | (steps[:, None] == 0)
    field = fastrf.analyze(Attention(open_), (24, 4), channel_axis=1).output
    assert field.leaks().tolist() == [[i, j] for i, j in np.argwhere(open_.numpy()).tolist() if j > i]


def test_rows_of_an_autoregressive_image_model():
    class Masked(nn.Conv2d):
        def __init__(self, own):
            super().__init__(1, 1, 3, padding=1)
            mask = torch.ones(1, 1, 3, 3)
            mask[..., 1, 1 + own :], mask[..., 2, :] = 0, 0
            self.register_buffer("mask", mask)

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight * self.mask, self.bias, padding=1)

    field = fastrf.analyze(nn.Sequential(Masked(0), Masked(1)), (1, 7, 9)).output
    assert (field.lookahead(0), field.lookback(0)) == (0, 2)
    assert field.lookahead(1) > 0  # columns of earlier rows


class Scan(nn.Module):
    def __init__(self, back):
        super().__init__()
        self.back = back

    def forward(self, x):
        return torch.from_numpy(np.cumsum(x.numpy(force=True), -1))  # nothing that can be followed


def test_a_scan_of_ones_own_is_causal_as_its_rule_says(rules_of_one_test):
    @fastrf.rule(Scan)
    def scan(x, back):
        return fastrf.ops.dense.cumulation(x, axis=-1, reverse=back)

    def read(back):
        front = nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(1, 1, 3))
        return fastrf.analyze(front.append(Scan(back)), (1, 9)).output

    assert (read(False).is_causal(), read(False).lookback()) == (True, INF)
    assert len(read(True).leaks()) == 9 * 8 // 2


class Steps(nn.Module):
    """A loop over steps by hand, whose states are stacked."""

    def __init__(self, channels):
        super().__init__()
        self.cell = nn.GRUCell(channels, channels)

    def forward(self, x):
        h, states = x.new_zeros(x.shape[0], x.shape[2]), []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            states.append(h)
        return torch.stack(states, 1)


def test_a_loop_by_hand_sees_what_the_layer_sees():
    by_hand = fastrf.analyze(Steps(3), (300, 3), channel_axis=-1).output
    layer = fastrf.analyze(nn.GRU(3, 3, batch_first=True), (300, 3), channel_axis=-1).output
    assert len(by_hand.dependency.terms) == 1
    assert by_hand.dependency == layer.dependency
    assert by_hand.exact
    assert by_hand.is_causal()


@pytest.mark.parametrize("form", ["eager", "sdpa"])
def test_language_models_of_a_library(form):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"vocab_size": 40, "max_position_embeddings": 64, "attn_implementation": form}
    config = transformers.LlamaConfig(**sizes)
    decoder = fastrf.analyze(transformers.LlamaForCausalLM(config).eval(), (20,))
    assert decoder.output.is_causal()
    assert decoder.leaks() == ()
    assert len(decoder.output.context().unbounded_at) == 2
    encoder = fastrf.analyze(transformers.BertModel(transformers.BertConfig(**sizes)).eval(), (20,))
    (leak,) = encoder.leaks()
    assert leak.module.startswith("encoder.layer.0.attention")
    assert leak.count == 20 * 19 // 2
