"""Draw every diagram of the book: ``python book/_static/draw_diagrams.py``.

Standard library only. The SVG files are committed; run this after changing a drawing.
"""

from __future__ import annotations

from pathlib import Path

from svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINE,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Canvas,
    tint,
)


def history() -> Canvas:
    """One history with intensities, and what each model sees of it."""
    c = Canvas(960, 430, "A history of five games with hours played, and the unknown next game")
    hours = ["0.5 h", "120 h", "3 h", "1 h", "40 h"]
    heights = [11, 128, 37, 19, 99]  # proportional to log1p(hours)
    c.text(40, 44, "One player's history, oldest first", size=18, bold=True, anchor="start")
    for j, (label, height) in enumerate(zip(hours, heights, strict=True)):
        x = 250 + 110 * j
        c.rect(x + 25, 210 - height, 40, height, tint(ORANGE, 0.75), ORANGE, radius=2)
        c.text(x + 45, 200 - height, label, size=15)
        c.box(x, 218, 90, 52, [f"item *i*_{{{j + 1}}}"], BLUE)
    c.text(40, 165, "intensity *w*", size=16, anchor="start", bold=True)
    c.text(40, 188, "(hours played;", size=14, anchor="start", colour=MUTED)
    c.text(40, 207, "bars: logarithm)", size=14, anchor="start", colour=MUTED)
    c.text(40, 250, "items", size=16, anchor="start", bold=True)
    c.arrow([(792, 244), (826, 244)])
    c.box(832, 218, 90, 52, ["next item?"], LINE, size=15, dash=True, fill="#ffffff")
    c.rect(24, 296, 912, 54, tint(SKY, 0.12), tint(SKY, 0.5), radius=8, width=1)
    c.rect(24, 360, 912, 54, tint(ORANGE, 0.12), tint(ORANGE, 0.6), radius=8, width=1)
    c.text(40, 329, "SASRec sees", size=16, anchor="start", bold=True)
    c.text(40, 393, "Injection also sees", size=16, anchor="start", bold=True)
    for j, label in enumerate(hours):
        c.text(295 + 110 * j, 329, f"*i*_{{{j + 1}}}", size=15)
        c.text(295 + 110 * j, 393, f"*w*_{{{j + 1}}} = {label}", size=15)
    return c


def transformer_block() -> Canvas:
    """Draw the backbone: embeddings, blocks, tied output."""
    c = Canvas(960, 380, "The backbone: embeddings, a stack of transformer blocks, tied output")
    c.rect(292, 34, 424, 272, tint(GREY, 0.25), LINE, dash=True)
    c.text(504, 62, "one block, repeated *N* times", size=16, bold=True)
    c.box(32, 216, 200, 50, ["item embedding *e*_{i}"], BLUE)
    c.box(32, 96, 200, 50, ["position embedding *p*_{t}"], SKY, size=15)
    c.circle(132, 181, 17, "#ffffff", LINE, "+")
    c.arrow([(132, 146), (132, 163)])
    c.arrow([(132, 216), (132, 199)])
    c.arrow([(150, 181), (312, 181)])
    c.text(243, 168, "LN, dropout", size=13, colour=MUTED)
    for x, name, colour, label in (
        (316, "self-attention", ORANGE, "with a mask"),
        (524, "feed-forward", GREEN, "GELU"),
    ):
        c.box(x, 148, 124, 66, [name, label], colour, size=14, bold_first=True)
        c.box(x + 136, 148, 40, 66, ["+", "LN"], PURPLE, size=15)
        c.arrow([(x + 124, 181), (x + 136, 181)])
        c.arrow([(x - 6, 181), (x - 6, 112), (x + 156, 112), (x + 156, 147)], MUTED, width=1.6)
        c.text(x + 76, 104, "residual", size=13, colour=MUTED)
    c.arrow([(492, 181), (524, 181)])
    c.text(504, 264, "dropout before each addition", size=14, colour=MUTED)
    c.text(504, 286, "LN after it (post-LayerNorm)", size=14, colour=MUTED)
    c.arrow([(700, 181), (756, 181)])
    c.box(758, 148, 174, 66, ["scores of all items", "*h*_{t} · *e*_{v}"], BLUE)
    c.arrow([(132, 267), (132, 338), (845, 338), (845, 216)], BLUE, dash=True)
    c.text(504, 362, "the same item embeddings are used for the output (tied weights)", size=14)
    return c


