// Folds every table of more than twelve rows, and gives it a filter and heads that sort it.
(() => {
  const SHOWN = 12;

  // A label that spans rows is repeated, so that each row can stand by itself.
  const unspan = (body) => {
    [...body.rows].forEach((row, i) => {
      [...row.cells].forEach((cell) => {
        const n = cell.rowSpan;
        if (n < 2) return;
        cell.rowSpan = 1;
        for (let k = 1; k < n; k++) {
          const below = body.rows[i + k];
          const copy = cell.cloneNode(true);
          copy.removeAttribute("id");
          below.insertBefore(copy, below.cells[cell.cellIndex] || null);
        }
      });
    });
  };

  // Numbers first, then words; what is missing stays last in either direction.
  const key = (cell) => {
    const text = cell.textContent.trim();
    const number = /^[+\-−]?[\d,]*\.?\d+(e[+\-]?\d+)?/i.exec(text);
    if (number) return [0, Number(number[0].replace("−", "-").replaceAll(",", ""))];
    return /^[–-]?$/.test(text) ? [2, ""] : [1, text.toLowerCase()];
  };

  const bar = (table) => {
    const element = document.createElement("div");
    element.className = "long-table-bar";
    element.innerHTML =
      '<label>Filter <input type="search"></label>' +
      '<button type="button" aria-expanded="false"></button><span role="status"></span>';
    const place = table.closest(".pst-scrollable-table-container") || table;
    place.before(element);
    return element;
  };

  const heads = (table) => {
    const found = new Map(); // the last cell with a name, for each column
    const taken = [];
    [...table.tHead.rows].forEach((row, r) => {
      let column = 0;
      [...row.cells].forEach((cell) => {
        while (taken[r]?.[column]) column++;
        for (let k = 0; k < cell.rowSpan; k++)
          for (let c = 0; c < cell.colSpan; c++)
            (taken[r + k] ||= [])[column + c] = true;
        const named = cell.textContent.trim() && !cell.querySelector("button, a");
        if (cell.colSpan === 1 && named) found.set(column, cell);
        column += cell.colSpan;
      });
    });
    return found;
  };

  const sortable = (table, body, arrange) => {
    const all = heads(table);
    for (const [column, head] of all) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.replaceChildren(button);
      head.scope = "col";
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of all.values()) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        arrange((a, b) => {
          const [[i, x], [j, y]] = [key(a.cells[column]), key(b.cells[column])];
          return i - j || (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
        });
      });
    }
  };

  const long = (table) => {
    const body = table.tBodies[0];
    if (!body || !table.tHead || body.rows.length <= SHOWN) return;
    unspan(body);
    let rows = [...body.rows];
    const controls = bar(table);
    const [field, button, status] = ["input", "button", "span"].map((tag) =>
      controls.querySelector(tag),
    );
    let open = false;
    const show = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (row) => words.every((w) => row.textContent.toLowerCase().includes(w));
      const found = rows.filter(fits);
      const seen = new Set(open ? found : found.slice(0, SHOWN));
      rows.forEach((row) => row.classList.toggle("folded", !seen.has(row)));
      button.textContent = open ? `Show ${SHOWN} rows` : `Show all ${found.length} rows`;
      button.hidden = found.length <= SHOWN;
      button.setAttribute("aria-expanded", open);
      status.textContent = `${seen.size} of ${rows.length} rows`;
    };
    field.addEventListener("input", show);
    button.addEventListener("click", () => {
      open = !open;
      show();
    });
    sortable(table, body, (order) => {
      rows = rows.sort(order);
      body.append(...rows);
      show();
    });
    show();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const tables = document.querySelectorAll(".bd-article table:is(.dataframe, .table)");
    for (const table of tables) if (!table.closest(".playground")) long(table);
  });
})();
