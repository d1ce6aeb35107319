"""A picture to lay under masks, painted by arithmetic: hills at sunset above a lake."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["scene"]


def scene(size: int = 448) -> npt.NDArray[np.uint8]:
    """uint8[size, size, 3], the same on every machine."""
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    shore = 0.62
    up = np.where(y > shore, 2 * shore - y, y) + np.where(y > shore, 0.006 * np.sin(y * 190) * (y - shore) * 9, 0)
    picture = _sky(x, up / shore)
    for depth, color in enumerate([(112, 96, 140), (72, 78, 118), (38, 58, 84)]):
        picture = np.where((up > _ridge(x, depth))[..., None], color, picture)
    water = np.clip((y - shore) * 2.2, 0, 0.55)[..., None]
    picture = np.where((y > shore)[..., None], picture * (0.9 - water) + np.array((18, 44, 70)) * water, picture)
    return np.asarray(np.clip(_sail(picture, x, y), 0, 255).round(), np.uint8)


def _sky(x: npt.NDArray[Any], height: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """From blue to orange, with a sun."""
    stops = np.array([[52, 88, 150], [150, 150, 190], [244, 190, 140], [252, 150, 90]], float)
    t = np.clip(height, 0, 1) * (len(stops) - 1)
    low = np.minimum(t.astype(int), len(stops) - 2)
    sky = stops[low] + (stops[low + 1] - stops[low]) * (t - low)[..., None]
    distance = np.hypot(x - 0.7, (height - 0.62) * 0.62)
    glow = np.exp(-((distance / 0.2) ** 2))[..., None]
    sky = sky + (np.array((255, 236, 190)) - sky) * 0.7 * glow
    return np.where((distance < 0.06)[..., None], (255, 246, 214), sky)


def _ridge(x: npt.NDArray[Any], depth: int) -> npt.NDArray[Any]:
    """Where a range of hills ends, the nearer ones lower."""
    waves = sum(np.sin(x * f * (1 + 0.3 * depth) + 1.7 * f + depth * 2.1) / f for f in (5, 11, 23, 47))
    return 0.44 + 0.06 * depth - 0.32 * (0.5 - 0.12 * depth) * np.asarray(waves)


def _sail(picture: npt.NDArray[Any], x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A boat on the water."""
    hull = (np.abs(x - 0.3) < 0.075 - (y - 0.76) * 0.9) & (y > 0.76) & (y < 0.79)
    sail = (x > 0.29) & (x < 0.29 + (y - 0.6) * 0.5) & (y > 0.6) & (y < 0.75)
    jib = (x < 0.28) & (x > 0.28 - (y - 0.63) * 0.4) & (y > 0.63) & (y < 0.75)
    for part, color in ((hull, (70, 34, 30)), (sail, (250, 244, 232)), (jib, (232, 120, 84))):
        picture = np.where(part[..., None], color, picture)
    return picture
