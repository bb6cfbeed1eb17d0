"use strict";
// Tables that change in place: what stays the same is not touched, so that a selection in it stays.

/**
 * Make the rows of a table's body the wanted ones: [{key, cells}, ...]. A cell has a text, and
 * perhaps a detail below it, a title, a tone, an href; `header` and `number` say what it is.
 */
function fill(body, wanted) {
  const kept = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const rows = wanted.map(({ key, cells }) => {
    const row = kept.get(key) ?? newRow(key);
    kept.delete(key);
    cells.forEach((cell, index) => write(row.cells[index] ?? row.appendChild(newCell(cell)), cell));
    return row;
  });
  const stay = new Set(rows);
  for (const row of [...body.rows]) if (!stay.has(row)) row.remove();
  let at = body.firstElementChild;
  for (const row of rows) {
    if (row === at) at = at.nextElementSibling;
    else body.insertBefore(row, at);
  }
}

/** Set a property, unless it is so already. */
function set(element, property, value) {
  if (element[property] !== value) element[property] = value;
}

function newRow(key) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  return row;
}

function newCell({ header, number, href, detail }) {
  const cell = document.createElement(header ? "th" : "td");
  if (header) cell.scope = "row";
  if (number) cell.className = "number";
  cell.append(document.createElement(href ? "a" : "span"));
  if (detail !== undefined) cell.append(document.createElement("small"));
  return cell;
}

// Publishers choose names and attributes: they are set as text, never as markup.
function write(cell, { text, detail, title = "", tone = "", href }) {
  const [main, below] = cell.children;
  set(main, "textContent", String(text));
  set(main, "className", tone);
  set(cell, "title", title);
  if (href) set(main, "href", new URL(href, location.href).href);
  if (below) set(below, "textContent", detail);
}
