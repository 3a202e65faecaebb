// Every comparison of every study as one plot: filter, sort, and point at a line to read it.
(() => {
  const ALL = "all";
  const LINES = 30;
  const ORDERS = {
    change: (a, b) => b.change - a.change,
    width: (a, b) => a.high - a.low - (b.high - b.low),
    name: (a, b) => (a.name < b.name ? -1 : 1),
  };

  playground.define("forest", {
    title: "Every comparison: filter, sort, read",
    size: [760, 520],
    controls: (data) => [
      ...["study", "dataset", "arm"].map((key) => ({
        id: key,
        kind: "select",
        label: key[0].toUpperCase() + key.slice(1),
        options: playground.valuesOf(data, key),
        value: ALL,
      })),
      {
        id: "only",
        kind: "select",
        label: "Verdict",
        options: [[ALL], ["robust"], ["not robust"]],
        value: ALL,
      },
      { id: "order", kind: "select", label: "Sort by", options: Object.keys(ORDERS).map((x) => [x]), value: "change" },
      { id: "from", kind: "range", label: "Scroll", min: 0, max: 100, step: 5, value: 0, format: (x) => `${x} %` },
    ],
    compute: (values, data) => {
      const kept = data
        .filter((d) => ["study", "dataset", "arm"].every((k) => [ALL, d[k]].includes(values[k])))
        .filter((d) => values.only === ALL || d.robust === (values.only === "robust"))
        .sort(ORDERS[values.order]);
      const first = Math.round((values.from / 100) * Math.max(0, kept.length - LINES));
      const robust = kept.filter((d) => d.robust);
      const gains = robust.filter((d) => d.change > 0).length;
      return {
        kept,
        shown: kept.slice(first, first + LINES),
        sentence:
          `${kept.length} of ${data.length} comparisons; ${robust.length} robust, ` +
          `${gains} of them gains. Change of NDCG@10 in percent, 95 % intervals.`,
        table: {
          head: ["comparison", "change, %", "from", "to", "seeds", "users", "verdict"],
          digits: 1,
          rows: kept.map((d) => [
            d.name,
            d.change,
            d.low,
            d.high,
            String(d.seeds),
            String(d.users),
            d.robust ? "robust" : "not robust",
          ]),
        },
      };
    },
    draw: (picture, { kept, shown }) => {
      const { svg, scale, axis, colours } = playground;
      const ends = kept.flatMap((d) => [d.low, d.high]).map((x) => Math.max(-40, Math.min(40, x)));
      const place = scale(Math.min(-5, ...ends), Math.max(5, ...ends), 340, 745);
      const step = Math.min(24, 450 / Math.max(1, shown.length));
      const bottom = 20 + step * shown.length;
      axis(picture, place, { y: bottom, label: "change of NDCG@10, %", at: [542, bottom + 36] });
      svg(picture, "line", { x1: place(0), x2: place(0), y1: 10, y2: bottom, class: "axis" });
      shown.forEach((d, i) => {
        const y = 20 + step * (i + 0.5);
        const colour = d.robust ? (d.change > 0 ? colours.green : colours.vermilion) : colours.grey;
        const line = svg(picture, "g", { class: "forest-line" });
        svg(line, "title", {}, `${d.name}: ${d.change.toFixed(1)} % [${d.low.toFixed(1)}, ${d.high.toFixed(1)}]`);
        svg(line, "rect", { x: 0, y: y - step / 2, width: 760, height: step, fill: "transparent" });
        const [low, high] = [d.low, d.high].map((x) => place(Math.max(-40, Math.min(40, x))));
        svg(line, "line", { x1: low, x2: high, y1: y, y2: y, stroke: colour, "stroke-width": 2 });
        svg(line, "circle", { cx: place(Math.max(-40, Math.min(40, d.change))), cy: y, r: 3.5, fill: colour });
        if (step > 9) svg(line, "text", { x: 330, y: y + 4, "text-anchor": "end", class: "small" }, d.name);
      });
    },
  });
})();
