// The hand example of "Injecting intensity": three keys, one query, and what moves their weights.
(() => {
  const { sum, softmax, injections, log1pMinmax } = playground;
  const SIMILARITY = [1, 0.5, -1]; // q.k / sqrt(d)
  const VALUES = [
    [1, 0],
    [0, 1],
    [1, 1],
  ];
  const FLOOR = 0.1;

  const normalise = {
    log1p_minmax: log1pMinmax,
    minmax: (w) => {
      const [low, high] = [Math.min(...w), Math.max(...w)];
      return w.map((x) => (high > low ? FLOOR + ((1 - FLOOR) * (x - low)) / (high - low) : 1));
    },
    zscore: (w) => {
      const mean = sum(w) / w.length;
      const std = Math.sqrt(w.reduce((a, x) => a + (x - mean) ** 2, 0) / w.length);
      return w.map((x) => (std ? (x - mean) / std : 0));
    },
    none: (w) => w,
  };

  const variants = { SASRec: softmax, ...injections };

  const hours = (id, value) => ({
    id,
    kind: "range",
    label: `Hours of game ${id.slice(1)}`,
    min: 0,
    max: 20,
    step: 0.5,
    value,
  });

  playground.define("injection", {
    title: "Move lambda and the hours: what each variant does to the weights of three games",
    size: [640, 260],
    controls: [
      { id: "lambda", kind: "range", label: "λ", min: -1, max: 3, step: 0.05, value: 0.5 },
      hours("w1", 1),
      hours("w2", 7),
      hours("w3", 3),
      {
        id: "mode",
        kind: "select",
        label: "Normalisation",
        options: Object.keys(normalise).map((name) => [name]),
        value: "log1p_minmax",
      },
    ],
    compute: (values) => {
      const m = normalise[values.mode]([values.w1, values.w2, values.w3]);
      const bars = Object.entries(variants).map(([name, weigh]) => {
        const weights = weigh(SIMILARITY, m, values.lambda);
        const context = [0, 1].map((j) => weights.reduce((sum, a, k) => sum + a * VALUES[k][j], 0));
        return { name, weights, context };
      });
      const change = (name) => bars.find((b) => b.name === name).weights[2] - bars[0].weights[2];
      const word = (x) => (Math.abs(x) < 0.005 ? "hardly changes" : x > 0 ? "raises" : "lowers");
      return {
        bars,
        sentence:
          `M = (${m.map((x) => x.toFixed(2)).join(", ")}). Beside plain attention, ` +
          ["Add", "Mul", "Val"].map((n) => `${n} ${word(change(n))}`).join(", ") +
          " the weight of game 3, the one that fits the query least.",
        table: {
          head: ["", "game 1", "game 2", "game 3", "sum", "context 1", "context 2"],
          rows: bars.map((b) => [
            b.name,
            ...b.weights,
            sum(b.weights),
            ...b.context,
          ]),
        },
      };
    },
    draw: (picture, { bars }) => {
      const { svg, scale, axis, colours } = playground;
      const all = bars.flatMap((b) => b.weights);
      const place = scale(Math.min(0, ...all), Math.max(1, ...all), 220, 24);
      axis(picture, place, { x: 62, label: "", at: [0, 0] });
      svg(picture, "text", { x: 16, y: 118, transform: "rotate(-90 16 118)", "text-anchor": "middle" }, "weight of games 1, 2, 3");
      const fills = [colours.blue, colours.orange, colours.green];
      bars.forEach((bar, i) => {
        bar.weights.forEach((weight, k) => {
          const x = 70 + 145 * i + 38 * k;
          const [top, bottom] = [Math.min(place(weight), place(0)), Math.max(place(weight), place(0))];
          svg(picture, "rect", { x, y: top, width: 34, height: bottom - top, fill: fills[k] });
          svg(picture, "text", { x: x + 17, y: top - 4, "text-anchor": "middle" }, weight.toFixed(Math.abs(weight) >= 10 ? 0 : 2));
          svg(picture, "text", { x: x + 17, y: 234, "text-anchor": "middle" }, k + 1);
        });
        svg(picture, "text", { x: 125 + 145 * i, y: 252, "text-anchor": "middle", class: "strong" }, bar.name);
      });
      svg(picture, "line", { x1: 62, x2: 630, y1: place(0), y2: place(0), class: "axis" });
    },
  });
})();
