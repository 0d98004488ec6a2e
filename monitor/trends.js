(() => {
  const $ = (id) => document.getElementById(id);
  const body = document.querySelector("tbody"), rows = [...body.rows];
  const heads = [...document.querySelectorAll("th")];

  function filter() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = `${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    $("shown").textContent = `${shown} of ${rows.length} tables`;
  }

  function sort(place) {
    const head = heads[place], number = head.classList.contains("number");
    const down = number ? head.getAttribute("aria-sort") !== "descending" : head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => (number ? Number(row.cells[place].dataset.value || -1) : row.cells[place].textContent);
    const compare = (a, b) => (number ? value(a) - value(b) : value(a).localeCompare(value(b)));
    body.append(...[...rows].sort((a, b) => (down ? compare(b, a) : compare(a, b))));
  }

  heads.forEach((head, place) => head.querySelector("button")?.addEventListener("click", () => sort(place)));
  $("search").addEventListener("input", filter);
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input")) return;
    event.preventDefault();
    $("search").focus();
  });
  $("theme").hidden = $("filter").hidden = false;
  buildTheme($("theme"));
  filter();
})();
