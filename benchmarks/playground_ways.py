"""One playground built in three ways: this book's own script, Bokeh, and Vega through Altair.

The figure is the hand example of "Injecting intensity": sliders for lambda and for the hours of
three games, bars for their weights under plain attention and under Add. Each is one page that needs
no network. It is opened in headless Chromium from its file, reached and moved by keyboard alone,
checked by axe-core, and opened once more with scripts off. Bokeh and Altair are no requirements of
this project:

    pip install bokeh altair vl-convert-python
    python -m benchmarks.playground_ways
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import finish
from seqattn.files import ROOT

ROUNDS = 5
SIMILARITY, HOURS = (1.0, 0.5, -1.0), (1.0, 7.0, 3.0)
SCRIPTS = ROOT / "book" / "_static" / "js" / "playgrounds"
STILL = "Weights of three games under plain attention and Add, at lambda 0.5"
SLIDERS = "input[type=range], [role=slider]"
# The deepest focused element, into shadow roots, in which Bokeh draws.
FOCUSED = """() => {
  let e = document.activeElement;
  while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
  return Boolean(e && e.matches('SLIDERS'));
}""".replace("SLIDERS", SLIDERS)
AXE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter(v => ["critical", "serious"].includes(v.impact)).length"""


def ours(folder: Path) -> str:
    """Write the page with this book's script; return when it is ready, in JavaScript."""
    for name in ("playground.js", "injection.js"):
        shutil.copyfile(SCRIPTS / name, folder / name)
    (folder / "still.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    _page(
        folder,
        '<div class="playground" data-playground="injection">'
        f'<noscript><img src="still.svg" alt="{STILL}"></noscript></div>'
        '<script src="playground.js"></script>',
    )
    return "() => Boolean(document.querySelector('.playground').dataset.ready)"


def bokeh(folder: Path) -> str:
    """Write the page with Bokeh, a slider's change computed by CustomJS."""
    from bokeh.embed import components
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, CustomJS, Slider
    from bokeh.plotting import figure
    from bokeh.resources import Resources

    places = [0, 1, 2, 4, 5, 6]
    source = ColumnDataSource({"x": places, "weight": [0.0] * 6})
    plot = figure(height=260, width=640, y_range=(0, 1))
    plot.vbar(x="x", top="weight", width=0.9, source=source)
    sliders = {
        "lam": Slider(title="λ", start=-1, end=3, step=0.05, value=0.5),
        **{
            f"w{k}": Slider(title=f"Hours of game {k}", start=0, end=20, step=0.5, value=value)
            for k, value in enumerate(HOURS, start=1)
        },
    }
    code = f"""
      const logs = [w1, w2, w3].map(s => Math.log1p(s.value)), s = {list(SIMILARITY)};
      const m = logs.map(x => x / (Math.max(...logs) || 1));
      const softmax = x => {{
        const p = x.map(Math.exp), t = p[0] + p[1] + p[2];
        return p.map(v => v / t);
      }};
      const add = softmax(s.map((x, k) => x + lam.value * m[k]));
      source.data = {{x: {places}, weight: [...softmax(s), ...add]}};
    """
    moved = CustomJS(args={"source": source, **sliders}, code=code)
    for slider in sliders.values():
        slider.js_on_change("value", moved)
    script, element = components(column(plot, *sliders.values()))
    needed = Resources(mode="inline", components=["bokeh", "bokeh-widgets"])
    _page(folder, element + script, head=needed.render_js())
    return "() => window.Bokeh && Bokeh.index.roots.length > 0"


