"use strict";
(() => {
  const source = document.getElementById("document");
  const audit = JSON.parse(source.textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  // The same digits as on the page: see `short` in unlearn/looks/figures.py.
  const short = (value) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size < 0.0005 || size >= 1e5) {
      const power = Math.floor(Math.log10(size));
      return `${(value / 10 ** power).toFixed(2)}e${power}`.replaceAll("-", "\u2212");
    }
    return value.toFixed(size < 10 ? 3 : size < 1000 ? 1 : 0).replace("-", "\u2212");
  };
  const at = (pointer) => pointer.split("/").slice(1)
    .reduce((place, key) => place[key.replaceAll("~1", "/").replaceAll("~0", "~")], audit);

  for (const number of all("[data-path]:not(line)")) number.title = number.dataset.path;

  // One panel of several.
  for (const select of all("select[data-switch]")) {
    const panels = all(`[data-panel="${select.dataset.switch}"]`);
    const show = () => panels.forEach((panel, place) => { panel.hidden = place !== Number(select.value); });
    select.addEventListener("change", show);
    show();
  }

  // Tables that sort: numbers by their value, what is none last.
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0];
    all("thead th", table).forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort");
        all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].dataset.sort;
        const name = (row) => row.cells[column].textContent.trim();
        const order = (a, b) => {
          if (column === 0) return name(a).localeCompare(name(b), "en") * (up ? 1 : -1);
          if (key(a) === undefined || key(b) === undefined) return (key(a) === undefined) - (key(b) === undefined);
          return (Number(key(a)) - Number(key(b))) * (up ? 1 : -1);
        };
        [...body.rows].sort(order).forEach((row) => body.append(row));
      });
    });
  }

  // Thresholds: everything from the line on is called a member.
  const ordered = (pointers) => Float64Array.from(
    JSON.parse(pointers).flatMap((pointer) => at(pointer)).filter((value) => value !== null)).sort();
  const from = (values, threshold) => {  // share of the ascending values that are at least the threshold
    let low = 0, high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < threshold) low = middle + 1; else high = middle;
    }
    return (values.length - low) / values.length;
  };
  const placed = (value, [low, high, start, end]) =>
    start + (Math.log(Math.min(Math.max(value, low), high) / low) / Math.log(high / low)) * (end - start);

  for (const attack of all(".attack")) {
    const slider = attack.querySelector(".slider"), svg = slider.ownerSVGElement, here = attack.querySelector(".here");
    const scales = ["x", "y"].map((axis) => here.dataset[axis].split(" ").map(Number));
    const low = Number(slider.getAttribute("aria-valuemin")), high = Number(slider.getAttribute("aria-valuemax"));
    const start = Number(slider.dataset.start), end = Number(slider.dataset.end);
    let values = null;
    const move = (to) => {
      values ??= [ordered(attack.dataset.positive), ordered(attack.dataset.negative)];
      const threshold = Math.min(Math.max(to, low), high);
      const tpr = from(values[0], threshold), fpr = from(values[1], threshold);
      const rates = { tpr, fpr, accuracy: (tpr + 1 - fpr) / 2, advantage: Math.abs(tpr - fpr), threshold };
      for (const output of all("output[data-rate]", attack)) {
        const number = output.firstElementChild;
        number.textContent = short(rates[output.dataset.rate]);
        number.removeAttribute("data-path");  // no longer the stored one
        number.title = "computed here, from the scores in the JSON";
      }
      slider.setAttribute("aria-valuenow", String(threshold));
      slider.setAttribute("aria-valuetext", `${short(threshold)}: ${short(tpr)} of the forgotten, ${short(fpr)} of the never seen`);
      slider.setAttribute("transform", `translate(${(start + ((threshold - low) / (high - low)) * (end - start)).toFixed(2)} 0)`);
      here.setAttribute("cx", placed(fpr, scales[0]).toFixed(2));
      here.setAttribute("cy", placed(tpr, scales[1]).toFixed(2));
    };
    const now = () => Number(slider.getAttribute("aria-valuenow"));
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
    slider.addEventListener("keydown", (event) => {
      if (event.key in steps) move(now() + steps[event.key] * (high - low) / 200);
      else if (event.key === "Home") move(low);
      else if (event.key === "End") move(high);
      else return;
      event.preventDefault();
    });
    const drag = (event) => {
      const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
      move(low + ((x - start) / (end - start)) * (high - low));
    };
    slider.addEventListener("pointerdown", (event) => { slider.setPointerCapture(event.pointerId); drag(event); });
    slider.addEventListener("pointermove", (event) => { if (slider.hasPointerCapture(event.pointerId)) drag(event); });
  }

  // Print shows everything.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));

  const save = document.getElementById("save");
  save.hidden = false;
  save.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([source.textContent], { type: "application/json" }));
    link.download = "audit.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
})();
