"""Pictures of receptive fields, with matplotlib (the extra `plot`).

Every function draws on `ax`, which is an Axes or a Figure (where several are drawn a sequence of Axes or a Figure), or
on a new figure of pyplot's where it is left out, and returns the Axes. Nothing is shown, and no setting is changed.
However large a map is, no more of it is worked out than a picture shows.
"""

from __future__ import annotations

from fastrf.plot.layers import growth, lattice
from fastrf.plot.maps import areas, clipped, coverage, densities
from fastrf.plot.matrices import matrix
from fastrf.plot.places import compare, mask, masks, slices
from fastrf.plot.weights import effective

__all__ = [
    "areas",
    "clipped",
    "compare",
    "coverage",
    "densities",
    "effective",
    "growth",
    "lattice",
    "mask",
    "masks",
    "matrix",
    "slices",
]
