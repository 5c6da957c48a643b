"use strict";
// Sorts a table by a column when its heading is clicked. Without scripts the table stays as it is.
const collator = new Intl.Collator(undefined, { numeric: true });

function before(one, two, direction) {
  const [a, b] = [one.dataset.value, two.dataset.value];
  if (a === "" || b === "") return (a === "") - (b === ""); // what is undefined stays at the end
  const difference = a === undefined ? collator.compare(one.textContent, two.textContent) : Number(a) - Number(b);
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
      rows.sort((one, two) => before(one.cells[column], two.cells[column], direction));
      table.tBodies[0].append(...rows);
    });
  });
}