def vega(folder: Path) -> str:
    """Write the page with Vega-Lite through Altair, the weights computed by its transforms."""
    import altair as alt

    values = [
        {"model": model, "game": k + 1, "s": s}
        for model in ("SASRec", "Add")
        for k, s in enumerate(SIMILARITY)
    ]
    hours = [
        alt.param(f"w{k}", value=value, bind=alt.binding_range(min=0, max=20, step=0.5))
        for k, value in enumerate(HOURS, start=1)
    ]
    lam = alt.param("lam", value=0.5, bind=alt.binding_range(min=-1, max=3, step=0.05))
    largest = "max(log(1 + w1), log(1 + w2), log(1 + w3))"
    chart = (
        alt.Chart(alt.Data(values=values))
        .transform_calculate(log_w="log(1 + (datum.game == 1 ? w1 : datum.game == 2 ? w2 : w3))")
        .transform_calculate(m=f"{largest} > 0 ? datum.log_w / {largest} : 0")
        .transform_calculate(power="exp(datum.s + (datum.model == 'Add' ? lam * datum.m : 0))")
        .transform_joinaggregate(total="sum(power)", groupby=["model"])
        .transform_calculate(weight="datum.power / datum.total")
        .mark_bar()
        .encode(x="game:O", y=alt.Y("weight:Q", scale=alt.Scale(domain=[0, 1])), column="model:N")
        .add_params(lam, *hours)
    )
    (folder / "index.html").write_text(chart.to_html(inline=True))
    return "() => Boolean(document.querySelector('#vis canvas, #vis svg'))"


WAYS: Mapping[str, Callable[[Path], str]] = {
    "this book's script": ours,
    "Bokeh, CustomJS": bokeh,
    "Vega-Lite, Altair": vega,
}


def _page(folder: Path, body: str, head: str = "") -> None:
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>One playground</title>'
        f"{head}</head><body><main><h1>One playground</h1>{body}</main></body></html>"
    )


def measure(browser: Any, axe: str, folder: Path, ready: str) -> dict[str, object]:
    """Return what a way's page weighs, how soon it answers and to whom."""
    address, seconds = (folder / "index.html").as_uri(), []
    for _ in range(ROUNDS):
        page = browser.new_page(offline=True)
        began = time.perf_counter()
        page.goto(address, wait_until="load")
        page.wait_for_function(ready)
        seconds.append(time.perf_counter() - began)
        page.close()
    page = browser.new_page(offline=True)
    page.goto(address)
    page.wait_for_function(ready)
    presses = next(
        (n for n in range(1, 21) if page.keyboard.press("Tab") or page.evaluate(FOCUSED)), 0
    )
    before = page.screenshot()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    moved = bool(presses) and page.screenshot() != before
    page.evaluate(axe)
    serious = page.evaluate(AXE)
    numbers = page.evaluate(r"() => document.body.innerText.match(/0\.\d{2,}/g) || []")
    page.close()
    without = browser.new_context(java_script_enabled=False).new_page()
    without.goto(address)
    still = without.locator("img").count() > 0
    without.close()
    return {
        "kB to load": sum(path.stat().st_size for path in folder.iterdir()) / 1000,
        "answers after, s": median(seconds),
        "Tab presses to a slider": presses or "none reaches it",
        "moved by arrow keys": moved,
        "numbers as text": len(numbers),
        "serious findings of axe-core": serious,
        "a picture without scripts": still,
    }


def main() -> None:
    """Build, measure and report."""
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests" / "site"))
    from check_site import CHROMIUM_FLAGS, _axe, chromium

    rows: list[dict[str, object]] = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        for name, write in WAYS.items():
            folder = Path(scratch, write.__name__)
            folder.mkdir()
            try:
                ready = write(folder)
            except ImportError as error:
                print(f"not run: {name} needs {error.name}; see the head of this file")
                return
            rows.append({"way": name} | measure(browser, _axe(), folder, ready))
        browser.close()
    kb = {str(row["way"]): float(str(row["kB to load"])) for row in rows}
    least = min(kb.values())
    finish(
        "playground_ways",
        rows,
        {
            "lightest": min(kb, key=kb.__getitem__),
            "heaviest_over_lightest": max(kb.values()) / least,
        },
    )


if __name__ == "__main__":
    main()
