// The hand example of "The problem": how many bits five ratings carry, by their shares.
(() => {
  const STARS = [1, 2, 3, 4, 5];
  const START = [5, 10, 25, 35, 25];

  playground.define("entropy", {
    title: "Share out the stars: how many bits does a rating carry?",
    size: [640, 270],
    controls: STARS.map((star, i) => ({
      id: `stars_${star}`,
      kind: "range",
      label: `Ratings of ${star} ${star === 1 ? "star" : "stars"}`,
      min: 0,
      max: 100,
      step: 1,
      value: START[i],
    })),
    compute: (values) => {
      const counts = STARS.map((star) => values[`stars_${star}`]);
      const total = playground.sum(counts);
      const shares = counts.map((n) => (total ? n / total : 0));
      const bits = shares.map((p) => (p ? p * Math.log2(1 / p) : 0));
      const entropy = playground.sum(bits);
      return {
        shares,
        bits,
        sentence: total
          ? `A rating carries ${entropy.toFixed(2)} bits, of ${Math.log2(5).toFixed(2)} at most.`
          : "No ratings, nothing to tell.",
        table: {
          head: ["stars", "share", "bits"],
          rows: [...STARS.map((s, i) => [String(s), shares[i], bits[i]]), ["all", playground.sum(shares), entropy]],
        },
      };
    },
    draw: (picture, { shares, bits }) => {
      const { svg, scale, axis, colours } = playground;
      const panels = [
        { values: shares, left: 60, top: 1, label: "share of ratings", fill: colours.blue },
        { values: bits, left: 380, top: 0.6, label: "bits, share × log₂(1 / share)", fill: colours.orange },
      ];
      for (const { values, left, top, label, fill } of panels) {
        const y = scale(0, top, 210, 20);
        axis(picture, y, { x: left, label: "", at: [0, 0] });
        svg(picture, "line", { x1: left, x2: left + 230, y1: 210, y2: 210, class: "axis" });
        values.forEach((value, i) => {
          const x = left + 10 + 44 * i;
          svg(picture, "rect", { x, width: 34, y: y(value), height: 210 - y(value), fill });
          svg(picture, "text", { x: x + 17, y: 228, "text-anchor": "middle" }, `${STARS[i]} ★`);
          svg(picture, "text", { x: x + 17, y: y(value) - 4, "text-anchor": "middle" }, value.toFixed(2));
        });
        svg(picture, "text", { x: left + 115, y: 256, "text-anchor": "middle" }, label);
      }
    },
  });
})();
