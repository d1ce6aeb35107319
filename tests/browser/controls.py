"""Every control of the page: where it stands, how mouse and keys operate it, and what changes then."""

from __future__ import annotations

from dataclasses import dataclass

from tests.browser.acts import Act, chooses, click, click_at, click_on, drag, hover, in_turn, press, types, wheel

__all__ = ["CONTROLS", "FOUND", "Control"]

#: What a hand or a reader's tool can operate.
FOUND = (
    "a[href], button, input, select, textarea, summary, canvas[tabindex], [tabindex], [contenteditable], [role=button],"
    "[role=tab], [role=radio], [role=slider], [role=grid], [role=application], [role=checkbox], [role=link]"
)
LAYER = "layer=layer3.5.relu3"
IMAGE = "document.querySelector('{} canvas:last-of-type').toDataURL()"


def state(key: str) -> str:
    """Something of the page's state."""
    return f"JSON.stringify(fastrf.store.get().{key})"


@dataclass(frozen=True)
class Control:
    """A control, or some alike: `css` finds them on the page of a model, in a view."""

    css: str
    mouse: Act
    keys: Act
    effect: str
    view: str = LAYER
    model: str = "resnet50"
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.css} {self.view}"


def pane(title: str, view: str, index: str, window: str, typed: str, model: str = "resnet50") -> list[Control]:
    """What every map has: itself, a field for an index, three buttons."""
    own = f"section[aria-label='{title}']"
    plot = f"{own} .plot"

    def at(css: str, mouse: Act, keys: Act, effect: str, more: str = "") -> Control:
        return Control(f"{own} {css}", mouse, keys, effect, view + more, model)

    zoom = f"&{window}=2:8,2:8"
    low, out, fit = (f"button[aria-label*='{word}']" for word in ("zoom in", "zoom out", "show all"))
    shown = state(window)
    return [
        Control(
            plot,
            in_turn(hover(0.6, 0.4), click_at(0.3, 0.3)),
            press("ArrowLeft", "ArrowUp", "Enter"),
            state(index),
            view,
            model,
        ),
        Control(plot, wheel(-300), press("+"), shown, view, model),
        Control(plot, drag(0.2, 0.1), press("Control+ArrowLeft"), shown, view + zoom, model),
        Control(plot, wheel(300), press("-"), shown, view + zoom, model),
        Control(plot, wheel(3000), press("0"), shown, view + zoom, model),
        at(".typed", types(typed), types(typed), state(index)),
        at(low, click, press("Enter"), shown),
        at(out, click, press(" "), shown, zoom),
        at(fit, click, press("Enter"), shown, zoom),
    ]


def buttons(css: str, effect: str, view: str = LAYER, model: str = "resnet50", count: int = 1) -> list[Control]:
    """Buttons alike, each by itself."""
    return [Control(css, click, press("Enter" if k % 2 else " "), effect, view, model, k) for k in range(count)]


FOCUS = "document.activeElement.id"
OPEN = "document.getElementById('keys').open"
PROBLEM = "document.getElementById('problem').hidden"
TOLD = "document.querySelector('.layer-graph .layer-told').textContent"
GRAPH = "document.querySelector('.layer-pane > svg > g').outerHTML"
ORDER = (
    "[...document.querySelectorAll('.layer-body [role=row]')].map((row) => row.dataset.row + row.textContent).join()"
)
PINS = f"{LAYER}&pin=1,1@layer2.0.add&pin=2,2@layer1.0.add"
NEURON = f"{LAYER}&channel=3"
VOLUME = "layer=enc3.conv1"

MASK_OF = "[aria-label='Mask of'] [role=radio]"
ROW = click_on(".layer-body [role=row]", 3)

