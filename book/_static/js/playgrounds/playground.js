// Figures that answer when touched: no server, no kernel, no library, also from a file: address.
//
// A page holds <div class="playground" data-playground="NAME"></div>; NAME.js beside this file calls
// playground.define("NAME", {...}) with
//   controls  what a reader moves: {id, kind: "range" | "select" | "button", label, ...}; with
//             limit(values, data), the others decide on a range's largest or a select's options
//   compute   (values, data, memory, moved) -> result; `result.sentence`, `result.table` and the
//             tables of `result.more` are shown
//   draw      (picture, result, values): fills an empty SVG of `size`
// `values` are the controls', and `values.narrow`, whether the screen is narrow; `size` may be a
// function of that.
// Data, if any, are what NAME.data.js puts into window.playgroundData.NAME.
const playground = (() => {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const defined = {};
  const NS = "http://www.w3.org/2000/svg";
  const narrow = window.matchMedia("(max-width: 700px)"); // as in playground.css

  const html = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const svg = (parent, tag, attributes = {}, text = "") => {
    const element = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    parent.append(element);
    return element;
  };

  const load = (file) =>
    new Promise((done, failed) => {
      const script = html("script", { src: folder + file });
      script.onload = done;
      script.onerror = () => failed(new Error(`${file} is missing`));
      document.head.append(script);
    });

  // Maps numbers to places, with ticks at round steps.
  const scale = (low, high, from, to) => {
    const place = (value) => from + ((value - low) / (high - low)) * (to - from);
    const raw = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    place.ticks = [];
    for (let t = Math.ceil(low / step - 1e-9); t * step <= high + 1e-9 * step; t++)
      place.ticks.push(Number((t * step).toPrecision(12)));
    return place;
  };

  const axis = (picture, place, { y, x, label, at, format = String }) => {
    for (const tick of place.ticks) {
      const p = place(tick);
      if (y !== undefined) {
        svg(picture, "line", { x1: p, x2: p, y1: y, y2: y + 4, class: "axis" });
        svg(picture, "text", { x: p, y: y + 17, "text-anchor": "middle" }, format(tick));
      } else {
        svg(picture, "line", { x1: x - 4, x2: x, y1: p, y2: p, class: "axis" });
        svg(picture, "text", { x: x - 7, y: p + 4, "text-anchor": "end" }, format(tick));
      }
    }
    svg(picture, "text", { x: at[0], y: at[1], "text-anchor": "middle" }, label);
  };

  // The same draws on every machine: mulberry32, and Box and Muller's normal numbers.
  const random = (seed) => {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const normal = () =>
      Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal, below: (n) => Math.floor(uniform() * n) };
  };

  // A colour mixed with white: opacity would mix it with the page, which may be dark.
  const pale = (colour, strength) => {
    const parts = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    const mixed = parts.map((c) => Math.round(255 + (c - 255) * strength));
    return `#${mixed.map((c) => c.toString(16).padStart(2, "0")).join("")}`;
  };

  const sum = (values) => values.reduce((a, b) => a + b, 0);

  const softmax = (logits) => {
    const largest = Math.max(...logits);
    const powers = logits.map((x) => Math.exp(x - largest));
    const total = sum(powers);
    return powers.map((p) => p / total);
  };

  // Weights of a query's keys from similarities s and normalised intensities m, [IA] (2) to (4).
  const injections = {
    Add: (s, m, lam) => softmax(s.map((x, k) => x + lam * m[k])),
    Mul: (s, m, lam) => softmax(s.map((x, k) => x * (1 + lam * (m[k] - 1)))),
    Val: (s, m, lam) => softmax(s).map((a, k) => a * (1 + lam * (m[k] - 1))),
  };

  // log(1 + w) over the largest; a history of zeros has none.
  const log1pMinmax = (w) => {
    const largest = Math.max(...w.map(Math.log1p));
    return w.map((x) => (largest ? Math.log1p(x) / largest : 0));
  };

  // The options of a select over the values that rows of data have.
  const valuesOf = (rows, key) => [["all"], ...[...new Set(rows.flatMap((r) => r[key]))].sort().map((x) => [x])];

  const quantile = (values, p) => {
    const sorted = [...values].sort((a, b) => a - b);
    const place = p * (sorted.length - 1);
    const low = Math.floor(place);
    const high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
  };

  const rangeControl = (control, changed) => {
    const input = html("input", { type: "range" });
    for (const key of ["min", "max", "step"]) input.setAttribute(key, control[key]);
    const format = control.format || String;
    const output = html("output", { "aria-live": "off" }); // the sentence speaks
    let wanted; // what was asked for comes back when a limit rises again
    const show = () => {
      output.textContent = format(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const set = (value) => {
      input.value = wanted = value;
      show();
    };
    input.addEventListener("input", () => (set(input.value), changed()));
    return {
      row: html("label", {}, html("span", {}, control.label), input, output),
      get: () => Number(input.value),
      set,
      limit: (max) => ((input.max = max), set(wanted)),
      input,
    };
  };

  const selectControl = (control, changed) => {
    const input = html("select");
    const options = control.options.map(([value, text]) => html("option", { value }, text || value));
    input.append(...options);
    let wanted;
    const set = (value) => (input.value = wanted = value);
    const limit = (values) => {
      const offered = options.filter((option) => values.includes(option.value));
      const same = offered.length === input.length && offered.every((option) => option.parentNode);
      if (!same) input.replaceChildren(...offered);
      input.value = values.includes(wanted) ? wanted : values[0];
    };
    input.addEventListener("change", () => (set(input.value), changed()));
    return {
      row: html("label", {}, html("span", {}, control.label), input),
      get: () => input.value,
      set,
      limit,
      input,
    };
  };

  const buttonControl = (control, changed) => {
    const input = html("button", { type: "button" }, control.label);
    let presses = 0;
    input.addEventListener("click", () => {
      presses += 1;
      changed();
    });
    return { row: input, get: () => presses, set: (value) => (presses = value), input };
  };

  const KINDS = { range: rangeControl, select: selectControl, button: buttonControl };

  const show = (table) => {
    const head = html("tr", {}, ...table.head.map((text) => html("th", { scope: "col" }, text)));
    const rows = table.rows.map((row) =>
      html(
        "tr",
        {},
        ...row.map((cell, column) => {
          if (typeof cell !== "number") return html(column ? "td" : "th", column ? {} : { scope: "row" }, cell);
          const digits = table.digits ?? 3; // one number, or one a column
          const shown = cell.toFixed(Array.isArray(digits) ? digits[column] : digits);
          return html("td", { "data-value": cell }, shown);
        }),
      ),
    );
    return [html("thead", {}, head), html("tbody", {}, ...rows)];
  };

  // A table in a frame that a keyboard can scroll.
  const framed = (root) => {
    const table = html("table", { class: "playground-values" });
    const frame = html("div", { class: "playground-table", tabindex: "0", role: "region" }, table);
    root.append(frame);
    return {
      fill: (content) => {
        frame.hidden = !content.rows.length;
        frame.setAttribute("aria-label", content.caption || "The numbers in the figure");
        const caption = content.caption ? [html("caption", {}, content.caption)] : [];
        table.replaceChildren(...caption, ...show(content));
      },
    };
  };

  const start = (root, definition) => {
    const data = (window.playgroundData || {})[root.dataset.playground];
    const given = definition.controls;
    const controls = given instanceof Function ? given(data) : given;
    const size = definition.size;
    const picture = document.createElementNS(NS, "svg");
    picture.setAttribute("role", "img");
    const sentence = html("p", { role: "status" });
    const frames = [];
    const bar = html("div", { class: "playground-controls" });
    const built = {};
    let memory = {};

    const update = (moved) => {
      const values = Object.fromEntries(Object.entries(built).map(([id, c]) => [id, c.get()]));
      values.narrow = narrow.matches;
      for (const { id, limit } of controls.filter((c) => c.limit)) {
        built[id].limit(limit(values, data));
        values[id] = built[id].get();
      }
      const result = definition.compute(values, data, memory, moved);
      const [width, height] = size instanceof Function ? size(values.narrow) : size;
      picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
      picture.replaceChildren();
      picture.setAttribute("aria-label", result.sentence);
      definition.draw(picture, result, values);
      sentence.textContent = result.sentence;
      [result.table, ...(result.more || [])].forEach((content, i) => {
        frames[i] ||= framed(root);
        frames[i].fill(content);
      });
    };
    const reset = () => {
      memory = {};
      for (const control of controls)
        built[control.id].set(control.kind === "button" ? 0 : control.value);
      update();
    };
    for (const control of controls) {
      const made = KINDS[control.kind](control, () => update(control.id));
      made.input.dataset.control = control.id;
      built[control.id] = made;
      bar.append(made.row);
    }
    const back = html("button", { type: "button", class: "playground-reset" }, "Reset");
    back.addEventListener("click", reset);
    bar.append(back);
    const title = html("p", { class: "playground-title" }, definition.title);
    root.replaceChildren(title, bar, picture, sentence);
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", definition.title);
    narrow.addEventListener("change", () => update());
    reset();
    root.dataset.ready = "true";
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const root of document.querySelectorAll("div.playground")) {
      const name = root.dataset.playground;
      const files = root.dataset.data === "yes" ? [`${name}.data.js`, `${name}.js`] : [`${name}.js`];
      files
        .reduce((before, file) => before.then(() => load(file)), Promise.resolve())
        .then(() => start(root, defined[name]))
        .catch((error) => {
          root.textContent = `This figure could not be loaded: ${error.message}.`;
          throw error;
        });
    }
  });

  return {
    define: (name, definition) => (defined[name] = definition),
    svg,
    scale,
    axis,
    random,
    pale,
    quantile,
    sum,
    softmax,
    injections,
    log1pMinmax,
    valuesOf,
    colours: {
      blue: "#0072B2",
      vermilion: "#D55E00",
      green: "#009E73",
      orange: "#E69F00",
      sky: "#56B4E9",
      grey: "#666666",
    },
  };
})();
