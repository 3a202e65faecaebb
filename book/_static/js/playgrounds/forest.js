// Comparisons of the studies as one plot: filter, sort, and read a line or the table.
(() => {
  const ALL = "all";
  const FIRST = "Replication"; // the study it opens with
  const LIMIT = 40; // percent; what goes on beyond is cut and has an arrow
  const ORDERS = {
    change: (a, b) => b.change - a.change,
    width: (a, b) => a.high - a.low - (b.high - b.low),
    name: (a, b) => (a.name < b.name ? -1 : 1),
  };
  // A narrow screen shows fewer lines, each below its name.
  const WIDE = { lines: 30, width: 820, height: 520, left: 440, right: 805, step: 24, room: 450 };
  const NARROW = { lines: 12, width: 420, height: 560, left: 16, right: 404, step: 41, room: 492 };
  const layout = (narrow) => (narrow ? NARROW : WIDE);
  const cut = (x) => Math.max(-LIMIT, Math.min(LIMIT, x));
  // A name has its first study at the end where another comparison has the same name.
  const told = (d) => {
    const studies = [d.study].flat();
    const own = ` (${studies[0]})`;
    const name = d.name.endsWith(own) ? d.name.slice(0, -own.length) : d.name;
    return `${name} (${studies.join(", ")})`;
  };

  playground.define("forest", {
    title: "Comparisons of NDCG@10: filter, sort, read",
    size: (narrow) => [layout(narrow).width, layout(narrow).height],
    controls: (data) => [
      ...["study", "dataset", "arm"].map((key) => ({
        id: key,
        kind: "select",
        label: key[0].toUpperCase() + key.slice(1),
        options: playground.valuesOf(data, key),
        value: key === "study" && data.some((d) => [d.study].flat().includes(FIRST)) ? FIRST : ALL,
      })),
      {
        id: "only",
        kind: "select",
        label: "Verdict",
        options: [[ALL], ["robust"], ["not robust"]],
        value: ALL,
      },
      { id: "order", kind: "select", label: "Sort by", options: Object.keys(ORDERS).map((x) => [x]), value: "change" },
      { id: "from", kind: "range", label: "Scroll", min: 0, max: 100, step: 1, value: 0, format: (x) => `${x} %` },
    ],
    compute: (values, data) => {
      const { lines } = layout(values.narrow);
      const kept = data
        .filter((d) => ["study", "dataset", "arm"].every((k) => [ALL, ...[d[k]].flat()].includes(values[k])))
        .filter((d) => values.only === ALL || d.robust === (values.only === "robust"))
        .sort(ORDERS[values.order]);
      const first = Math.round((values.from / 100) * Math.max(0, kept.length - lines));
      const robust = kept.filter((d) => d.robust);
      const gains = robust.filter((d) => d.change > 0).length;
      return {
        kept,
        shown: kept.slice(first, first + lines),
        sentence:
          `${kept.length} of ${data.length} comparisons; ${robust.length} robust, ` +
          `${gains} of them gains. Change of NDCG@10 in percent, 95 % intervals over users and seeds.` +
          `${kept.length > lines ? ` The picture shows lines ${first + 1} to ${first + lines} of these.` : ""}`,
        table: {
          head: ["comparison", "change, %", "from", "to", "seeds × users", "verdict"],
          digits: 1,
          rows: kept.map((d) => [
            values.narrow ? d.name : told(d),
            d.change,
            d.low,
            d.high,
            `${d.seeds} × ${d.users}`,
            d.robust ? "robust" : "not robust",
          ]),
        },
      };
    },
    draw: (picture, { kept, shown }, { narrow }) => {
      const { svg, scale, axis, colours } = playground;
      const { left, right, width, room, step: most } = layout(narrow);
      picture.classList.toggle("narrow", narrow);
      const ends = kept.flatMap((d) => [d.low, d.high]).map(cut);
      const place = scale(Math.min(-5, ...ends), Math.max(5, ...ends), left, right);
      const step = narrow ? most : Math.min(most, room / Math.max(1, shown.length));
      const bottom = 20 + step * shown.length;
      axis(picture, place, { y: bottom, label: "change of NDCG@10, %", at: [(left + right) / 2, bottom + 36] });
      svg(picture, "line", { x1: place(0), x2: place(0), y1: 10, y2: bottom, class: "axis" });
      // Points beyond an end of the plot: 1 to the right, -1 to the left.
      const arrow = (line, x, y, side, fill) =>
        svg(line, "path", { d: `M${x + 9 * side},${y}l${-9 * side},-5v10z`, fill, class: "clipped" });
      shown.forEach((d, i) => {
        const top = 20 + step * i;
        const y = narrow ? top + 26 : top + step / 2;
        const colour = d.robust ? (d.change > 0 ? colours.green : colours.vermilion) : colours.grey;
        const line = svg(picture, "g", { class: "forest-line" });
        svg(line, "title", {}, `${told(d)}: ${d.change.toFixed(1)} % [${d.low.toFixed(1)}, ${d.high.toFixed(1)}]`);
        svg(line, "rect", { x: 0, y: top, width, height: step, fill: "transparent" });
        const [low, high] = [d.low, d.high].map((x) => place(cut(x)));
        svg(line, "line", { x1: low, x2: high, y1: y, y2: y, stroke: colour, "stroke-width": 2 });
        if (d.low < -LIMIT) arrow(line, low, y, -1, colour);
        if (d.high > LIMIT) arrow(line, high, y, 1, colour);
        if (cut(d.change) === d.change) {
          const fill = d.robust ? colour : "var(--pst-color-background, #fff)"; // a ring is not robust
          svg(line, "circle", { cx: place(d.change), cy: y, r: 3.5, fill, stroke: colour, "stroke-width": 1.5 });
        }
        const at = narrow ? { x: 4, y: top + 13 } : { x: left - 12, y: y + 4, "text-anchor": "end" };
        if (!narrow && step <= 9) return;
        const name = svg(line, "text", { ...at, class: "small" }, d.name);
        const space = (narrow ? width : left - 12) - 4; // a longer name is set closer
        if (name.getComputedTextLength() > space) name.setAttribute("textLength", space);
        name.setAttribute("lengthAdjust", "spacingAndGlyphs");
      });
    },
  });
})();
