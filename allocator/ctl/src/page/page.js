// Three conveniences; the page can be read without them. Columns sort, a click zooms a flame graph, and a word is
// looked for in it.
(function () {
  "use strict";

  function value(row, column) {
    var cell = row.cells[column], number = cell.getAttribute("data-v");
    return number !== null ? parseFloat(number) : cell.textContent.trim();
  }
  function order(left, right, up) {
    var by = typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(right);
    return up ? by : -by;
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
    heads.forEach(function (head, column) {
      if (head.textContent === "") { return; }
      function sort() {
        var up = head.getAttribute("aria-sort") === "descending";
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

  document.querySelectorAll(".flame").forEach(function (flame) {
    var frames = Array.from(flame.children).map(function (element) {
      return {
        element: element, x: parseFloat(element.dataset.x), w: parseFloat(element.dataset.w),
        depth: parseInt(element.style.getPropertyValue("--d"), 10)
      };
    });
    var tools = flame.parentElement.querySelector(".tools");
    var reset = document.createElement("button"), field = document.createElement("input"), sum = document.createElement("span");
    reset.type = "button"; reset.textContent = "Whole graph"; reset.hidden = true;
    field.type = "search"; field.placeholder = "find a function"; field.setAttribute("aria-label", "find a function");
    tools.append(field, sum, reset);

    function zoom(to) {
      reset.hidden = to.w >= 1;
      frames.forEach(function (frame) {
        var above = frame.depth < to.depth, slack = 1e-9;
        var over = frame.x <= to.x + slack && frame.x + frame.w >= to.x + to.w - slack;
        var inside = frame.x >= to.x - slack && frame.x + frame.w <= to.x + to.w + slack;
        var shown = above ? over : inside;
        var left = above ? 0 : (frame.x - to.x) / to.w, width = above ? 1 : frame.w / to.w;
        frame.element.style.display = shown ? "" : "none";
        frame.element.style.left = left * 100 + "%";
        frame.element.style.width = width * 100 + "%";
        frame.element.classList.toggle("above", above);
      });
    }
    flame.addEventListener("click", function (event) {
      var frame = frames.find(function (one) { return one.element === event.target; });
      if (frame) { zoom(frame); }
    });
    reset.addEventListener("click", function () { zoom(frames[0]); });

    field.addEventListener("input", function () {
      var word = field.value.toLowerCase(), end = 0, share = 0;
      var found = frames.filter(function (frame) {
        var fits = word !== "" && frame.element.textContent.toLowerCase().includes(word);
        frame.element.classList.toggle("found", fits);
        return fits && frame.depth > 0;
      });
      // A function that calls itself counts once.
      found.sort(function (a, b) { return a.x - b.x || a.depth - b.depth; }).forEach(function (frame) {
        if (frame.x >= end - 1e-9) { share += frame.w; end = frame.x + frame.w; }
      });
      sum.textContent = word === "" ? "" : (share * 100).toFixed(1) + " %";
    });
  });

  document.querySelectorAll("time[data-s]").forEach(function (time) {
    time.textContent = new Date(time.dataset.s * 1000).toLocaleString();
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details.part").forEach(function (folded) { folded.open = true; });
  });
})();
