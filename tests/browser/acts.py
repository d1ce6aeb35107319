"""What a hand does with mouse and keys, on an element of a page that stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = [
    "Act",
    "chooses",
    "click",
    "click_on",
    "drag",
    "hover",
    "in_turn",
    "press",
    "settle",
    "twice",
    "types",
    "wheel",
]

Act = Callable[[Any, Any], None]


def settle(page: Any) -> None:
    """Two frames later everything that a change asks for is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def stand(page: Any) -> None:
    """Wait until the explorer is made, and drawn."""
    until(page, "Boolean(globalThis.fastrf?.store)")
    settle(page)


def until(page: Any, expression: str, arg: Any = None, seconds: float = 10) -> None:
    """Wait until JavaScript is true; Playwright's own way is to evaluate text in the page, which its policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds} s: {expression}")
        page.wait_for_timeout(10)


def click(page: Any, at: Any) -> None:
    """In the middle."""
    at.click()


def click_on(css: str, nth: int = 0) -> Act:
    """Elsewhere."""
    return lambda page, _: page.locator(css).nth(nth).click()


def click_at(x: float, y: float = 0.5) -> Act:
    """At shares of the width and height."""
    return lambda page, at: page.mouse.click(*_place(at, x, y))


def chooses(value: str) -> Act:
    """An entry of a list that drops down."""
    return lambda _, at: at.select_option(value)


def twice(page: Any, at: Any) -> None:
    """A double click."""
    at.dblclick()


def press(*keys: str) -> Act:
    """Keys, one after the other, with the focus there."""

    def act(page: Any, at: Any) -> None:
        at.focus()
        for key in keys:
            page.keyboard.press(key)

    return act


def types(text: str, end: str = "Enter") -> Act:
    """Another text into a field."""

    def act(page: Any, at: Any) -> None:
        at.focus()
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
        if end:
            page.keyboard.press(end)

    return act


def _place(at: Any, x: float, y: float) -> tuple[float, float]:
    at.scroll_into_view_if_needed()
    box = at.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def hover(x: float = 0.3, y: float = 0.3) -> Act:
    """The pointer at shares of the width and height."""
    return lambda page, at: page.mouse.move(*_place(at, x, y))


def drag(x: float, y: float) -> Act:
    """From the middle by shares of the width and height."""

    def act(page: Any, at: Any) -> None:
        page.mouse.move(*_place(at, 0.5, 0.5))
        page.mouse.down()
        page.mouse.move(*_place(at, 0.5 + x / 2, 0.5 + y / 2))
        page.mouse.move(*_place(at, 0.5 + x, 0.5 + y))
        page.mouse.up()

    return act


def wheel(by: float, key: str = "") -> Act:
    """The wheel over the middle, with the focus there and a key held."""

    def act(page: Any, at: Any) -> None:
        at.focus()
        page.mouse.move(*_place(at, 0.5, 0.5))
        if key:
            page.keyboard.down(key)
        page.mouse.wheel(0, by)
        page.wait_for_timeout(80)
        if key:
            page.keyboard.up(key)

    return act


def in_turn(*acts: Act) -> Act:
    """One after the other."""

    def act(page: Any, at: Any) -> None:
        for one in acts:
            one(page, at)
            settle(page)

    return act
