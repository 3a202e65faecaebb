// From a target's place in the list to its metrics, without and with the items a user already has.
(() => {
  const LAST = 60;
  const METRICS = {
    Recall: (rank, k) => Number(rank <= k),
    NDCG: (rank, k) => (rank <= k ? 1 / Math.log2(1 + rank) : 0),
    MRR: (rank, k) => (rank <= k ? 1 / rank : 0),
  };

  playground.define("ranks", {
    title: "Move the target up and down the list: what do the metrics say?",
    size: [640, 300],
    controls: [
      { id: "above", kind: "range", label: "Items above it", min: 0, max: 49, step: 1, value: 5 },
      { id: "seen", kind: "range", label: "Seen among these", min: 0, max: 49, step: 1, value: 2, limit: ({ above }) => above },
      { id: "tied", kind: "range", label: "Unseen ties", min: 0, max: 20, step: 1, value: 0 },
      { id: "k", kind: "range", label: "Cut-off k", min: 1, max: 50, step: 1, value: 10 },
    ],
    compute: ({ above, seen, tied, k }) => {
      const rank = 1 + above + Math.floor(tied / 2);
      const filtered = rank - seen;
      const of = (r) => Object.values(METRICS).map((metric) => metric(r, k));
      const ndcg = (r) => `rank ${r}, NDCG@${k} ${METRICS.NDCG(r, k).toFixed(3)}`;
      return {
        rank,
        filtered,
        sentence: `Of all items: ${ndcg(rank)}; without the ${seen} above it that the user has: ${ndcg(filtered)}.`,
        table: {
          head: ["ranking", "rank", ...Object.keys(METRICS).map((name) => `${name}@${k}`)],
          digits: [0, 0, 3, 3, 3],
          rows: [
            ["unfiltered", rank, ...of(rank)],
            ["filtered", filtered, ...of(filtered)],
          ],
        },
      };
    },
    draw: (picture, { rank, filtered }, { k }) => {
      const { svg, scale, axis, colours } = playground;
      const x = scale(0, LAST, 60, 470);
      const y = scale(0, 1, 250, 20);
      axis(picture, x, { y: 250, label: "rank of the target", at: [265, 292] });
      axis(picture, y, { x: 60, label: "", at: [0, 0] });
      svg(picture, "line", { x1: 60, x2: 470, y1: 250, y2: 250, class: "axis" });
      const cut = { x1: x(k + 0.5), x2: x(k + 0.5), y1: 20, y2: 250, stroke: colours.grey };
      svg(picture, "line", { ...cut, "stroke-dasharray": "5 4" });
      const styles = [
        [colours.grey, "2 4"],
        [colours.blue, "none"],
        [colours.vermilion, "8 4"],
      ];
      Object.entries(METRICS).forEach(([name, metric], i) => {
        const [stroke, dashes] = styles[i];
        const places = Array.from({ length: LAST }, (_, r) => r + 1);
        const points = places.map((r) => `${x(r)},${y(metric(r, k))}`).join(" ");
        svg(picture, "polyline", { points, fill: "none", stroke, "stroke-width": 2.5, "stroke-dasharray": dashes });
        const row = 60 + 26 * i;
        svg(picture, "line", { x1: 484, x2: 514, y1: row, y2: row, stroke, "stroke-width": 2.5, "stroke-dasharray": dashes });
        svg(picture, "text", { x: 520, y: row + 5 }, `${name}@${k}`);
        svg(picture, "circle", { cx: x(filtered), cy: y(metric(filtered, k)), r: 6, fill: "none", stroke, "stroke-width": 2.5 });
        svg(picture, "circle", { cx: x(rank), cy: y(metric(rank, k)), r: 5, fill: stroke });
      });
      svg(picture, "circle", { cx: 499, cy: 146, r: 5, fill: colours.grey });
      svg(picture, "text", { x: 520, y: 151 }, "unfiltered");
      svg(picture, "circle", { cx: 499, cy: 172, r: 6, fill: "none", stroke: colours.grey, "stroke-width": 2.5 });
      svg(picture, "text", { x: 520, y: 177 }, "filtered");
    },
  });
})();
