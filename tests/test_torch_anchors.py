"""What is printed for torchvision runs there, and means what it says."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf import anchors
from fastrf.anchors.levels import levels_of
from tests.anchor_data import shrink

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torchvision.models.detection import anchor_utils, image_list, retinanet  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    shrink(monkeypatch)


@pytest.fixture(scope="module")
def levels():
    return levels_of(fastrf.analyze("fpn_resnet50"), ["p3", "p4", "p5", "p6", "p7"])


def executed(text):
    names: dict[str, object] = {}
    exec(text, names)
    return names["anchor_generator"]


def on_image(generator, levels, side=800):
    """The anchors of an image, level by level."""
    maps = [torch.zeros(1, 1, *level.grid) for level in levels]
    images = image_list.ImageList(torch.zeros(1, 3, side, side), [(side, side)])
    counts = [
        level.grid[0] * level.grid[1] * n for level, n in zip(levels, generator.num_anchors_per_location(), strict=True)
    ]
    return torch.split(generator(images, maps)[0], counts)


def test_retinanet_is_torchvisions():
    ours, theirs = anchors.read_anchors("retinanet"), retinanet._default_anchorgen()
    for mine, cell in zip(ours.sizes, theirs.cell_anchors, strict=True):
        corners = np.concatenate([-mine, mine], axis=1) / 2
        assert np.array_equal(np.round(corners), cell.numpy())
    plain = executed(ours.to_form("torchvision"))
    assert [a.tolist() for a in plain.cell_anchors] == [a.tolist() for a in theirs.cell_anchors]


def test_objects_read_back():
    theirs = retinanet._default_anchorgen()
    read = anchors.read_anchors(theirs)
    assert read.centers == ((0, 0),) * 5
    assert np.array_equal(read.sizes[0], np.round(anchors.read_anchors("retinanet").sizes[0] / 2) * 2)
    moved = anchor_utils.AnchorGenerator(((8, 16),), ((1.0,),))
    moved.cell_anchors[0][0] += 3
    with pytest.raises(fastrf.FormatError, match="different centres"):
        anchors.read_anchors(moved)


@pytest.mark.parametrize("name", ["retinanet", "any sizes"])
def test_snippet_and_object_stand_where_the_neurons_look(levels, name, rng):
    given = anchors.read_anchors("retinanet" if name == "retinanet" else [rng.uniform(8, 90, (4, 2)) for _ in levels])
    placed = given.on(levels)
    for generator in (executed(placed.to_form("torchvision")), placed.to_torchvision()):
        for index, found in enumerate(on_image(generator, levels)):
            stride, k = levels[index].stride[0], len(placed.sizes[index])
            rows = found.reshape(*levels[index].grid, k, 4).double().numpy()
            center = (rows[2, 1, :, :2] + rows[2, 1, :, 2:]) / 2
            x, y = placed.centers[index]
            image_stride = 800 // levels[index].grid[0]
            assert center == pytest.approx(np.tile([x + image_stride, y + 2 * image_stride], (k, 1)), abs=1e-3)
            assert image_stride == stride or levels[index].grid[0] in (13, 7)
            assert rows[0, 0, :, 2:] - rows[0, 0, :, :2] == pytest.approx(placed.sizes[index], abs=1e-3)


def test_object_without_centres():
    generator = anchors.read_anchors("yolov5").to_torchvision()
    assert generator.num_anchors_per_location() == [3, 3, 3]
    assert (generator.cell_anchors[0][0, 2:] - generator.cell_anchors[0][0, :2]).tolist() == [10, 13]


def test_suggestion_for_a_captured_detector(rng):
    """Torchvision's own RetinaNet backbone, by the names of its modules."""
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, returned_layers=[2, 3, 4])
    analysis = fastrf.analyze(backbone, (3, 256, 256))
    names = [f"fpn.layer_blocks.{k}" for k in range(3)]
    found = anchors.suggest(analysis, names, rng.uniform(8, 200, (100, 2)), generations=10)
    assert found.to_torchvision().num_anchors_per_location() == [3, 3, 3]
    assert [row.stride for row in found.report.levels] == [(8, 8), (16, 16), (32, 32)]


def test_torchvision_is_an_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision.models.detection.anchor_utils", None)
    with pytest.raises(fastrf.MissingExtraError, match=r"pip install 'fastrf\[torch\]'"):
        anchors.read_anchors("s3fd").to_torchvision()