CONTROLS = [
    # the page
    Control("#skip", in_turn(press(), click), press("Enter"), FOCUS),
    *buttons("#copy", "navigator.clipboard.readText()"),
    *buttons("#theme", state("theme")),
    *buttons("#help", OPEN),
    *buttons("#keys button", OPEN, "help"),
    *buttons("#problem button", PROBLEM, "tab=nowhere"),
    *buttons("#list-tabs [role=tab]:not([aria-selected=true])", state("list"), count=2),
    Control(
        "#list-tabs [aria-selected=true]",
        click_on("#list-tabs-graph-tab"),
        press("End"),
        state("list"),
    ),
    *buttons("#view-tabs [role=tab]:not([aria-selected=true])", state("tab"), count=5),
    Control(
        "#view-tabs [aria-selected=true]",
        click_on("#view-tabs-areas-tab"),
        press("ArrowRight"),
        state("tab"),
    ),
    # lists of layers
    Control("#layer-query", in_turn(click, types("conv2", "")), types("conv2", ""), ORDER),
    *[
        Control(
            ".layer-head button",
            click,
            press("Enter"),
            "document.querySelector('.layer-body').textContent",
            LAYER,
            "resnet50",
            k,
        )
        for k in range(2)
    ],
    Control(
        ".layer-grid",
        ROW,
        press("ArrowUp", "Enter"),
        state("node"),
    ),
    Control(
        ".layer-grid",
        ROW,
        press("Home", " "),
        state("node"),
    ),
    Control(
        ".layer-grid",
        ROW,
        press("PageUp", "Enter"),
        state("node"),
    ),
    *buttons(".layer-graph .layer-tools button", GRAPH, f"{LAYER}&list=graph", count=6),
    *buttons(".layer-crumbs button", GRAPH, f"{LAYER}&list=graph"),
    Control(".layer-pane", wheel(-200, "Control"), press("+"), GRAPH, f"{LAYER}&list=graph"),
    Control(".layer-pane", wheel(-200, "Control"), press(" "), GRAPH, f"{LAYER}&list=graph"),
    Control(".layer-pane", wheel(-200, "Control"), press("ArrowUp"), GRAPH, f"{LAYER}&list=graph"),
    Control(
        ".growth-pane",
        in_turn(hover(0.3, 0.7), click),
        press("ArrowLeft", "Enter"),
        state("node"),
        f"{LAYER}&list=growth",
    ),
    Control(
        "#growth-log", click, press(" "), "document.querySelector('.growth-pane svg').innerHTML", f"{LAYER}&list=growth"
    ),
    # figures
    *buttons(".layer-facts .layer-choosers button", state("node"), count=2),
    *buttons(".layer-facts summary", "document.querySelector('.layer-network').open"),
    *buttons(".layer-more", "document.querySelectorAll('.layer-choosers li').length", "layer=stem", "many"),
    # two models
    *buttons("#models [role=radio][aria-checked=false]", state("model"), "list=table", "two"),
    Control(
        "#models [aria-checked=true]",
        click_on("#models [aria-checked=false]"),
        press("ArrowLeft"),
        state("model"),
        "list=table",
        "two",
    ),
    Control(".changes-item", click, press("Enter"), state("node"), "", "two", 1),  # the first one is chosen
    Control(".changes-item", click, press(" "), state("node"), "", "two", 2),
    *buttons(".layer-changes summary", "document.querySelectorAll('.layer-changes [open]').length", "", "two"),
    *buttons(".layer-changes .layer-more", "document.querySelectorAll('.changes-item').length", "", "two"),
    # the stage
    Control(MASK_OF, click_on(MASK_OF, 1), press("ArrowRight"), state("neuron")),
    Control(MASK_OF, click_on(MASK_OF), press("ArrowLeft"), state("neuron"), NEURON, nth=1),
    Control("#channel1", types("7"), press("ArrowUp"), state("neuron"), NEURON),
    Control("#channel2", types("1"), press("ArrowUp"), state("inputChannel"), NEURON),
    *pane("Feature map", LAYER, "at", "zoomMap", "3, 4"),
    *pane("Input", LAYER, "pixel", "zoomInput", "30, 40"),
    *buttons(
        "section[aria-label='Input'] button[aria-label*='zoom to what']", state("zoomInput"), "layer=layer1.1.add"
    ),
    *buttons(".pins > button:nth-of-type(1)", state("pins")),
    *buttons(".pins > button:nth-of-type(2)", state("pins"), PINS),
    *buttons(".pins > button:nth-of-type(3)", state("pins"), PINS),
    *buttons(".pins button.link", state("node"), PINS, count=2),
    *buttons(".pins button[aria-label^=Compare]", state("pins"), PINS),
    *buttons(".pins button[aria-label*='remove the pin']", state("pins"), PINS, count=2),
    Control(
        "section[aria-label='Feature map'] .slices input",
        click_at(0.8),
        press("ArrowRight"),
        state("at"),
        f"{VOLUME}&at=1,1,1",
        "unet3d",
    ),
    *buttons("section[aria-label='Input'] .slices button", state("slice"), f"{VOLUME}&slice=3", "unet3d", 2),
    Control(
        "section[aria-label='Input'] .slices input",
        click_at(0.8),
        press("ArrowRight"),
        state("slice"),
        VOLUME,
        "unet3d",
    ),
    # the maps
    *pane("Areas", f"{LAYER}&tab=areas", "at", "zoomMap", "3, 4"),
    *pane("Density", f"{LAYER}&tab=density", "at", "zoomMap", "3, 4"),
    *pane("Clipped", f"{LAYER}&tab=clipped", "at", "zoomMap", "3, 4"),
    *pane("Coverage", f"{LAYER}&tab=blind&pixel=9,9", "pixel", "zoomInput", "30, 40"),
    *pane("Matrix", f"{LAYER}&tab=matrix", "at", "zoomMatrix", "3"),
    *[
        Control(
            f"section[aria-label='{title}'] .slices input",
            click_at(0.8),
            press("ArrowRight"),
            state(key),
            f"{VOLUME}&tab={tab}{more}",
            "unet3d",
        )
        for title, tab, key, more in (
            ("Areas", "areas", "at", "&at=1,1,1"),
            ("Density", "density", "at", "&at=1,1,1"),
            ("Clipped", "clipped", "at", "&at=1,1,1"),
            ("Coverage", "blind", "pixel", "&pixel=1,1,1"),
        )
    ],
    *[
        Control(
            f"#matrix-axis{k}",
            chooses("1"),
            press("ArrowDown"),
            state("axes"),
            f"{LAYER}&tab=matrix",
        )
        for k in range(2)
    ],
]