def three_injections() -> Canvas:
    """One attention layer and the three places where intensity enters."""
    c = Canvas(960, 486, "One attention layer with the three places where intensity enters")
    c.box(40, 30, 880, 54, ["intensity *w*  →  normalise  →  *M*, one value for each key"], ORANGE,
          size=17)  # fmt: skip
    y = 300
    c.rect(24, 240, 912, 124, tint(GREY, 0.22), tint(GREY, 0.9), radius=12)
    for x, w, text in (
        (44, 112, "*Q K*^{T} / √*d*"),
        (430, 84, "+ mask"),
        (546, 108, "softmax"),
        (788, 136, "weighted sum"),
    ):
        c.box(x, y - 27, w, 54, [text], LINE, fill="#ffffff")
    places = (
        (225, 40, BLUE, "×", "Mul: scale the logits", "× (1 + λ (*M* − 1))"),
        (361, 304, VERMILLION, "+", "Add: bias the logits", "+ λ *M*"),
        (725, 607, GREEN, "×", "Val: scale the weights", "× (1 + λ (*M* − 1))"),
    )
    for x, left, colour, symbol, title, formula in places:
        c.box(left, 124, 236, 76, [title, formula], colour, bold_first=True)
        c.arrow([(x, 84), (x, 123)], ORANGE)
        c.arrow([(x, 200), (x, y - 23)], colour)
        c.circle(x, y, 21, "#ffffff", colour, symbol)
    for x0, x1 in ((156, 203), (247, 339), (383, 429), (514, 545), (654, 703), (747, 787)):
        c.arrow([(x0, y), (x1, y)])
    c.box(806, 396, 100, 46, ["values *V*"], LINE, fill="#ffffff")
    c.arrow([(856, 396), (856, y + 29)])
    c.text(225, 350, "logits", size=14, colour=MUTED)
    c.text(361, 350, "logits", size=14, colour=MUTED)
    c.text(725, 350, "probabilities", size=14, colour=MUTED)
    c.text(40, 410, "A model switches on one of the three. λ is one learnable number a layer;",
           size=15, anchor="start")  # fmt: skip
    c.text(40, 434, "λ = 0 switches the injection off and leaves plain SASRec.", size=15,
           anchor="start")  # fmt: skip
    return c


def masks() -> Canvas:
    """Who may look at whom: three masks on six positions."""
    c = Canvas(960, 430, "Bidirectional, local and causal attention masks on six positions")

    def near(q: int, k: int) -> bool:
        return abs(q - k) <= 2

    rules = (
        ("Bidirectional (AE)", "BERT4Rec", "every position sees all", lambda q, k: True, SKY),
        ("Local (Local-AE)", "after LOCKER", "|*q* − *k*| ≤ 2", near, GREEN),
        ("Causal (AR)", "SASRec", "*k* ≤ *q*: never the future", lambda q, k: k <= q, ORANGE),
    )
    side = 35
    for n, (title, model, rule, allowed, colour) in enumerate(rules):
        x0, y0 = 92 + 304 * n, 122
        c.text(x0 + 3 * side, 44, title, size=18, bold=True)
        c.text(x0 + 3 * side, 68, model, size=15, colour=MUTED)
        c.text(x0 + 3 * side, 94, "key *k*", size=14, colour=MUTED)
        c.text(x0 - 50, y0 + 3 * side - 4, "query", size=14, colour=MUTED)
        c.text(x0 - 50, y0 + 3 * side + 14, "*q*", size=14, colour=MUTED)
        for q in range(6):
            c.text(x0 + (q + 0.5) * side, y0 - 8, str(q + 1), size=13, colour=MUTED)
            c.text(x0 - 10, y0 + (q + 0.5) * side + 5, str(q + 1), size=13, colour=MUTED)
            for k in range(6):
                fill = tint(colour, 0.7) if allowed(q, k) else "#f4f4f4"
                c.rect(x0 + k * side, y0 + q * side, side, side, fill, "#ffffff", radius=4)
        c.text(x0 + 3 * side, y0 + 6 * side + 28, rule, size=15)
    c.rect(366, 388, 18, 18, tint(INK, 0.45), "#ffffff", radius=3)
    c.text(392, 402, "may attend", size=14, anchor="start")
    c.rect(496, 388, 18, 18, "#f4f4f4", "#cccccc", radius=3, width=1)
    c.text(522, 402, "blocked (logit −∞)", size=14, anchor="start")
    return c


def leave_one_out() -> Canvas:
    """Split three histories of different lengths."""
    c = Canvas(960, 346, "Leave-one-out: last item tested, second last validated, rest trained")
    side, x0 = 50, 190
    for row, (user, length) in enumerate((("user A", 11), ("user B", 6), ("user C", 8))):
        y = 40 + 72 * row
        c.text(x0 - 24, y + 31, user, size=16, anchor="end", bold=True)
        for t in range(length):
            role = "test" if t == length - 1 else "valid" if t == length - 2 else "train"
            colour = {"train": SKY, "valid": ORANGE, "test": VERMILLION}[role]
            c.box(x0 + t * (side + 8), y, side, side, [f"*i*_{{{t + 1}}}"], colour,
                  fill=tint(colour, 0.28 if role == "train" else 0.55))  # fmt: skip
    c.arrow([(x0, 258), (826, 258)], MUTED, width=1.8)
    c.text(x0 - 24, 263, "time", size=15, colour=MUTED, anchor="end")
    for colour, text, x in (
        (SKY, "training", 48),
        (ORANGE, "validation target (context: blue)", 186),
        (VERMILLION, "test target (context: blue and yellow)", 530),
    ):
        c.rect(x, 302, 20, 20, tint(colour, 0.28 if colour == SKY else 0.55), colour, radius=4)
        c.text(x + 30, 318, text, size=15, anchor="start")
    return c


def main() -> None:
    """Write all diagrams beside this script."""
    from draw_statistics import backbones, dual_criterion, resampling

    folder = Path(__file__).resolve().parent
    drawings = (
        history, transformer_block, three_injections, masks, leave_one_out, dual_criterion,
        resampling, backbones,
    )  # fmt: skip
    for draw in drawings:
        draw().save(folder / f"{draw.__name__}.svg")


if __name__ == "__main__":
    main()
