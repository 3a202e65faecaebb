// How often each rule says "robust", over many simulated studies, by the true effect.
(() => {
  const STUDIES = 400;
  const EFFECTS = Array.from({ length: 21 }, (_, i) => i / 100);
  const RULES = ["t-test alone", "pooled users alone", "published rule", "clustered rule"];
  const Z = 1.96;
  // Two-sided 5 % points of Student's t, from one degree of freedom on.
  const T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

  // What chance adds to each seed's mean difference, for every study: users' part is common to all
  // seeds of a study.
  const chances = ({ seeds, users, user_sd, seed_sd }) => {
    const random = playground.random(1);
    return Array.from({ length: STUDIES }, () => {
      const of_users = (user_sd / Math.sqrt(users)) * random.normal();
      return Array.from(
        { length: 10 },
        () => of_users + seed_sd * random.normal() + random.normal() / Math.sqrt(users),
      ).slice(0, seeds);
    });
  };

  // The verdicts on one study, from its seeds' means; bootstraps as normal intervals.
  const judge = (means, { users, user_sd }) => {
    const n = means.length;
    const centre = playground.sum(means) / n;
    const spread = Math.sqrt(playground.sum(means.map((x) => (x - centre) ** 2)) / (n - 1));
    const side = Math.sign(centre);
    const t = Math.abs(centre) > (T[n - 2] * spread) / Math.sqrt(n);
    const beyond = (se) => Math.abs(centre) > Z * se;
    const pooled = beyond(Math.sqrt((user_sd ** 2 + 1) / (n * users)));
    const clustered = beyond(Math.sqrt(user_sd ** 2 / users + 1 / (n * users)));
    const alone = Z * Math.sqrt((user_sd ** 2 + 1) / users);
    const stable = means.filter((x) => x * side > alone).length > n / 2;
    return [t, pooled, t && pooled && stable, t && clustered && stable];
  };

  playground.define("power", {
    title: "Turn up the true effect: how often each rule finds it",
    size: [640, 300],
    controls: [
      { id: "effect", kind: "range", label: "True effect, in SDs", min: 0, max: 0.2, step: 0.01, value: 0.1 },
      { id: "seeds", kind: "range", label: "Seeds", min: 2, max: 10, step: 1, value: 5 },
      { id: "users", kind: "range", label: "Users", min: 100, max: 6000, step: 100, value: 1000 },
      { id: "user_sd", kind: "range", label: "Spread of users", min: 0, max: 2, step: 0.1, value: 0.5 },
      { id: "seed_sd", kind: "range", label: "Spread of seeds", min: 0, max: 0.2, step: 0.01, value: 0.03 },
    ],
    compute: (values) => {
      const all = chances(values);
      const rates = EFFECTS.map((effect) => {
        const verdicts = all.map((study) => judge(study.map((x) => x + effect), values));
        return RULES.map((_, r) => verdicts.filter((v) => v[r]).length / STUDIES);
      });
      const at = rates[Math.round(100 * values.effect)];
      const percent = (x) => `${Math.round(100 * x)} %`;
      return {
        rates,
        sentence:
          `With a true effect of ${values.effect.toFixed(2)}, the published rule says robust in ` +
          `${percent(at[2])} of ${STUDIES} studies, the clustered one in ${percent(at[3])}; ` +
          `without an effect, in ${percent(rates[0][2])} and ${percent(rates[0][3])}. Effect and spreads are in ` +
          "standard deviations (SDs) of one user's difference under one seed, beyond what user and seed explain.",
        table: {
          head: ["rule", "at this effect, %", "without an effect, %"],
          digits: 1,
          rows: RULES.map((rule, r) => [rule, 100 * at[r], 100 * rates[0][r]]),
        },
      };
    },
    draw: (picture, { rates }, { effect }) => {
      const { svg, scale, axis, colours } = playground;
      const x = scale(0, 0.2, 68, 410);
      const y = scale(0, 1, 250, 16);
      axis(picture, x, { y: 250, label: "true effect, in SDs of what neither user nor seed explains", at: [262, 292] });
      axis(picture, y, { x: 68, label: "", at: [0, 0], format: (v) => `${Math.round(100 * v)} %` });
      svg(picture, "text", { x: 14, y: 133, transform: "rotate(-90 14 133)", "text-anchor": "middle" }, "studies that find it");
      svg(picture, "line", { x1: 68, x2: 410, y1: 250, y2: 250, class: "axis" });
      const dial = { x1: x(effect), x2: x(effect), y1: 16, y2: 250, stroke: colours.grey };
      svg(picture, "line", { ...dial, "stroke-dasharray": "5 4" });
      const strokes = [colours.grey, colours.orange, colours.vermilion, colours.blue];
      // The last one first: where two curves are one, the dashes of the upper show both.
      for (let r = strokes.length - 1; r >= 0; r--) {
        const stroke = strokes[r];
        const points = rates.map((rate, i) => `${x(EFFECTS[i])},${y(rate[r])}`).join(" ");
        const dashes = ["2 4", "6 3 2 3", "8 4", "none"][r];
        svg(picture, "polyline", { points, fill: "none", stroke, "stroke-width": 3, "stroke-dasharray": dashes });
        svg(picture, "line", {
          x1: 424, x2: 454, y1: 40 + 26 * r, y2: 40 + 26 * r, stroke, "stroke-width": 3, "stroke-dasharray": dashes,
        });
        svg(picture, "text", { x: 460, y: 45 + 26 * r }, RULES[r]);
      }
    },
  });
})();
