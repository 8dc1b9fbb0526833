(function () {
  "use strict";
  function value(row, column) {
    var cell = row.cells[column];
    var number = cell.getAttribute("data-v");
    return number === null ? cell.textContent.trim() : parseFloat(number);
  }
  function order(left, right) {
    if (typeof left !== typeof right) { return typeof left === "number" ? -1 : 1; }
    return typeof left === "number" ? left - right : left.localeCompare(right);
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
    heads.forEach(function (head, column) {
      function sort() {
        var up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        Array.from(body.rows).sort(function (left, right) {
          var by = order(value(left, column), value(right, column));
          return up ? by : -by;
        }).forEach(function (row) { body.appendChild(row); });
      }
      head.tabIndex = 0;
      head.title = "sort";
      head.addEventListener("click", sort);
      head.addEventListener("keydown", function (event) {
        if (event.key === "Enter") { sort(); }
      });
    });
  });
})();
