"""A few primitives for drawing the book's diagrams as plain SVG with live text.

Sizes are in user units (1 unit is about 1 px at full width). Text accepts ``*x*`` for italics,
``_{k}`` for a subscript and ``^{T}`` for a superscript.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

INK, MUTED, LINE, CARD = "#1a1a1a", "#5a5a5a", "#6f6f6f", "#ffffff"
ORANGE, SKY, GREEN, BLUE = "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILLION, PURPLE, GREY = "#D55E00", "#CC79A7", "#D9D9D9"
FONT = "'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif"
_MARKUP = re.compile(r"\*(?P<it>[^*]+)\*|_\{(?P<sub>[^}]*)\}|\^\{(?P<sup>[^}]*)\}")


def tint(colour: str, strength: float = 0.18) -> str:
    """Blend ``colour`` into white; ``strength`` 1 keeps it, 0 gives white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in parts)


def markup(text: str, size: float = 16) -> str:
    """Turn the small text notation into SVG ``tspan`` elements."""
    out, end, shift = [], 0, 0.0
    for match in _MARKUP.finditer(text):
        out.append(_span(text[end : match.start()], -shift))
        shift = 0.0 if match.start() > end else shift
        if match["it"] is not None:
            out.append(_span(match["it"], -shift, 'font-style="italic"'))
            shift = 0.0
        else:
            raised = match["sup"] is not None
            move = size * (-0.42 if raised else 0.28)
            out.append(_span(match["sup"] or match["sub"], move - shift, 'font-size="72%"'))
            shift = move
        end = match.end()
    return "".join([*out, _span(text[end:], -shift)])


def _span(text: str, move: float, attributes: str = "") -> str:
    if not text:
        return ""
    # Shifts are in user units: em would change with the smaller font of the span itself.
    dy = f' dy="{move:.1f}"' if move else ""
    return f"<tspan{dy} {attributes}>{escape(text)}</tspan>".replace(" >", ">")


class Canvas:
    """One diagram on a white card with rounded corners."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def rect(
        self, x: float, y: float, w: float, h: float, fill: str = CARD, stroke: str = LINE,
        *, radius: float = 8, dash: bool = False, width: float = 1.6,
    ) -> None:  # fmt: skip
        """Draw a rectangle with its top left corner at (x, y)."""
        extra = ' stroke-dasharray="6 5"' if dash else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius:g}" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="{width:g}"{extra}/>'
        )

    def text(
        self, x: float, y: float, text: str, *, size: float = 16, colour: str = INK,
        anchor: str = "middle", bold: bool = False,
    ) -> None:  # fmt: skip
        """Write one line whose baseline passes through y."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{markup(text, size)}</text>'
        )

    def box(
        self, x: float, y: float, w: float, h: float, lines: list[str], colour: str = LINE,
        *, size: float = 16, bold_first: bool = False, dash: bool = False, fill: str | None = None,
    ) -> None:  # fmt: skip
        """Draw a tinted box with centred lines of text."""
        self.rect(x, y, w, h, fill or tint(colour, 0.16), colour, dash=dash)
        step = size * 1.42
        top = y + h / 2 - step * (len(lines) - 1) / 2 + size * 0.36
        for i, line in enumerate(lines):
            self.text(x + w / 2, top + i * step, line, size=size, bold=bold_first and i == 0)

    def arrow(
        self, points: list[tuple[float, float]], colour: str = LINE, *, width: float = 2.2,
        dash: bool = False, head: bool = True,
    ) -> None:  # fmt: skip
        """Draw a polyline through ``points`` with an arrow head at its end."""
        (x0, y0), (x1, y1) = points[-2:]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        size = 9.0 if head else 0.0
        path = [*points[:-1], (x1 - size * ux, y1 - size * uy)]
        line = " ".join(f"{x:g},{y:g}" for x, y in path)
        extra = ' stroke-dasharray="6 5"' if dash else ""
        self.parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" '
            f'stroke-width="{width:g}" stroke-linejoin="round"{extra}/>'
        )
        if head:
            bx, by = x1 - size * ux, y1 - size * uy
            tip = f"{x1:g},{y1:g} {bx - 5 * uy:g},{by + 5 * ux:g} {bx + 5 * uy:g},{by - 5 * ux:g}"
            self.parts.append(f'<polygon points="{tip}" fill="{colour}"/>')

    def circle(self, x: float, y: float, r: float, fill: str, stroke: str, text: str = "") -> None:
        """Draw a circle with an optional centred symbol."""
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{r:g}" fill="{fill}" stroke="{stroke}" '
            'stroke-width="2.4"/>'
        )
        if text:
            self.text(x, y + 8, text, size=24, bold=True, colour=stroke)

    def save(self, path: Path) -> None:
        """Write the diagram as a stand-alone SVG file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" font-family="{FONT}">\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect x="1" y="1" width="{self.width - 2}" height="{self.height - 2}" rx="12" '
            f'fill="{CARD}" stroke="#e3e3e3"/>\n'
        )
        path.write_text(head + "\n".join(self.parts) + "\n</svg>\n", encoding="utf-8")
