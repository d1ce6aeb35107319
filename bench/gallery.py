"""The gallery: `python -m bench.gallery` draws every picture of `docs/gallery`, those of other pages, and the page.

Pictures are made by the code that the page shows, `photo.png` by `bench/scene.py`. Two runs on one machine write the
same bytes. `tests/test_gallery.py` asks that the page is what this writes, and `tests/test_docs.py` runs its code.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.pages import DOCS
from bench.scene import scene

__all__ = ["ELSEWHERE", "ENTRIES", "Entry", "main", "page", "pictures"]


class Entry(NamedTuple):
    """A picture: its file, what it shows, in words below it, and the code that makes it."""

    name: str
    title: str
    words: str
    code: str


ENTRIES = (
    Entry(
        "mask",
        "What one position sees",
        "The veil lies over all that position (14, 10) of ResNet-50's second stage does not see. The dot is "
        "where it looks.",
        'resnet = fastrf.analyze("resnet50", (3, 224, 224))\nplot.mask(resnet["layer2"], (14, 10), "photo.png")',
    ),
    Entry(
        "holes",
        "Holes",
        "A small input has a line between any two pixels. Here dilation leaves gaps in the box.",
        'table = {"near": [2, 1, 0, 1], "far": [3, 1, 4, 4]}  # kernel, stride, padding, dilation\n'
        "plot.mask(fastrf.analyze(table, (1, 20, 20)).output, (8, 8))",
    ),
    Entry(
        "positions",
        "Several positions",
        "The corners, edges and the middle of a map: the border leaves less of the field the nearer a "
        "position is to it.",
        'plot.masks(resnet["layer3.0"], image="photo.png")',
    ),
    Entry(
        "architectures",
        "Several architectures",
        "The middle positions of three classic networks at a stride of 16, and of dilation that leaves gaps.",
        "layers = [fastrf.conv(8, 7, padding=3), *[fastrf.conv(8, 3, dilation=d, padding=d) for d in (12, 36)]]\n"
        "gaps = fastrf.analyze(layers, (3, 224, 224))\n"
        "fields = {\n"
        '    "AlexNet, conv5": fastrf.analyze("alexnet", (3, 227, 227))["conv5"],\n'
        '    "VGG-16, pool4": fastrf.analyze("vgg16", (3, 224, 224))["features.23"],\n'
        '    "ResNet-18, layer3.0": fastrf.analyze("resnet18", (3, 224, 224))["layer3.0"],\n'
        '    "dilation 12, 36": gaps.output,\n'
        "}\n"
        'plot.compare(fields, image="photo.png")',
    ),
    Entry(
        "areas",
        "Areas",
        "How many pixels each position of a U-Net's output sees. Neighbours differ: each phase of the "
        "upsampling has its own size.",
        'unet = fastrf.analyze("unet", (1, 256, 256))\nplot.areas(unet.output)',
    ),
    Entry(
        "densities",
        "Densities",
        "Which share of its box each position sees of the block before: parallel branches of Inception cut "
        "the corners off.",
        'inception = fastrf.analyze("inception_v3", (3, 427, 427), wrt="Mixed_7b")\n'
        'plot.densities(inception["Mixed_7c"])',
    ),
    Entry(
        "clipped",
        "What a border cuts",
        "In the frame, the receptive field reaches beyond the image: padding stands where pixels should be.",
        'plot.clipped(resnet["layer2"])',
    ),
    Entry(
        "coverage",
        "Coverage and blind spots",
        "How many positions see each pixel. Here strides and gaps fit each other badly: some pixels change "
        "nothing at all.",
        "layers = [fastrf.conv(8, 3, stride=2), fastrf.conv(8, 3, dilation=3), fastrf.conv(8, 2, stride=4)]\n"
        "plot.coverage(fastrf.analyze(layers, (3, 64, 96)).output)",
    ),
    Entry(
        "growth",
        "Growth through depth",
        "The nominal size goes on growing where the input has ended: from the middle of the third stage on, a "
        "position sees "
        "all there is. Dips are shortcuts, which see less than the branch beside them.",
        "plot.growth(resnet)",
    ),
    Entry(
        "phases",
        "Growth of a U-Net",
        "On the way up, positions differ by phase: between the smallest and the largest size is a band. The "
        "input is no square.",
        'plot.growth(fastrf.analyze("unet", (1, 160, 96)))',
    ),
    Entry(
        "lattice",
        "The lattice of a detector",
        "Where the neurons of YOLOv5's levels look, and where its anchors stand. On the finer levels four "
        "neurons look at one "
        "place, since what they add to each other comes from the level above.",
        'plot.lattice(fastrf.analyze("yolov5s", (3, 640, 640)), ["p3", "p4", "p5"], "yolov5")',
    ),
    Entry(
        "effective",
        "Effective receptive fields",
        "How much the pixels weigh, by the paths that lead from them to the position. Half of the weight is "
        "in an eighth of the box.",
        'alexnet = fastrf.analyze("alexnet", (3, 227, 227))\n'
        'plot.effective(fastrf.anchors.effective(alexnet, "conv5"), alexnet["conv5"])',
    ),
    Entry(
        "causal",
        "Who reads whom: a causal network",
        "Every step of a temporal convolutional network against all samples. Nothing is read right of the "
        "dashed line.",
        'plot.matrix(fastrf.analyze("tcn").output)',
    ),
    Entry(
        "tokens",
        "Who reads whom: tokens",
        "Two layers of attention in a window, with a first token that all read. One entry of the mask is "
        "wrong: token 20 may "
        "read token 30. The slip is seen at once, and so is what reads it in the second layer.",
        "import numpy as np\n"
        "\n"
        "distance = np.subtract.outer(np.arange(48), np.arange(48))\n"
        "allowed = (distance >= 0) & (distance < 5)\n"
        "allowed[:, 0] = allowed[20, 30] = True\n"
        'layer = {"op": "attention", "mask": allowed.tolist()}\n'
        'spec = {"input_shape": [48, 8], "layers": [layer | {"inputs": ["input"] * 3, "name": "a"},\n'
        '                                           layer | {"inputs": ["a"] * 3, "name": "b"}]}\n'
        "plot.matrix(fastrf.analyze(spec, channel_axis=1).output)",
    ),
    Entry(
        "samples",
        "One step of a sequence",
        "What the middle step sees, as a strip of samples.",
        'plot.mask(fastrf.analyze("tcn").output)',
    ),
    Entry(
        "slices",
        "A volume in three slices",
        "Across each axis in turn, through the centre: a position of a 3-D U-Net near a corner.",
        'plot.slices(fastrf.analyze("unet3d", (1, 48, 64, 64))["enc3.relu2"], (2, 8, 13))',
    ),
)  # fmt: skip

#: Pictures of other pages, by their place in `docs`.
ELSEWHERE = {
    "images/lattice.png": """
