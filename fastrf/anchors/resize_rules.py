"""How frameworks bring images, and with them boxes, to the size of the network's input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastrf.anchors.boxes.box_set import Boxes, rejected_by
from fastrf.errors import FormatError, UsageError

__all__ = ["RULES", "Resize", "fitted"]

#: The rules by name.
RULES = ("letterbox", "stretch", "shortest", "none")


@dataclass(frozen=True)
class Resize:
    """A rule for images, and a random scale on top of it.

    - `letterbox` (YOLO): scaled to fit `size`, centred.
    - `stretch` (SSD, `keep_ratio=False`): each axis scaled to `size`.
    - `shortest` (torchvision's and mmdetection's detectors): the shorter side becomes `shortest`, unless the longer
      one would exceed `longest`; kept at the top left.
    - `none`: as they are.

    `scale` draws a factor for each image and each of `draws` rounds, uniformly and from `seed`: about the middle of
    the input, what leaves it cut off (YOLO's `scale`, mmdetection's `RandomAffine`), or at the top left with
    `shortest` (mmdetection's `RandomResize`).
    """

    rule: str = "letterbox"
    shortest: float = 800
    longest: float = 1333
    scale: tuple[float, float] = (1.0, 1.0)
    draws: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"resize rule {self.rule!r} is unknown; use {', '.join(RULES)}")
        if not 0 < self.scale[0] <= self.scale[1] < np.inf:
            raise UsageError(f"random scale {self.scale} is not a range of positive factors, such as (0.5, 1.5)")
        if not 0 < self.shortest <= self.longest < np.inf:
            raise UsageError(f"shortest {self.shortest} and longest {self.longest} are not sizes in that order")
        if self.draws < 1:
            raise UsageError(f"draws must be 1 or more, not {self.draws}")

    def apply(self, boxes: Boxes, size: tuple[int, int]) -> Boxes:
        """The boxes in pixels of an input of `size` (rows, columns).

        Raises FormatError where the rule needs image sizes that the boxes do not have.
        """
        if self.rule != "none" and not boxes.has_image_sizes:
            raise FormatError(f"{boxes.source}: holds no image sizes, which the rule {self.rule!r} needs; use 'none'")
        done = boxes if self.rule == "none" else self._placed(boxes, size)
        return done if self.scale == (1.0, 1.0) else self._scaled(done, size)

    def _placed(self, boxes: Boxes, size: tuple[int, int]) -> Boxes:
        """Boxes scaled and shifted with their images; the images' sizes are scaled, too."""
        heights, widths, image = boxes.image_height, boxes.image_width, boxes.image
        by_rows, by_columns = size[0] / heights, size[1] / widths
        down = along = np.zeros(len(heights))
        if self.rule == "shortest":
            shorter, longer = np.minimum(heights, widths), np.maximum(heights, widths)
            by_rows = by_columns = np.minimum(self.shortest / shorter, self.longest / longer)
        elif self.rule == "letterbox":
            by_rows = by_columns = np.minimum(by_rows, by_columns)
            down, along = (size[0] - np.round(heights * by_rows)) / 2, (size[1] - np.round(widths * by_columns)) / 2
        return replace(
            boxes,
            x=boxes.x * by_columns[image] + along[image],
            y=boxes.y * by_rows[image] + down[image],
            width=boxes.width * by_columns[image],
            height=boxes.height * by_rows[image],
            image_height=heights * by_rows,
            image_width=widths * by_columns,
            rule=self.rule,
        )

    def _scaled(self, boxes: Boxes, size: tuple[int, int]) -> Boxes:
        """Every box once a draw, its image scaled."""
        factors = np.random.default_rng(self.seed).uniform(*self.scale, (self.draws, max(len(boxes.image_height), 1)))
        factor = factors[:, boxes.image].ravel()
        corners = np.tile(boxes.corners, (self.draws, 1)) * factor[:, None]
        image = np.tile(boxes.image, self.draws)
        rejected = boxes.rejected
        if self.rule != "shortest":
            middle = np.array([size[1], size[0]] * 2) / 2
            corners += middle * (1 - factor[:, None])
            corners = np.clip(corners, 0, 2 * middle)
            left = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
            why = "moved out of the input by the random scale"
            rejected = (*rejected, *rejected_by(why, ~left, lambda k: boxes.place(k % len(boxes))))
            corners, image = corners[left], image[left]
        if not len(image):
            raise FormatError(f"{boxes.source}: no usable box is left by the random scale {self.scale}")
        x, y, right, bottom = np.ascontiguousarray(corners.T)
        rule = f"{boxes.rule}, scale {self.scale[0]:g}..{self.scale[1]:g}"
        moved = {"x": x, "y": y, "width": right - x, "height": bottom - y, "image": image, "place": "box {}".format}
        return replace(boxes, **moved, rejected=rejected, rule=rule)


def fitted(boxes: Boxes, size: tuple[int, int], resize: Resize | str | None) -> Boxes:
    """Boxes in pixels of an input of `size`; without a rule, letterboxed where image sizes are known, else as is."""
    if resize is None:
        resize = "letterbox" if boxes.has_image_sizes else "none"
    if isinstance(resize, str):
        resize = Resize(resize)
    return resize.apply(boxes.in_images(size) if resize.rule == "none" else boxes, size)
