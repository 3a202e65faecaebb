// A search keeps the best of its trials. How much of that is the draw, and how much the trials?
(() => {
  const mean = (values) => playground.sum(values) / values.length;
  const searches = (n) => (n === 1 ? "1 search" : `${n} searches`);
  const ofTrials = (n) => (n === 1 ? "1 trial" : `${n} trials`);

  const told = ({ best, trials }) => {
    const last = `the last found ${best.at(-1).toFixed(4)}`;
    if (best.length === 1) return `1 search of ${ofTrials(trials)}: it found ${best[0].toFixed(4)}.`;
    const [low, high] = [0.025, 0.975].map((p) => playground.quantile(best, p).toFixed(4));
    return (
      `${searches(best.length)} of ${ofTrials(trials)} each: their mean is ${mean(best).toFixed(4)}, ` +
      `95 % of them lie between ${low} and ${high}, and ${last}.`
    );
  };

  // How much higher the mean of one lot of searches is than that of another with fewer trials.
  const gained = (one, other) => {
    if (one.trials === other.trials) return " The outline is an earlier draw of as many trials.";
    const [less, more] = one.trials < other.trials ? [one, other] : [other, one];
    const percent = 100 * (mean(more.best) / mean(less.best) - 1);
    return ` From ${ofTrials(less.trials)} to ${more.trials} (outline: ${other.trials}), the mean ${percent < 0 ? "falls" : "grows"} by ${Math.abs(percent).toFixed(1)} %.`;
  };

  playground.define("luck", {
    title: "Draw the best of a search's trials again and again",
    size: [640, 260],
    controls: (data) => [
      {
        id: "search",
        kind: "select",
        label: "Search",
        options: data.map((s, i) => [String(i), s.name]),
        value: "0",
      },
      { id: "trials", kind: "range", label: "Trials in a search", min: 1, max: 50, step: 1, value: 5 },
      { id: "once", kind: "button", label: "Draw one search" },
      { id: "many", kind: "button", label: "Draw 500" },
    ],
    compute: (values, data, memory, moved) => {
      const trials = data[values.search].values;
      if (moved === "search" || !memory.lot) {
        memory.random = playground.random(1);
        memory.before = null;
      }
      if (moved === "search" || moved === "trials" || !memory.lot) {
        // A slider passes many numbers of trials on its way; only those that were drawn are kept.
        if (moved === "trials" && memory.lot.best.length) memory.before = memory.lot;
        memory.lot = { trials: values.trials, best: [] };
      }
      const { lot, before } = memory;
      for (let i = { once: 1, many: 500 }[moved] || 0; i > 0; i--) {
        const drawn = Array.from({ length: lot.trials }, () => trials[memory.random.below(trials.length)]);
        lot.best.push(Math.max(...drawn));
      }
      const ceiling = Math.max(...trials);
      const lots = [lot, before].filter((x) => x && x.best.length);
      return {
        trials,
        lot,
        before,
        ceiling,
        sentence:
          (lot.best.length ? told(lot) : "Draw from the trials that were run.") +
          (lots.length === 2 ? gained(lot, before) : "") +
          ` None can exceed ${ceiling.toFixed(4)}, the best of the ${trials.length} trials that were run.`,
        table: {
          head: ["trials", "searches", "mean", "lowest", "2.5 %", "97.5 %", "highest"],
          digits: 4,
          rows: lots.map(({ trials: n, best }) => [
            String(n),
            String(best.length),
            mean(best),
            Math.min(...best),
            playground.quantile(best, 0.025),
            playground.quantile(best, 0.975),
            Math.max(...best),
          ]),
        },
      };
    },
    draw: (picture, { trials, lot, before, ceiling }) => {
      const { svg, scale, axis, colours } = playground;
      // Few bests lie among the lowest trials, which may be far off: these are drawn at the left end.
      const low = playground.quantile(trials, 0.4);
      const inner = scale(low, ceiling, 40, 610);
      const place = Object.assign((x) => inner(Math.max(low, x)), { ticks: inner.ticks });
      axis(picture, place, { y: 216, label: "validation NDCG@10 (left end: or less)", at: [325, 252] });
      svg(picture, "line", { x1: 40, x2: 610, y1: 216, y2: 216, class: "axis" });
      const heights = (best) => {
        const bins = new Array(57).fill(0);
        for (const value of best) bins[Math.min(56, Math.floor((place(value) - 40) / 10))] += 1;
        return bins.map((count) => (150 * count) / Math.max(1, ...bins));
      };
      const bars = (best, style) =>
        heights(best).forEach((height, i) => {
          if (height) svg(picture, "rect", { x: 40 + 10 * i, y: 200 - height, width: 9, height, ...style });
        });
      const middle = (best, stroke, dashes) => {
        const x = place(mean(best));
        svg(picture, "line", { x1: x, x2: x, y1: 36, y2: 200, stroke, "stroke-width": 2, "stroke-dasharray": dashes });
      };
      bars(lot.best, { fill: colours.sky });
      if (before) {
        bars(before.best, { fill: "none", stroke: colours.vermilion, "stroke-width": 1.5 });
        middle(before.best, colours.vermilion, "6 4");
      }
      if (lot.best.length) middle(lot.best, colours.blue, "none");
      for (const value of trials)
        svg(picture, "line", { x1: place(value), x2: place(value), y1: 204, y2: 215, stroke: colours.grey });
      svg(picture, "line", { x1: 610, x2: 610, y1: 36, y2: 216, stroke: colours.grey, "stroke-dasharray": "2 3" });
      svg(picture, "text", { x: 616, y: 20, "text-anchor": "end" }, "best that was run");
      svg(picture, "text", { x: 40, y: 20 }, before ? "line: mean; dot: last; outline: before" : "line: mean; dot: last");
      if (lot.best.length)
        svg(picture, "circle", { cx: place(lot.best.at(-1)), cy: 192, r: 6, fill: colours.vermilion });
    },
  });
})();
