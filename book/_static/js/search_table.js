// Gives every table of class "searchable" a search field, and heads that sort it.
(() => {
  const searchable = (table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const texts = rows.map((row) =>
      [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase(),
    );

    const bar = document.createElement("div");
    bar.className = "search-bar";
    bar.innerHTML =
      '<label>Search <input type="search" placeholder="for example: office val ndcg matched">' +
      '</label><span role="status"></span>';
    const frame = document.createElement("div");
    frame.className = "searchable-frame";
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", "All comparisons");
    table.replaceWith(bar, frame);
    frame.append(table);

    const field = bar.querySelector("input");
    const count = bar.querySelector("span");
    const filter = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !words.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      count.textContent = `${shown} of ${rows.length} rows`;
    };
    field.addEventListener("input", filter);
    filter();

    // Numbers first, then words; an empty cell stays last in either direction.
    const key = (row, column) => {
      const text = row.cells[column].textContent;
      return text === "" || isNaN(text) ? text : Number(text);
    };
    const rank = (value) => (typeof value === "number" ? 0 : value ? 1 : 2);
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      head.scope = "col";
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const order = (a, b) => {
          const x = key(a, column);
          const y = key(b, column);
          return rank(x) - rank(y) || (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
        };
        body.append(...[...rows].sort(order));
      });
    });
  };

  document.addEventListener("DOMContentLoaded", () =>
    document.querySelectorAll("table.searchable").forEach(searchable),
  );
})();
