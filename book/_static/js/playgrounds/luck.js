// A search keeps the best of its trials. How much of that is the draw?
(() => {
  playground.define("luck", {
    title: "Draw the best of 25 trials again and again",
    size: [640, 240],
    controls: (data) => [
      {
        id: "search",
        kind: "select",
        label: "Search",
        options: data.map((s, i) => [String(i), s.name]),
        value: "0",
      },
      { id: "trials", kind: "range", label: "Trials in a search", min: 1, max: 100, step: 1, value: 25 },
      { id: "once", kind: "button", label: "Draw one search" },
      { id: "many", kind: "button", label: "Draw 500" },
    ],
    compute: (values, data, memory, moved) => {
      const trials = data[values.search].values;
      if (moved === "search" || moved === "trials" || !memory.best)
        Object.assign(memory, { best: [], random: playground.random(1) });
      const more = { once: 1, many: 500 }[moved] || 0;
      for (let i = 0; i < more; i++) {
        let best = -Infinity;
        for (let t = 0; t < values.trials; t++)
          best = Math.max(best, trials[memory.random.below(trials.length)]);
        memory.best.push(best);
      }
      const found = Math.max(...trials);
      const best = memory.best;
      const q = best.length > 1 ? [playground.quantile(best, 0.025), playground.quantile(best, 0.975)] : [];
      return {
        trials,
        best,
        last: best.at(-1),
        sentence: best.length
          ? `${best.length} searches of ${values.trials} trials each: the last found ${best.at(-1).toFixed(4)}` +
            (q.length ? `, 95 % of them found between ${q[0].toFixed(4)} and ${q[1].toFixed(4)}.` : ".")
          : `The ${trials.length} trials that were run reached at most ${found.toFixed(4)}. Draw from them.`,
        table: {
          head: ["searches drawn", "lowest", "2.5 %", "97.5 %", "highest"],
          digits: 4,
          rows: best.length > 1 ? [[String(best.length), Math.min(...best), ...q, Math.max(...best)]] : [],
        },
      };
    },
    draw: (picture, { trials, best, last }) => {
      const { svg, scale, axis, colours } = playground;
      const place = scale(Math.min(...trials), Math.max(...trials), 40, 610);
      axis(picture, place, { y: 200, label: "validation NDCG@10", at: [325, 234] });
      svg(picture, "line", { x1: 40, x2: 610, y1: 200, y2: 200, class: "axis" });
      const bins = new Array(57).fill(0);
      for (const value of best) bins[Math.min(56, Math.floor((place(value) - 40) / 10))] += 1;
      const most = Math.max(1, ...bins);
      bins.forEach((count, i) =>
        svg(picture, "rect", {
          x: 40 + 10 * i,
          y: 185 - (150 * count) / most,
          width: 9,
          height: (150 * count) / most,
          fill: colours.blue,
        }),
      );
      for (const value of trials)
        svg(picture, "line", { x1: place(value), x2: place(value), y1: 188, y2: 199, stroke: colours.grey });
      if (best.length)
        svg(picture, "circle", { cx: place(last), cy: 178, r: 6, fill: colours.vermilion });
    },
  });
})();
