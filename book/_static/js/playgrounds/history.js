// A trained model in the browser: its attention and its list, with lambda under the reader's hand.
// Its log is generated, with an intensity that tells what comes (tools/playground_data.py).
(() => {
  const { sum, injections, log1pMinmax } = playground;

  const erf = (x) => {
    if (Math.abs(x) > 4) return Math.sign(x);
    let term = x;
    let total = x;
    for (let n = 1; n < 80; n++) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  };
  const gelu = (x) => (x * (1 + erf(x / Math.SQRT2))) / 2;
  const linear = (x, weight, bias) => weight.map((row, i) => sum(row.map((w, j) => w * x[j])) + bias[i]);
  const layerNorm = (x, weight, bias) => {
    const mean = sum(x) / x.length;
    const variance = sum(x.map((v) => (v - mean) ** 2)) / x.length;
    return x.map((v, i) => ((v - mean) / Math.sqrt(variance + 1e-12)) * weight[i] + bias[i]);
  };
  const attention = (xs, block, variant, intensity, lam, heads) => {
    const width = xs[0].length;
    const size = width / heads;
    const qkv = xs.map((x) => linear(x, block.qkv.weight, block.qkv.bias));
    const part = (row, which, head) => row.slice(which * width + head * size, which * width + (head + 1) * size);
    const maps = Array.from({ length: heads }, (_, head) =>
      qkv.map((row, q) => {
        const query = part(row, 0, head);
        const logits = qkv.slice(0, q + 1).map((other) => {
          const key = part(other, 1, head);
          return sum(query.map((x, j) => x * key[j])) / Math.sqrt(size);
        });
        return injections[variant](logits, log1pMinmax(intensity.slice(0, q + 1)), lam);
      }),
    );
    const context = xs.map((_, q) =>
      maps.flatMap((map, head) =>
        Array.from({ length: size }, (_, j) => sum(map[q].map((a, k) => a * part(qkv[k], 2, head)[j]))),
      ),
    );
    return { maps, out: context.map((c) => linear(c, block.output.weight, block.output.bias)) };
  };

  const run = (model, variant, user, factor) => {
    let xs = user.items.map((item, t) =>
      layerNorm(
        model.items[item].map((x, j) => x + model.positions[t][j]),
        model.norm.weight,
        model.norm.bias,
      ),
    );
    const maps = [];
    for (const block of model.blocks) {
      const lam = factor * block.lambda;
      const { maps: own, out } = attention(xs, block, variant, user.intensity, lam, model.heads);
      maps.push(own);
      const attended = xs.map((x, t) =>
        layerNorm(x.map((v, j) => v + out[t][j]), block.attention_norm.weight, block.attention_norm.bias),
      );
      xs = attended.map((x) => {
        const inner = linear(x, block.inner.weight, block.inner.bias).map(gelu);
        const outer = linear(inner, block.outer.weight, block.outer.bias);
        return layerNorm(x.map((v, j) => v + outer[j]), block.norm.weight, block.norm.bias);
      });
    }
    const last = xs.at(-1);
    const scores = model.items.map((e, i) => ({ item: i, score: sum(e.map((x, j) => x * last[j])) }));
    return { maps, scores: scores.slice(1).sort((a, b) => b.score - a.score) };
  };

  const LISTED = 10;
  const rankOf = (item, scores) => 1 + scores.findIndex((s) => s.item === item);

  // Users whose next item a model lists as it was trained, or all where these are fewer than two.
  const listed = {};
  const usersOf = ({ variant }, { users, models }) => {
    const all = users.map((_, i) => String(i));
    const lists = (user) => rankOf(user.next, run(models[variant], variant, user, 1).scores) <= LISTED;
    listed[variant] ||= all.filter((i) => lists(users[i]));
    return listed[variant].length < 2 ? all : listed[variant];
  };

  playground.define("history", {
    title: "One user of a generated log: a trained model's attention, and its list",
    size: [640, 360],
    controls: (data) => [
      { id: "variant", kind: "select", label: "Model", options: Object.keys(injections).map((x) => [x]), value: "Add" },
      {
        id: "user",
        kind: "select",
        label: "User",
        options: data.users.map((u, i) => [String(i), `user ${u.name}`]),
        limit: usersOf,
        value: "0",
      },
      {
        id: "part",
        kind: "select",
        label: "Attention of",
        options: data.models.Add.blocks.flatMap((_, l) =>
          Array.from({ length: data.models.Add.heads }, (_, h) => [`${l},${h}`, `layer ${l + 1}, head ${h + 1}`]),
        ),
        value: "0,0",
      },
      {
        id: "query",
        kind: "select",
        label: "Read from",
        options: [["last", "the last item"], ...data.users[0].items.slice(0, -1).map((_, q) => [String(q), `item at place ${q + 1}`])],
        value: "last",
      },
      {
        id: "factor",
        kind: "range",
        label: "λ, times the trained",
        min: -1,
        max: 3,
        step: 0.05,
        value: 1,
        format: (x) => x.toFixed(2),
      },
    ],
    compute: (values, data) => {
      const user = data.users[values.user];
      const model = data.models[values.variant];
      const found = run(model, values.variant, user, values.factor);
      const trained = run(model, values.variant, user, 1);
      const [now, before] = [found, trained].map(({ scores }) => rankOf(user.next, scores));
      const shown = found.scores.slice(0, LISTED);
      const moved = shown.filter((s) => !trained.scores.slice(0, LISTED).some((t) => t.item === s.item));
      const [layer, head] = values.part.split(",").map(Number);
      const lambdas = model.blocks.map((b) => (values.factor * b.lambda).toFixed(2)).join(" and ");
      const map = found.maps[layer][head];
      const query = values.query === "last" ? map.length - 1 : Math.min(Number(values.query), map.length - 1);
      return {
        map,
        query,
        user,
        sentence:
          `λ is ${lambdas} in the two layers. The next item, ${user.next}, is at rank ${now}` +
          `${now > LISTED ? ", outside the first ten" : ""} (as trained: ${before}); ` +
          `${moved.length} of the ten are new. As trained, ${values.variant} has the next item of ` +
          `${model.inside} users among its ten; for ${model.leave} of them λ can move it out on this slider.`,
        table: {
          head: ["rank", "item", "score", "was at rank"],
          digits: [0, 0, 4, 0],
          rows: shown.map((s, i) => [
            String(i + 1),
            `${s.item}${s.item === user.next ? " (next)" : ""}`,
            s.score,
            String(rankOf(s.item, trained.scores)),
          ]),
        },
        more: [
          {
            caption: `What item ${user.items[query]}, at place ${query + 1}, reads`,
            head: ["place", "item", "minutes", "weight"],
            rows: map[query].map((weight, k) => [String(k + 1), String(user.items[k]), String(user.intensity[k]), weight]),
          },
        ],
      };
    },
    draw: (picture, { map, query, user }) => {
      const { svg, colours } = playground;
      const n = user.items.length;
      const cell = Math.min(24, 250 / n);
      const left = 108;
      const largest = Math.max(...map.flat().map(Math.abs));
      map.forEach((row, q) => {
        svg(picture, "text", { x: left - 6, y: 16 + (q + 0.7) * cell, "text-anchor": "end", class: "small" }, `item ${user.items[q]}`);
        row.forEach((weight, k) => {
          const fill = playground.pale(
            weight < 0 ? colours.vermilion : colours.blue,
            0.05 + (0.95 * Math.abs(weight)) / largest,
          );
          const place = { x: left + k * cell, y: 16 + q * cell, width: cell - 0.5, height: cell - 0.5 };
          const box = svg(picture, "rect", { ...place, fill });
          svg(box, "title", {}, `item ${user.items[q]} reads item ${user.items[k]}: ${weight.toFixed(3)}`);
        });
      });
      const frame = { x: left, y: 16 + query * cell, width: (query + 1) * cell, height: cell - 0.5 };
      svg(picture, "rect", { ...frame, fill: "none", stroke: colours.orange, "stroke-width": 2 });
      const bottom = 16 + n * cell;
      const most = Math.max(...user.intensity.map(Math.log1p));
      user.intensity.forEach((w, k) => {
        const height = (50 * Math.log1p(w)) / most;
        const bar = svg(picture, "rect", { x: left + k * cell, y: bottom + 60 - height, width: cell - 1, height, fill: colours.orange });
        svg(bar, "title", {}, `item ${user.items[k]}: ${w} minutes`);
      });
      svg(picture, "text", { x: left - 6, y: bottom + 45, "text-anchor": "end", class: "small" }, "log min.");
      svg(picture, "text", { x: left + (n * cell) / 2, y: bottom + 78, "text-anchor": "middle" }, "the history, oldest first");
      const right = left + n * cell + 40;
      const room = 620 - right;
      svg(picture, "text", { x: right, y: 12 }, `what item ${user.items[query]} reads`);
      map[query].forEach((weight, k) => {
        const y = 16 + k * cell;
        svg(picture, "rect", { x: right, y, width: Math.max(0.5, (room * Math.abs(weight)) / Math.max(1, largest)), height: cell - 2, fill: weight < 0 ? colours.vermilion : colours.blue });
      });
    },
  });
})();
