// Tables

// A click on a heading sorts its column, a second click the other way round; numbers as numbers, gaps always last.
function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const upwards = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", upwards ? "ascending" : "descending");
      sortRows(table.tBodies[0], column, upwards ? 1 : -1);
    });
  });
}

function sortRows(body, column, direction) {
  const rows = [...body.rows], numeric = rows.some((row) => "value" in row.cells[column].dataset);
  const key = (row) => {
    const cell = row.cells[column];
    if (numeric) return "value" in cell.dataset ? Number(cell.dataset.value) : null;
    const text = cell.textContent.trim();
    return text === "–" || text === "" ? null : text;
  };
  const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const keyed = rows.map((row) => [key(row), row]);
  keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : direction * compare(a, b)));
  body.append(...keyed.map(([, row]) => row));
}
