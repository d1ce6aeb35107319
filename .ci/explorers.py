"""Two explorers beside the pages of the site: MkDocs asks for them, and the version that is described makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastrf

__all__ = ["NAMES", "on_post_build"]

#: Networks whose explorers `docs/explorer.md` shows.
NAMES = ("resnet50", "unet")


def on_post_build(config: Any) -> None:
    """Write the explorers into the site that was built."""
    folder = Path(config["site_dir"], "explorers")
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        fastrf.report(fastrf.analyze(name), folder / f"{name}.html")
