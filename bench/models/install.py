"""The packages of the libraries, without what would replace PyTorch."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["install"]

#: With what they need, beside PyTorch and torchvision that fit each other.
PLAIN = ["timm", "transformers", "diffusers", "keras", "einops"]
#: By themselves: what they ask for would bring another PyTorch, or is left out below.
ALONE = [
    *("segmentation-models-pytorch", "monai", "pytorchcv", "ultralytics", "ultralytics-thop", "opencv-python-headless"),
    *("torchaudio", "pytorch-tcn", "asteroid", "asteroid-filterbanks", "denoiser", "demucs", "wavenet-vocoder"),
    *("torchcrepe", "resampy", "braindecode"),
]
#: What importing those needs, not running them.
NEEDED = [
    *("pytorch-lightning", "lightning-utilities", "torchmetrics", "torch-optimizer", "julius", "dora-search"),
    *("librosa", "soundfile", "soxr", "audioread", "lazy-loader", "pooch", "decorator", "scikit-learn", "joblib"),
    *("threadpoolctl", "cffi", "pycparser", "narwhals", "skorch", "mne", "mne-bids", "torchinfo", "wfdb", "openunmix"),
    *("docstring-inheritance", "tabulate", "requests", "urllib3", "local-attention", "hyper-connections"),
    *("rotary-embedding-torch", "linear-attention-transformer", "product-key-memory", "axial-positional-embedding"),
    *("colt5-attention", "linformer", "omegaconf", "antlr4-python3-runtime==4.9.*", "treetable", "retrying"),
    *("submitit", "hydra-core", "hydra-colorlog", "colorlog", "hyperpyyaml", "polars", "seaborn"),
]


def install() -> None:
    """Bring in every package; those that have no wheel fail by themselves."""
    command = [sys.executable, "-m", "pip", "install"]
    subprocess.run([*command, *PLAIN], check=True)
    for package in [*NEEDED, *ALONE]:
        subprocess.run([*command, "--no-deps", package], check=False)
