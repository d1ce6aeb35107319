"""The packages of the libraries, without what would replace PyTorch."""

from __future__ import annotations

import subprocess
import sys

__all__ = ["install"]

#: By themselves: what they depend on would bring another PyTorch, or much that models do not need.
ALONE = ["segmentation-models-pytorch", "monai", "pytorchcv", "ultralytics", "torchaudio", "asteroid", "denoiser"]


def install() -> None:
    """Bring in every package."""
    command = [sys.executable, "-m", "pip", "install"]
    subprocess.run([*command, "--no-deps", *ALONE], check=True)
