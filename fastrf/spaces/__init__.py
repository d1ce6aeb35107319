"""Public search spaces of neural architectures: notations, skeletons, and many candidates held as integers.

`fastrf.sweep` runs a space's column program over its candidates; `network` builds any single one in full.
"""

from __future__ import annotations

from fastrf.spaces.columns.programs import Column, Evaluated
from fastrf.spaces.custom import Custom
from fastrf.spaces.darts import DARTS, DARTS_V1, DARTS_V2, Genotype
from fastrf.spaces.nasbench101 import Cell, NASBench101
from fastrf.spaces.nasbench201 import NASBench201
from fastrf.spaces.ofa import OFAMobileNetV3, Subnet
from fastrf.spaces.space import Candidates, Space

__all__ = [
    "DARTS",
    "DARTS_V1",
    "DARTS_V2",
    "Candidates",
    "Cell",
    "Column",
    "Custom",
    "Evaluated",
    "Genotype",
    "NASBench101",
    "NASBench201",
    "OFAMobileNetV3",
    "Space",
    "Subnet",
]