layers = [fastrf.conv(1, 3, dilation=2, padding=2), fastrf.conv(1, 3, dilation=6, padding=6)]
plot.mask(fastrf.analyze(layers, (1, 32, 32)).output, (12, 12))
""",
    "images/receptive_fields.png": """
import matplotlib.pyplot as plt

figure = plt.figure(figsize=(10, 5.8), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
photo, holes, areas = above.subplots(1, 3)
resnet = fastrf.analyze("resnet50", (3, 224, 224))
table = {"near": [2, 1, 0, 1], "far": [3, 1, 4, 4]}
plot.mask(resnet["layer2"], (14, 10), "photo.png", ax=photo)
plot.mask(fastrf.analyze(table, (1, 20, 20)).output, (8, 8), ax=holes)
plot.areas(fastrf.analyze("unet", (1, 256, 256)).output, ax=areas)
photo.set_title("ResNet-50, layer2 at (14, 10)\\n8,281 of 50,176 pixels", fontsize="medium")
holes.set_title("two dilated layers at (8, 8)\\n36 of 400 pixels", fontsize="medium")
areas.set_title("U-Net\\npixels that each position sees", fontsize="medium")
plot.growth(resnet, ax=below)
""",
}

_HEAD = """# Gallery

Every picture that [`fastrf.plot`](../plot.md) draws, and the code that makes it; `photo.png` is any image. Written by
`python -m bench.gallery`.

```python
import fastrf
from fastrf import plot
```
"""


def page() -> str:
    """The page of the gallery."""
    parts = [_HEAD]
    for one in ENTRIES:
        words = one.words.replace("\n", " ")
        parts.append(
            f"## {one.title}\n\n{_wrapped(words)}\n\n![{one.title}]({one.name}.png)\n\n```python\n{one.code}\n```\n"
        )
    return "\n".join(parts)


def _wrapped(words: str) -> str:
    import textwrap

    return textwrap.fill(words, 120, break_long_words=False, break_on_hyphens=False)


def pictures(only: str = "") -> Iterator[tuple[str, bytes]]:
    """Every picture by its place in `docs`, or those whose names hold a text."""
    names: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        _save_scene(Path("photo.png"))
        exec("import fastrf\nfrom fastrf import plot", names)
        made = {f"gallery/{one.name}.png": one.code for one in ENTRIES} | ELSEWHERE
        for place, code in made.items():
            if only in place:
                yield place, _png(_figure(code, names))
            else:
                _quietly(code, names)


def _save_scene(path: Path) -> None:
    from PIL import Image

    Image.fromarray(scene()).save(path)


def _quietly(code: str, names: dict[str, Any]) -> None:
    """What later pictures need of a piece of code: what it gives names to."""
    body = [line for line in ast.parse(code).body if not isinstance(line, ast.Expr)]
    exec(compile(ast.Module(body, []), "gallery", "exec"), names)


def _figure(code: str, names: dict[str, Any]) -> Any:
    """The figure that a piece of code draws."""
    import matplotlib.pyplot as plt

    plt.close("all")
    exec(code, names)
    return plt.gcf()


def _png(figure: Any) -> bytes:
    """A small file without transparency, which names no versions."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    Image.open(drawn).convert("RGB").save(small, format="png", optimize=True)
    return small.getvalue()


def main(arguments: list[str] | None = None) -> None:
    """Draw, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="pictures whose names hold this")
    parser.add_argument("--into", default=str(DOCS), help="the folder, docs where left out")
    given = parser.parse_args(arguments)
    os.environ["MPLBACKEND"] = "agg"
    folder, total = Path(given.into).resolve(), 0
    for place, content in pictures(given.only):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)
        total += len(content)
        print(f"{len(content):8,} {place}")
    (folder / "gallery" / "index.md").write_text(page())
    print(f"{total:8,} in all")


if __name__ == "__main__":
    main()
