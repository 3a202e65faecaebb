// Two sources of chance, seeds and users: three ways to resample, three intervals.
(() => {
  const SEEDS = 5;
  const USERS = 40;
  const WAYS = ["users", "seeds", "both"];
  const TIMES = 200;
  const mean = (x) => playground.sum(x) / x.length;
  const width = ([low, high]) => high - low;

  // d[s][u] = effect + user + seed + rest: a seed moves all users of its row together.
  const grid = (values) => {
    const random = playground.random(values.world);
    const of_user = Array.from({ length: USERS }, () => values.user_sd * random.normal());
    const of_seed = Array.from({ length: SEEDS }, () => values.seed_sd * random.normal());
    return of_seed.map((s) => of_user.map((u) => values.effect + u + s + random.normal()));
  };

  const resampled = {
    users: (d, random) => {
      const chosen = Array.from({ length: USERS }, () => random.below(USERS));
      return mean(d.map((row) => mean(chosen.map((u) => row[u]))));
    },
    seeds: (d, random) =>
      mean(Array.from({ length: SEEDS }, () => mean(d[random.below(SEEDS)]))),
    both: (d, random) => {
      const chosen = Array.from({ length: USERS }, () => random.below(USERS));
      return mean(
        Array.from({ length: SEEDS }, () => {
          const row = d[random.below(SEEDS)];
          return mean(chosen.map((u) => row[u]));
        }),
      );
    },
  };

  // The same draws every time, so that nothing but what a reader moved makes a difference.
  const intervalOf = (way, d, times) => {
    const random = playground.random(7);
    const means = Array.from({ length: times }, () => resampled[way](d, random));
    return [playground.quantile(means, 0.025), playground.quantile(means, 0.975)];
  };

  // A slider passes many places on its way: the intervals before are those before its first step.
  const remember = (memory, moved) => {
    memory.times ||= Object.fromEntries(WAYS.map((way) => [way, TIMES]));
    if (!moved) return; // a screen was turned
    if (WAYS.includes(moved)) memory.times[moved] += TIMES;
    else if (moved !== memory.moved) memory.before = memory.intervals;
    memory.moved = moved;
  };

  const told = (way, [low, high], before) => {
    const zero = low > 0 || high < 0 ? "without zero" : "with zero in it";
    const wider = before ? `, ${((high - low) / width(before)).toFixed(1)} times as wide as before` : "";
    return `${way}: [${low.toFixed(2)}, ${high.toFixed(2)}], ${zero}${wider}`;
  };

  playground.define("samples", {
    title: "Seeds and users: resample one, the other, or both",
    size: [640, 300],
    controls: [
      { id: "effect", kind: "range", label: "True effect", min: 0, max: 2, step: 0.1, value: 0.5 },
      { id: "user_sd", kind: "range", label: "Spread of users", min: 0, max: 3, step: 0.1, value: 1 },
      { id: "seed_sd", kind: "range", label: "Spread of seeds", min: 0, max: 2, step: 0.1, value: 0.5 },
      { id: "world", kind: "range", label: "Another sample", min: 1, max: 50, step: 1, value: 1 },
      ...WAYS.map((way) => ({ id: way, kind: "button", label: `Resample ${way} ${TIMES} times more` })),
    ],
    compute: (values, _, memory, moved) => {
      const d = grid(values);
      remember(memory, moved);
      const { times, before } = memory;
      const intervals = Object.fromEntries(WAYS.map((way) => [way, intervalOf(way, d, times[way])]));
      memory.intervals = intervals;
      const centre = mean(d.map(mean));
      const all = WAYS.map((way) => told(way, intervals[way], before?.[way]));
      return {
        d,
        intervals,
        before,
        centre,
        sentence: `The mean difference is ${centre.toFixed(2)}. 95 % intervals. ${all.join("; ")}.`,
        table: {
          head: ["resampled", "times", "from", "to", ...(before ? ["width before"] : []), "width"],
          rows: WAYS.map((way) => [
            way,
            String(times[way]),
            ...intervals[way],
            ...(before ? [width(before[way])] : []),
            width(intervals[way]),
          ]),
        },
      };
    },
    draw: (picture, { d, intervals, before, centre }, values) => {
      const { svg, scale, axis, colours } = playground;
      const largest = Math.max(...d.flat().map(Math.abs));
      d.forEach((row, s) => {
        svg(picture, "text", { x: 62, y: 30 + 20 * s, "text-anchor": "end" }, `seed ${s + 1}`);
        row.forEach((x, u) =>
          svg(picture, "rect", {
            x: 70 + 14 * u,
            y: 16 + 20 * s,
            width: 13,
            height: 18,
            fill: playground.pale(x > 0 ? colours.blue : colours.vermilion, 0.08 + (0.92 * Math.abs(x)) / largest),
          }),
        );
      });
      svg(picture, "text", { x: 350, y: 134, "text-anchor": "middle" }, "users; blue is a gain, orange a loss");
      const place = scale(-3.75, 6.75, 80, 620); // where the intervals of all samples end
      axis(picture, place, { y: 256, label: "mean difference", at: [350, 292] });
      svg(picture, "line", { x1: 80, x2: 620, y1: 256, y2: 256, class: "axis" });
      svg(picture, "line", { x1: place(0), x2: place(0), y1: 148, y2: 256, class: "axis" });
      const truth = { x1: place(values.effect), x2: place(values.effect), y1: 148, y2: 256 };
      svg(picture, "line", { ...truth, stroke: colours.green, "stroke-dasharray": "5 4" });
      if (before) svg(picture, "text", { x: 632, y: 156, "text-anchor": "end" }, "pale: before");
      WAYS.forEach((way, i) => {
        const y = 168 + 32 * i;
        svg(picture, "text", { x: 62, y: y + 5, "text-anchor": "end" }, way);
        svg(picture, "circle", { cx: place(centre), cy: y, r: 4, fill: colours.blue });
        const line = ([low, high], at, style) =>
          svg(picture, "line", { x1: place(low), x2: place(high), y1: at, y2: at, ...style });
        line(intervals[way], y, { stroke: colours.blue, "stroke-width": 4 });
        if (before) line(before[way], y + 9, { stroke: playground.pale(colours.blue, 0.45), "stroke-width": 3 });
      });
    },
  });
})();
