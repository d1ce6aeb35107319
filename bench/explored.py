"""The explorer's page: what it takes to write it, and how soon it paints and follows the pointer in Chromium.

Times in the page are the page's own: from the event to the end of the frame that it changes. Beside them stands an
empty page of the same run, whose frames take what the machine takes by itself.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fastrf
from bench.figure import Figure
from bench.timing import median_seconds
from tests.browser import acts, chromium

__all__ = ["explorer"]

#: Notes when the page stands and how long each movement of the pointer takes until its frame is on the screen.
WATCH = """
globalThis.moves = [];
const afterFrame = (call) => requestAnimationFrame(() => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = () => call(performance.now());
    port2.postMessage(0);
});
addEventListener("pointermove", () => {
    const began = performance.now();
    afterFrame((now) => moves.push(now - began));
}, true);
const stands = () => {
    if (globalThis.fastrf?.store) afterFrame((now) => { globalThis.standsAt = now; });
    else setTimeout(stands, 1);
};
stands();
"""
EMPTY = """<!doctype html><title>Empty</title><style>.plot { width: 400px; height: 400px }</style>
<section aria-label="Feature map"><div class="plot"></div></section>
<script>globalThis.fastrf = {store: {get: () => ({})}}</script>"""


class Times(NamedTuple):
    """Milliseconds: the first paint, all of it standing, and following the pointer, the median and the worst."""

    paint: float
    stands: float
    hover: float
    worst: float


def _times(browser: Any, path: Path, moves: int, view: str = "") -> Times:
    """Of one page, in a fresh context; the pointer goes across the feature map."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.add_init_script(WATCH)
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(path.as_uri() + view)
    acts.until(page, "globalThis.standsAt", seconds=120)
    plot = page.get_by_role("region", name="Feature map").locator(".plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    places = set()
    for k in range(moves + 5):
        share = 0.15 + 0.7 * (0.618034 * k % 1)  # far from those before
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * (share * 0.8))
        acts.until(page, "(k) => moves.length > k", k, 60)
        places.add(str(page.evaluate("fastrf.store.get().hover")))
    found = page.evaluate(
        "({moves, standsAt, paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime})"
    )
    context.close()
    if path.stem != "empty" and len(places) < moves / 2:
        raise AssertionError(f"{path.stem}: of {moves} moves of the pointer {len(places)} were followed")
    own = found["moves"][5:]
    return Times(found["paint"] or 0, found["standsAt"], statistics.median(own), max(own))


def _written(what: str, analysis: fastrf.Analysis, target: tuple[float, float], folder: Path, repeats: int) -> Figure:
    """Seconds and bytes of one page."""
    path = folder / "written.html"
    spent = median_seconds(lambda: fastrf.report(analysis, path), repeats)
    size = path.stat().st_size / 1e6
    seconds, megabytes = target
    named = f"{megabytes} MB" if seconds == float("inf") else f"{seconds:g} s, {megabytes} MB"
    return Figure(
        f"page of {what}, written", named, f"{spent:.2f} s, {size:.2f} MB", spent < seconds and size < megabytes
    )


def _large(smoke: bool) -> Iterator[tuple[str, Callable[[], fastrf.Analysis]]]:
    """Networks at the limits of what the page is for."""
    depth, side, samples = (100, 512, 100_000) if smoke else (3000, 8192, 10_000_000)
    layers = [fastrf.conv(4, 3, padding=1, stride=2 if k in (9, 99) else 1) for k in range(depth)]
    yield f"{depth:,} layers on {side:,} squared", lambda: fastrf.analyze(layers, (3, side, side))
    yield f"WaveNet on {samples:,} samples", lambda: fastrf.analyze("wavenet", (1, samples))
    wide = [fastrf.conv(4, 3, dilation=d, padding=d, name=f"by{d}", inputs=["stem"]) for d in range(1, 31)]
    joined = fastrf.concat(0, name="joined", inputs=[layer.name for layer in wide])
    terms = [fastrf.conv(4, 3, padding=1, stride=4, name="stem"), *wide, joined]
    yield f"30 terms on {min(side, 1024):,} squared", lambda: fastrf.analyze(terms, (3, *[min(side, 1024)] * 2))


def explorer(repeats: int, smoke: bool) -> Iterator[Figure]:
    """The explorer's page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        side = 64 if smoke else 224
        resnet = fastrf.analyze("resnet50", (3, side, side))
        yield _written(f"ResNet-50 at {side}, all layers", resnet, (1, 1.5), folder, repeats)
        if not smoke and importlib.util.find_spec("torchvision") is not None:
            import torchvision

            swin = fastrf.analyze(torchvision.models.swin_t(weights=None).eval(), (3, side, side))
            yield _written(f"Swin-T at {side}, all layers", swin, (float("inf"), 5), folder, repeats)
        if not chromium.absent():
            with chromium.browser() as browser:
                yield from _opened(browser, folder, 5 if smoke else 60, smoke)


def _opened(browser: Any, folder: Path, moves: int, smoke: bool) -> Iterator[Figure]:
    """What takes place in the page."""
    empty = folder / "empty.html"
    empty.write_text(EMPTY)
    least = _times(browser, empty, moves)
    side = 128 if smoke else 1024
    for name, view in (("resnet50", "#layer=layer3.5.relu3"), ("unet", "")):
        path = folder / f"{name}.html"
        analysis = fastrf.analyze(name, (1 if name == "unet" else 3, side, side))
        fastrf.report(analysis, path)
        found = _times(browser, path, moves, view)
        what = f"page of {name} at {side} squared"
        yield Figure(f"{what}, first paint", "500 ms", _paint(found, least), found.paint < 500)
        yield Figure(f"{what}, hover to drawn mask, median of {moves}", "16 ms", _hover(found, least), found.hover < 16)
    for what, make in _large(smoke):
        path = folder / "large.html"
        spent = median_seconds(lambda: fastrf.report(make(), path), 1)  # noqa: B023
        found = _times(browser, path, moves)
        size = path.stat().st_size / 1e6
        measured = f"{spent:.1f} s, {size:.2f} MB; {_paint(found, least)}; {_hover(found, least)}"
        yield Figure(f"page of {what}: analysed and written, opened, hovered", "opens, hovers", measured, None)


def _paint(found: Times, least: Times) -> str:
    return (
        f"painted after {found.paint:.0f} ms, whole after {found.stands:.0f} ms (an empty page {least.stands:.0f} ms)"
    )


def _hover(found: Times, least: Times) -> str:
    return f"{found.hover:.1f} ms, {found.hover / least.hover:.1f} times an empty page's (worst {found.worst:.1f} ms)"
