"use strict";
// Sort a table by a column when its heading is clicked; without scripts, the table is in its original order.
const collator = new Intl.Collator(undefined, { numeric: true });

function compareCells(first, second, direction) {
  const [a, b] = [first.dataset.value, second.dataset.value];
  if (a === "" || b === "") return (a === "") - (b === ""); // undefined values stay at the end
  const difference = a === undefined ? collator.compare(first.textContent, second.textContent) : Number(a) - Number(b);
  return direction * difference;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((first, second) => compareCells(first.cells[column], second.cells[column], direction));
      table.tBodies[0].append(...rows);
    });
  });
}
