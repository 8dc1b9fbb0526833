// Three conveniences; the page can be read without them. Columns sort, links open what is folded, and a line names its
// allocator where the pointer rests.
(function () {
  "use strict";

  function value(row, column) {
    var cell = row.cells[column], number = cell.getAttribute("data-v");
    if (number !== null) { return parseFloat(number); }
    var text = cell.textContent.trim();
    return text !== "" && isFinite(text) ? Number(text) : text;
  }
  // Numbers before texts, whichever way they are sorted.
  function order(left, right, up) {
    if (typeof left !== typeof right) { return typeof left === "number" ? -1 : 1; }
    var by = typeof left === "number" ? left - right : left.localeCompare(right);
    return up ? by : -by;
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var lines = table.tHead.rows, body = table.tBodies[0];
    var heads = Array.from(lines[lines.length - 1].cells);
    heads.forEach(function (head, column) {
      function sort() {
        var up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        Array.from(body.rows).sort(function (left, right) {
          return order(value(left, column), value(right, column), up);
        }).forEach(function (row) { body.appendChild(row); });
      }
      head.tabIndex = 0;
      head.addEventListener("click", sort);
      head.addEventListener("keydown", function (event) {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
      });
    });
  });

  function open() {
    var target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) { return; }
    for (var outer = target; outer; outer = outer.parentElement) {
      if (outer.tagName === "DETAILS") { outer.open = true; }
    }
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", open);
  // A second click on the same link opens what was folded again.
  document.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) { open(); }
  });
  open();

  var names = {};
  document.querySelectorAll("#answer tbody th, thead th[class^=s]").forEach(function (mark) {
    var series = /\bs\d+( again)?/.exec(mark.className);
    if (series) { names[series[0]] = mark.textContent.trim(); }
  });
  document.addEventListener("pointerover", function (event) {
    var line = event.target.closest && event.target.closest("svg g[class]");
    if (!line || line.querySelector("title")) { return; }
    var title = document.createElementNS(line.namespaceURI, "title");
    title.textContent = names[line.getAttribute("class")] || "";
    line.insertBefore(title, line.firstChild);
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (folded) { folded.open = true; });
  });
})();
