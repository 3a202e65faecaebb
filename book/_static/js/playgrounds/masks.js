// What a mask does: to attention spread evenly over what may be seen, and to that of a trained
// model, where the page has one; sparsity and rank.
(() => {
  const SEES = {
    causal: (q, k, w) => k <= q && q - k < w,
    bidirectional: (q, k, w) => Math.abs(q - k) < w,
  };

  // Singular values by one-sided Jacobi rotations: columns are turned until they are orthogonal.
  const singularValues = (matrix) => {
    const n = matrix.length;
    const a = matrix.map((row) => [...row]);
    const product = (i, j) => a.reduce((sum, row) => sum + row[i] * row[j], 0);
    for (let sweep = 0; sweep < 60; sweep++) {
      let turned = false;
      for (let i = 0; i < n; i++)
        for (let j = i + 1; j < n; j++) {
          const [ii, jj, ij] = [product(i, i), product(j, j), product(i, j)];
          if (Math.abs(ij) <= 1e-15 * Math.sqrt(ii * jj) || ij === 0) continue;
          turned = true;
          const zeta = (jj - ii) / (2 * ij);
          const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
          const c = 1 / Math.hypot(1, t);
          for (const row of a) [row[i], row[j]] = [c * (row[i] - t * row[j]), c * (row[j] + t * row[i])];
        }
      if (!turned) break;
    }
    return Array.from({ length: n }, (_, i) => Math.sqrt(product(i, i))).sort((x, y) => y - x);
  };

  playground.define("masks", {
    title: "Move the length and the window: what a mask alone does to attention",
    size: [640, 300],
    controls: (data) => [
      { id: "n", kind: "range", label: "Interactions n", min: 2, max: 24, step: 1, value: 12 },
      { id: "w", kind: "range", label: "Window w", min: 1, max: 24, step: 1, value: 24, limit: ({ n }) => n },
      {
        id: "kind",
        kind: "select",
        label: "Mask",
        options: [
          ["causal", "causal: the past and itself"],
          ["bidirectional", "bidirectional: both ways"],
        ],
        value: "bidirectional",
      },
      ...(data
        ? [
            {
              id: "weights",
              kind: "select",
              label: "Weights",
              options: [
                ["even", "even: nothing learned"],
                ...data.causal.map((_, i) => [String(i), `a trained model, layer ${i + 1}`]),
              ],
              value: "even",
            },
          ]
        : []),
    ],
    compute: ({ n, w, kind, weights = "even" }, data) => {
      const positions = Array.from({ length: n }, (_, i) => i);
      const trained = weights !== "even" && data[kind][Number(weights)];
      const map = positions.map((q) => {
        const row = positions.map((k) => (SEES[kind](q, k, w) ? (trained ? trained[q][k] : 1) : 0));
        const seen = playground.sum(row);
        return row.map((x) => x / seen);
      });
      const entries = map.flat();
      const l1 = playground.sum(entries);
      const l2 = Math.sqrt(playground.sum(entries.map((x) => x * x)));
      const sparsity = l1 / entries.length / l2;
      const values = singularValues(map);
      const rank = values.filter((s) => s > 1e-9 * values[0]).length;
      return {
        map,
        values,
        sentence:
          `${trained ? "After training" : "With nothing learned"}, ` +
          `this mask gives a map of rank ${rank} of ${n} ` +
          `and evenness S = ${sparsity.toFixed(3)} (smaller is sparser).`,
        table: {
          head: ["n", "window", "rank", "S", "largest singular value", "second"],
          digits: [0, 0, 0, 3, 3, 3],
          rows: [[String(n), w, rank, sparsity, values[0], values[1]]],
        },
      };
    },
    draw: (picture, { map, values }, { n }) => {
      const { svg, scale, axis, colours } = playground;
      const cell = 230 / n;
      svg(picture, "text", { x: 145, y: 14, "text-anchor": "middle" }, "key");
      svg(picture, "text", { x: 16, y: 140, transform: "rotate(-90 16 140)", "text-anchor": "middle" }, "query");
      map.forEach((row, q) =>
        row.forEach((weight, k) =>
          svg(picture, "rect", {
            x: 30 + k * cell,
            y: 22 + q * cell,
            width: cell - 0.5,
            height: cell - 0.5,
            fill: playground.pale(colours.blue, 0.06 + 0.94 * Math.sqrt(weight)),
          }),
        ),
      );
      const place = scale(0, Math.max(1, values[0]), 252, 22);
      axis(picture, place, { x: 340, label: "", at: [0, 0] });
      svg(picture, "line", { x1: 340, x2: 630, y1: 252, y2: 252, class: "axis" });
      const step = 285 / n;
      values.forEach((s, i) =>
        svg(picture, "rect", {
          x: 344 + i * step,
          y: place(s),
          width: Math.max(2, step - 2),
          height: 252 - place(s),
          fill: colours.vermilion,
        }),
      );
      svg(picture, "text", { x: 485, y: 276, "text-anchor": "middle" }, "singular values");
    },
  });
})();
