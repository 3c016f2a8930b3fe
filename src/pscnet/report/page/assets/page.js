// Controls

function drawScale(sigma) {
  const canvas = element("bar"), context = canvas.getContext("2d");
  const colours = bytesOf(sigma ? data.sigmaColours : data.colours), range = sigma ? data.sigmaRange : data.range;
  for (let i = 0; i < 256; i++) {
    context.fillStyle = `rgb(${colours[3 * i]},${colours[3 * i + 1]},${colours[3 * i + 2]})`;
    context.fillRect(i, 0, 1, 12);
  }
  const ticks = element("ticks");
  ticks.replaceChildren();
  for (let k = 0; k <= 3; k++) {
    const tick = document.createElement("span"), value = range[0] + ((range[1] - range[0]) * k) / 3;
    tick.textContent = (k === 3 ? "≥ " : "") + value.toFixed(sigma ? 3 : 2);
    ticks.append(tick);
  }
  element("unit").textContent = sigma ? "right: uncertainty, 1 σ [m³ m⁻³]" : "soil moisture, 0–5 cm [m³ m⁻³]";
}

function connect(maps, clicked, others) {
  const slider = element("time"), play = element("play"), cursor = new Cursor(maps);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  slider.max = maps.steps - 1;
  slider.value = maps.step;
  let timer = null;
  const refreshSeries = () => clicked.show(maps.series(), data.hours[maps.step]);
  const go = (step) => {
    maps.step = (step + maps.steps) % maps.steps;
    slider.value = maps.step;
    maps.draw();
    cursor.refresh();
    clicked.marker = data.hours[maps.step];
    clicked.draw();
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
    play.setAttribute("aria-pressed", "false");
    element("readout").setAttribute("aria-live", "polite");
  };
  const place = (row, column) => {
    maps.row = Math.min(maps.rows - 1, Math.max(0, row));
    maps.column = Math.min(maps.columns - 1, Math.max(0, column));
    maps.draw();
    refreshSeries();
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "❚❚ Pause";
    play.setAttribute("aria-pressed", "true");
    element("readout").setAttribute("aria-live", "off"); // nobody wants eight values a second read out
    timer = setInterval(() => go(maps.step + 1), calm.matches ? 1000 : 160);
  });
  slider.addEventListener("input", () => go(Number(slider.value)));
  element("back").addEventListener("click", () => go(maps.step - 1));
  element("forward").addEventListener("click", () => go(maps.step + 1));
  element("layer").addEventListener("change", (event) => {
    maps.layer = event.target.value;
    drawScale(maps.layer === "sigma");
    maps.draw();
    cursor.refresh();
  });
  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  for (const id of ["fine", "coarse"]) {
    const canvas = element(id);
    canvas.addEventListener("click", (event) => place(...maps.cellAt(canvas, event)));
    canvas.addEventListener("pointermove", (event) => cursor.show(...maps.cellAt(canvas, event)));
    canvas.addEventListener("pointerleave", () => cursor.hide());
    canvas.addEventListener("blur", () => cursor.hide());
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in arrows)) return;
      event.preventDefault();
      place(maps.row + arrows[event.key][0], maps.column + arrows[event.key][1]);
      cursor.show(maps.row, maps.column);
    });
  }
  if (element("station")) {
    element("station").addEventListener("change", (event) => {
      const station = data.stations[event.target.value];
      if (station) place(station.row, station.column);
    });
  }
  let waiting = null;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      maps.draw();
      [clicked, ...others].forEach((chart) => chart.draw());
    }, 120);
  });
  drawScale(false);
  maps.draw();
  refreshSeries();
}

async function main() {
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  const charts = data.places.map((place, index) => {
    const box = document.createElement("div");
    box.className = "chart";
    element("places").append(box);
    const chart = new Chart(box, place.name, index === 0);
    chart.show(placeSpec(place));
    return chart;
  });
  if (element("curve")) {
    const chart = new Chart(element("curve"), "");
    chart.show(curvesSpec(data.curves));
    charts.push(chart);
  }
  if (typeof DecompressionStream === "undefined") {
    throw new Error("the maps need a browser of 2023 or later (DecompressionStream is missing)");
  }
  const fields = {}, size = data.shape[1] * data.shape[2];
  for (const [name, text] of Object.entries(data.fields)) fields[name] = undoDifferences(await inflate(text), size);
  const times = await inflate(data.smap.tenths), [halves, rows, columns] = data.smap.shape;
  const smap = {
    halves, rows, columns, size: rows * columns, latEdges: data.smap.latEdges, lonEdges: data.smap.lonEdges,
    values: await inflate(data.smap.values), tenths: new Int16Array(times.buffer),
  };
  connect(new Maps(fields, smap), new Chart(element("clicked"), ""), charts);
  document.documentElement.dataset.ready = "true";
}

main().catch((error) => {
  element("warning").textContent = `Part of this page could not be drawn: ${error.message}`;
  element("warning").hidden = false;
  document.documentElement.dataset.error = error.message;
  console.error(error);
});
