// How far can lambda go? Adam moves it by about the learning rate a step, at most; a step may
// exceed the rate a little.
(() => {
  const LOG = [-2.5, 1.5]; // powers of ten of the possible travel
  const START = 1;
  const travel = (point) => point.steps * point.rate;
  const short = (x) => x.toFixed(x > 0 && x < 0.1 ? 4 : 2);

  // What runs made of the product of rate and steps: who went beyond, and how far.
  const excess = (kept) => {
    const beyond = kept.map((r) => Math.abs(r.lambda - START) / travel(r)).filter((share) => share > 1);
    if (!beyond.length) return "No mean λ went further than its run's rate times steps.";
    const most = (100 * (Math.max(...beyond) - 1)).toFixed(1);
    return `${beyond.length} mean λ went further than their runs' rate times steps, by up to ${most} %: a step of Adam may exceed the rate a little.`;
  };

  playground.define("travel", {
    title: "How far can λ go? Move the learning rate and the steps",
    size: [640, 330],
    controls: (data) => [
      {
        id: "power",
        kind: "range",
        label: "Learning rate",
        min: -4,
        max: -2,
        step: 0.1,
        value: -3,
        format: (x) => (10 ** x).toPrecision(2),
      },
      { id: "steps", kind: "range", label: "Steps", min: 10, max: 3000, step: 10, value: 300 },
      {
        id: "dataset",
        kind: "select",
        label: "Dataset",
        options: playground.valuesOf(data.runs, "dataset"),
        value: "all",
      },
    ],
    compute: ({ power, steps, dataset }, data) => {
      const reach = steps * 10 ** power;
      const kept = data.runs.filter((r) => dataset === "all" || r.dataset === dataset);
      const inside = kept.filter((r) => travel(r) <= reach);
      const used = kept.map((r) => Math.abs(r.lambda - START) / travel(r));
      const digits = reach < 0.1 ? 4 : 2;
      return {
        reach,
        kept,
        paper: data.paper.filter((p) => dataset === "all" || p.dataset === dataset),
        sentence:
          `In ${steps} steps of ${(10 ** power).toPrecision(2)}, λ can go about ${short(reach)} at most: ` +
          `from 1 to between ${(START - reach).toFixed(digits)} and ${(START + reach).toFixed(digits)}. ` +
          `${inside.length} of ${kept.length} runs had no more; ` +
          `${kept.filter((r) => travel(r) < 0.5).length} could not go half a unit. ${excess(kept)}`,
        table: {
          head: ["", "runs", "possible travel, median", "used share, median"],
          rows: [[dataset, String(kept.length), playground.quantile(kept.map(travel), 0.5), playground.quantile(used, 0.5)]],
        },
        more: [
          {
            caption: "Each run: λ, the mean over layers, started at 1",
            head: ["run", "steps", "rate × steps", "λ", "used share"],
            digits: [0, 0, 3, 2, 2],
            rows: kept.map((r, i) => [`${r.dataset}, ${r.model}`, String(r.steps), travel(r), r.lambda, used[i]]),
          },
        ],
      };
    },
    draw: (picture, { reach, kept, paper }) => {
      const { svg, scale, axis, colours } = playground;
      const x = scale(...LOG, 50, 560);
      const y = scale(-1.2, 2.2, 270, 16);
      axis(picture, x, {
        y: 270,
        label: "possible travel: learning rate × steps, powers of ten",
        at: [305, 310],
        format: (t) => (Number.isInteger(t) ? String(10 ** t) : ""),
      });
      axis(picture, y, { x: 50, label: "λ", at: [14, 146] });
      // What a run can reach at all lies between the two curves.
      const edge = (sign) =>
        Array.from({ length: 81 }, (_, i) => LOG[0] + (i * (LOG[1] - LOG[0])) / 80).map((p) => {
          const value = Math.max(-1.2, Math.min(2.2, START + sign * 10 ** p));
          return `${x(p)},${y(value)}`;
        });
      svg(picture, "polygon", { points: [...edge(1), ...edge(-1).reverse()].join(" "), fill: colours.sky, "fill-opacity": 0.2 });
      const at = x(Math.max(LOG[0], Math.min(LOG[1], Math.log10(reach))));
      svg(picture, "line", { x1: at, x2: at, y1: 16, y2: 270, stroke: colours.vermilion, "stroke-width": 2 });
      svg(picture, "line", { x1: 50, x2: 560, y1: y(START), y2: y(START), class: "axis" });
      const fills = { Add: colours.blue, Mul: colours.orange, Val: colours.green };
      for (const run of kept) {
        const place = { cx: x(Math.max(LOG[0], Math.min(LOG[1], Math.log10(travel(run))))), cy: y(run.lambda) };
        const dot = svg(picture, "circle", { ...place, r: 4, fill: fills[run.model], "fill-opacity": 0.7 });
        svg(dot, "title", {}, `${run.dataset}, ${run.model}: λ ${run.lambda.toFixed(2)} after ${run.steps} steps`);
      }
      for (const point of paper) {
        const mark = svg(picture, "line", { x1: 572, x2: 600, y1: y(point.lambda), y2: y(point.lambda), stroke: colours.grey, "stroke-width": 2 });
        svg(mark, "title", {}, `the paper, ${point.name}: λ ${point.lambda}`);
      }
      svg(picture, "text", { x: 586, y: 286, "text-anchor": "middle" }, paper.length ? "paper" : "no paper");
      Object.entries(fills).forEach(([name, fill], i) => {
        svg(picture, "circle", { cx: 70 + 60 * i, cy: 24, r: 4, fill });
        svg(picture, "text", { x: 79 + 60 * i, y: 28 }, name);
      });
    },
  });
})();
