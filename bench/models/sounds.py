"""Models of sounds and other signals: torchaudio, separation of sources, temporal convolutions, EEG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench.models.case import Case, Library

__all__ = ["SIGNALS"]


def _torchaudio(name: str, *given: Any, **settings: Any) -> Any:
    from torchaudio import models

    return getattr(models, name)(*given, **settings)


def _wav2vec2() -> Any:
    from torchaudio.models import wav2vec2_model

    layers = [(8, 10, 5), (8, 3, 2), (8, 3, 2)]
    return wav2vec2_model("group_norm", layers, False, 16, 0.0, 8, 4, 2, 4, 0.0, 24, 0.0, 0.0, False, 0.0, None)


def _named(module: str, name: str, *given: Any, **settings: Any) -> Any:
    """A class of another package."""
    import importlib

    return getattr(importlib.import_module(module), name)(*given, **settings)


Make = Callable[[], Any]
EEG = {"n_chans": 4, "n_outputs": 2, "n_times": 512, "sfreq": 128}
#: How it is made, its input, and arguments that are constants.
MODELS: dict[str, tuple[Make, Any]] = {
    "torchaudio.ConvTasNet": (
        partial(_torchaudio, "ConvTasNet", enc_num_feats=16, msk_num_feats=8, msk_num_hidden_feats=16, msk_num_layers=3,
                msk_num_stacks=2), (1, 256)),
    "torchaudio.Wav2Letter": (partial(_torchaudio, "Wav2Letter", 5, "waveform", 1), (1, 12000)),
    "torchaudio.Wav2Letter/mfcc": (partial(_torchaudio, "Wav2Letter", 5, "mfcc", 8), (8, 64)),
    "torchaudio.DeepSpeech": (partial(_torchaudio, "DeepSpeech", n_feature=6, n_hidden=8, n_class=5), (1, 12, 6)),
    "torchaudio.WaveRNN": (
        partial(_torchaudio, "WaveRNN", upsample_scales=[2, 2], n_classes=8, hop_length=4, n_res_block=1, n_rnn=8,
                n_fc=8, kernel_size=5, n_freq=6, n_hidden=8, n_output=8), {"waveform": (1, 16), "specgram": (1, 6, 8)}),
    "torchaudio.Wav2Vec2Model": (_wav2vec2, (600,)),
    "torchaudio.HDemucs": (
        partial(_torchaudio, "HDemucs", ["a", "b"], audio_channels=1, channels=4, nfft=256, depth=3), (1, 2048)),
    "torchaudio.Conformer": (
        partial(_torchaudio, "Conformer", input_dim=8, num_heads=2, ffn_dim=16, num_layers=2,
                depthwise_conv_kernel_size=5), {"input": (10, 8), "lengths": [10]}),
    "torchaudio.Emformer": (
        partial(_torchaudio, "Emformer", 8, 2, 16, 2, 4, right_context_length=2), {"input": (14, 8), "lengths": [12]}),
    "pytorch_tcn.TCN": (partial(_named, "pytorch_tcn", "TCN", 4, [6, 6, 6], kernel_size=3), (4, 32)),
    "pytorch_tcn.TCN/acausal": (
        partial(_named, "pytorch_tcn", "TCN", 4, [6, 6], kernel_size=3, causal=False, use_skip_connections=True),
        (4, 32)),
    "asteroid.ConvTasNet": (
        partial(_named, "asteroid.models", "ConvTasNet", 2, n_blocks=3, n_repeats=2, bn_chan=8, hid_chan=16,
                skip_chan=8, n_filters=16), (1, 256)),
    "asteroid.DPRNNTasNet": (
        partial(_named, "asteroid.models", "DPRNNTasNet", 2, n_repeats=1, bn_chan=8, hid_size=8, chunk_size=8,
                n_filters=8), (1, 256)),
    "asteroid.DPTNet": (
        partial(_named, "asteroid.models", "DPTNet", 2, n_heads=2, ff_hid=8, chunk_size=8, n_repeats=1, n_filters=8),
        (1, 256)),
    "asteroid.SuDORMRFNet": (
        partial(_named, "asteroid.models", "SuDORMRFNet", 2, bn_chan=8, num_blocks=1, upsampling_depth=2, n_filters=8),
        (1, 256)),
    "asteroid.DCUNet": (partial(_named, "asteroid.models", "DCUNet", "mini", fix_length_mode="pad"), (1, 2048)),
    "asteroid.LSTMTasNet": (
        partial(_named, "asteroid.models", "LSTMTasNet", 2, n_layers=1, hid_size=8, n_filters=8), (1, 256)),
    "denoiser.Demucs": (
        partial(_named, "denoiser.demucs", "Demucs", hidden=4, depth=3, max_hidden=8), (1, 597)),
    "demucs.Demucs": (
        partial(_named, "demucs.demucs", "Demucs", ["a"], audio_channels=1, channels=4, depth=3, lstm_layers=0),
        (1, 1024)),
    "wavenet_vocoder.WaveNet": (
        partial(_named, "wavenet_vocoder", "WaveNet", 8, layers=6, stacks=2, residual_channels=8, gate_channels=16,
                skip_out_channels=8, cin_channels=-1, gin_channels=-1, kernel_size=2), (8, 64)),
    "torchcrepe.Crepe": (partial(_named, "torchcrepe", "Crepe", "tiny"), (1024,)),
    **{
        f"braindecode.{name}": (partial(_named, "braindecode.models", name, **EEG), (4, 512))
        for name in ("EEGNet", "Deep4Net", "ShallowFBCSPNet", "EEGConformer", "ATCNet", "EEGInceptionERP",
                     "EEGTCNet", "TIDNet")
    },
}  # fmt: skip


def _cases(name: str) -> Iterator[Case]:
    import torch

    torch.manual_seed(0)
    make, given = MODELS[name]
    values = {}
    if isinstance(given, dict):
        values = {key: torch.tensor(item) for key, item in given.items() if isinstance(item, list)}
        given = {key: item for key, item in given.items() if key not in values}
    yield Case(make(), given, values, next(iter(given)) if isinstance(given, dict) else None)


SIGNALS = Library(
    "signals",
    lambda: list(MODELS),
    _cases,
    note="Sounds, EEG and other signals; the package is the first part of the name.",
)
