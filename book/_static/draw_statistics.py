"""Drawings of the statistics page; called by ``draw_diagrams.py``."""

from __future__ import annotations

from svg import BLUE, GREEN, GREY, INK, LINE, MUTED, ORANGE, PURPLE, VERMILLION, Canvas, tint


def dual_criterion() -> Canvas:
    """Draw the dual criterion as a flow from ranks to a verdict."""
    c = Canvas(960, 640, "The dual criterion: two tests and a stability check, in one direction")
    c.box(190, 28, 580, 62, ["one metric, every user, every seed: variant − baseline",
          "differences *d*_{s,u}   (seeds × users)"], LINE)  # fmt: skip
    columns = (
        (40, BLUE, "(i) paired t", ["average over users", "5 seed means, df = 4"],
         "asks: would another", "training seed agree?", "p < 0.05 ?"),
        (344, ORANGE, "(ii) bootstrap", ["pool seeds × users", "B = 2,000, 95 % interval"],
         "asks: would another", "sample of users agree?", "p < 0.05 ?"),
        (648, GREEN, "(iii) stability", ["bootstrap in each seed", "one interval a seed"],
         "asks: does one lucky", "seed carry it all?", "more than half on one side ?"),
    )  # fmt: skip
    c.arrow([(480, 90), (480, 146)])
    c.arrow([(480, 114), (176, 114), (176, 146)])
    c.arrow([(480, 114), (784, 114), (784, 146)])
    for x, colour, title, lines, ask1, ask2, test in columns:
        c.box(x, 148, 272, 96, [title, *lines], colour, bold_first=True)
        c.text(x + 136, 276, ask1, size=15, colour=MUTED)
        c.text(x + 136, 297, ask2, size=15, colour=MUTED)
        c.arrow([(x + 136, 312), (x + 136, 340)])
        c.box(x, 342, 272, 46, [test], colour, fill="#ffffff")
        if x != 344:
            c.arrow([(x + 136, 388), (x + 136, 414), (480, 414)], head=False)
    c.arrow([(480, 388), (480, 438)])
    c.box(260, 440, 440, 58, ["all three yes, all in one direction ?"], PURPLE, size=17)
    c.arrow([(360, 498), (360, 528), (216, 528), (216, 550)])
    c.arrow([(600, 498), (600, 528), (744, 528), (744, 550)])
    c.text(290, 520, "yes", size=15)
    c.text(672, 520, "no", size=15)
    c.box(60, 552, 312, 60, ["robust gain", "or robust loss"], VERMILLION, bold_first=False)
    c.box(588, 552, 312, 60, ["not robust", "(this does not mean “no effect”)"], GREY,
          fill=tint(GREY, 0.4), size=15)  # fmt: skip
    return c


def _grid(c: Canvas, x0: int, y0: int, picked: set[tuple[int, int]], colour: str) -> None:
    for s in range(5):
        c.text(x0 - 12, y0 + 36 * s + 23, f"seed {s + 1}", size=14, anchor="end", colour=MUTED)
        for u in range(7):
            fill = tint(colour, 0.75) if (s, u) in picked else tint(GREY, 0.35)
            c.rect(x0 + 36 * u, y0 + 36 * s, 34, 34, fill, "#ffffff", radius=4)
    for u in range(7):
        c.text(x0 + 36 * u + 17, y0 - 8, f"u_{{{u + 1}}}", size=14, colour=MUTED)


def resampling() -> Canvas:
    """Pooled bootstrap draws cells; clustered bootstrap draws whole users."""
    c = Canvas(960, 390, "Pooled bootstrap draws cells, clustered bootstrap draws whole users")
    cells = {(0, 0), (0, 3), (1, 1), (1, 5), (2, 2), (2, 3), (2, 6), (3, 0), (3, 4), (4, 1),
             (4, 5), (4, 6), (0, 5), (3, 2), (1, 4)}  # fmt: skip
    c.text(246, 46, "Pooled (as published)", size=18, bold=True)
    c.text(726, 46, "Clustered", size=18, bold=True)
    c.text(246, 72, "draw single cells: 5 × users of them", size=15, colour=MUTED)
    c.text(726, 72, "draw users, with all their seeds", size=15, colour=MUTED)
    _grid(c, 120, 116, cells, ORANGE)
    _grid(c, 600, 116, {(s, u) for s in range(5) for u in (1, 3, 4)}, BLUE)
    c.text(246, 330, "five copies of one user count", size=15)
    c.text(246, 352, "as five different people", size=15)
    c.text(726, 330, "one user counts once,", size=15)
    c.text(726, 352, "however many seeds were run", size=15)
    c.arrow([(480, 90), (480, 360)], tint(INK, 0.2), width=1.2, head=False)
    return c


def backbones() -> Canvas:
    """Three comparisons of a variant with SASRec: whose settings each of the two is fitted with."""
    c = Canvas(960, 330, "Three ways to compare a variant with SASRec: whose settings both have")
    columns = (
        (
            40,
            "Own search",
            BLUE,
            ORANGE,
            ("as published: a change is that of", "two searches as well"),
        ),
        (
            344,
            "SASRec’s backbone",
            BLUE,
            BLUE,
            ("only the injection differs; settings", "that suit SASRec"),
        ),
        (
            648,
            "Variant’s backbone",
            ORANGE,
            ORANGE,
            ("only the injection differs; settings", "that suit the variant"),
        ),
    )
    for x, title, base, variant, told in columns:
        c.text(x + 136, 46, title, size=18, bold=True)
        for y, name, colour in ((70, "SASRec", base), (170, "Variant", variant)):
            whose = "SASRec’s" if colour == BLUE else "the variant’s"
            c.box(x, y, 272, 62, [name, f"settings of {whose} search"], colour, bold_first=True)
        c.arrow([(x + 136, 168), (x + 136, 134)])
        c.text(x + 148, 157, "change", size=14, anchor="start", colour=MUTED)
        for n, line in enumerate(told):
            c.text(x + 136, 266 + 22 * n, line, size=15, colour=MUTED)
    return c
