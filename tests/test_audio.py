"""What networks on sound read first: the same at any length, on long axes and short ones, and what gradients say."""

from __future__ import annotations

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn

SECONDS = (1, 1.5, 2, 2.1, 10)
RATE = 16_000


def pad(amount: int, mode: str = "reflect") -> dict:
    return fastrf.layer("pad", padding=[[0, 0], [amount, amount]], mode=mode)


def spectrogram(mode: str) -> list:
    """Frames of 400 every 160 samples behind padding of 200, then 3 frames each, as in a log-mel front."""
    return [pad(200, mode), fastrf.conv(1, 400, stride=160), fastrf.conv(1, 3, padding=1)]


def extractor() -> list:
    """The seven convolutions of wav2vec 2.0 and HuBERT."""
    return [fastrf.conv(1, k, stride=s) for k, s in [(10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2]]


def codec() -> list:
    """Down by 2, 4, 5 and 8 and up again, with mirrored borders."""
    down = [(pad(s // 2), fastrf.conv(1, 2 * s, stride=s)) for s in (2, 4, 5, 8)]
    up = [
        fastrf.layer("conv_transpose", out_channels=1, kernel_size=2 * s, stride=s, padding=s // 2) for s in (8, 5, 4)
    ]
    return [layer for pair in down for layer in pair] + up


FRONTS = {
    "mirrored": spectrogram("reflect"),
    "repeated": spectrogram("replicate"),
    "silent": spectrogram("constant"),
    "extractor": extractor(),
    "codec": codec(),
}


@pytest.mark.parametrize("name", FRONTS)
def test_a_front_reads_the_same_at_any_length(name):
    fields = [fastrf.analyze(FRONTS[name], (1, int(seconds * RATE))).output for seconds in SECONDS]
    boxes = [field.boxes()[:, 0] for field in fields]
    areas = [field.areas() for field in fields]
    half = len(boxes[0]) // 2
    for field, box, area in zip(fields[1:], boxes[1:], areas[1:], strict=True):
        assert (box[:half] == boxes[0][:half]).all()
        assert (area[:half] == areas[0][:half]).all()
        assert field.size == fields[0].size
    for field, box, area in zip(fields, boxes, areas, strict=True):
        # Before the end of a length that the strides divide, everything is as at one second, moved.
        if field.input_shape[1] % 3200 == 0 and name != "extractor":
            moved = box[-half:] - field.input_shape[1] + RATE
            assert (moved == boxes[0][-half:]).all()
            assert (area[-half:] == areas[0][-half:]).all()


def test_the_front_of_a_speech_model_by_hand():
    field = fastrf.analyze(spectrogram("reflect")[:2], (1, 10 * RATE)).output
    assert field.boxes()[[0, 1, 500, 1000], 0].tolist() == [[0, 201], [0, 360], [79_800, 80_200], [159_799, 160_000]]
    assert fastrf.analyze(extractor(), (1, 3 * RATE)).output.boxes()[[0, 100], 0].tolist() == [
        [0, 400],
        [32_000, 32_400],
    ]


TORCH = {
    "mirrored": (nn.ReflectionPad1d(200), nn.Conv1d(1, 1, 400, 160), nn.Conv1d(1, 1, 3, padding=1)),
    "repeated": (nn.ReplicationPad1d(200), nn.Conv1d(1, 1, 400, 160), nn.Conv1d(1, 1, 3, padding=1)),
    "extractor": tuple(nn.Conv1d(1, 1, k, s) for k, s in [(10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2]),
    "codec": (
        *[m for s in (2, 4, 5, 8) for m in (nn.ReflectionPad1d(s // 2), nn.Conv1d(1, 1, 2 * s, s))],
        *[nn.ConvTranspose1d(1, 1, 2 * s, s, s // 2) for s in (8, 5, 4)],
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_gradients_agree_on_a_long_axis(name):
    model = nn.Sequential(*TORCH[name]).double()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1.0)
    sound = torch.ones(1, 1, 33_600, dtype=torch.float64, requires_grad=True)
    out = model(sound)[0, 0]
    field = fastrf.analyze(FRONTS[name], (1, 33_600)).output
    assert field.position_shape == out.shape
    for at in (0, 1, len(out) // 2, len(out) - 2, len(out) - 1):
        (gradient,) = torch.autograd.grad(out[at], sound, retain_graph=True)
        assert (field.mask((at,)) == (gradient[0, 0] != 0).numpy()).all()


def test_a_transform_of_more_than_two_seconds_is_captured():
    class Spectrum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("window", torch.ones(400))

        def forward(self, sound: torch.Tensor) -> torch.Tensor:
            return torch.stft(sound, 400, 160, window=self.window, return_complex=True).abs().sum(1)

    field = fastrf.analyze(Spectrum(), (33_600,)).output
    assert field.boxes()[[0, 50, 210], 0].tolist() == [[0, 201], [7800, 8200], [33_399, 33_600]]
