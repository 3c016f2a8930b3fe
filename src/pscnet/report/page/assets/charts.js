// Charts

const AXES = { left: 52, right: 12, top: 10, bottom: 24 };

function niceStep(range, count) {
  const rough = range / count, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough);
}

class Chart {
  // spec: x (numbers), lines ({name: values}), sigma, points ({x, values}), extras ([{name, label, x, values}]: lines on
  // stamps of their own), start (ms, or null for plain x), zero, unit
  constructor(box, title, key) {
    this.title = title;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.legend = document.createElement("ul");
    this.legend.hidden = key === false;
    if (title) {
      const heading = document.createElement("div");
      heading.className = "title";
      heading.textContent = title;
      box.append(heading);
    }
    box.append(this.legend, this.canvas);
  }

  show(spec, marker) {
    this.spec = spec;
    this.marker = marker;
    this.draw();
    this.fillLegend();
  }

  range() {
    const { lines, sigma, points } = this.spec, seen = [];
    for (const [name, values] of Object.entries(lines)) {
      values.forEach((v, i) => {
        if (v === null) return;
        const spread = name === "pscnet" && sigma && sigma[i] !== null ? sigma[i] : 0;
        seen.push(v - spread, v + spread);
      });
    }
    for (const extra of this.spec.extras || []) seen.push(...extra.values);
    if (points) seen.push(...points.values.filter((v) => v !== null));
    let low = seen.reduce((a, b) => Math.min(a, b), Infinity), high = seen.reduce((a, b) => Math.max(a, b), -Infinity);
    if (!seen.length) [low, high] = [0, 1];
    if (this.spec.zero) low = Math.max(0, low);
    const margin = (high - low) * 0.06 || 0.01;
    return [this.spec.zero ? Math.max(0, low - margin) : low - margin, high + margin];
  }

  draw() {
    const scale = window.devicePixelRatio || 1, width = Math.max(240, this.canvas.clientWidth), height = 210;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const pen = this.canvas.getContext("2d"), { x, lines } = this.spec;
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    const [low, high] = this.range(), first = x[0], last = x[x.length - 1] > first ? x[x.length - 1] : first + 1;
    this.px = (v) => AXES.left + ((v - first) / (last - first)) * (width - AXES.left - AXES.right);
    this.py = (v) => AXES.top + ((high - v) / (high - low)) * (height - AXES.top - AXES.bottom);
    this.drawAxes(pen, width, height, low, high, first, last);
    pen.save();
    pen.beginPath();
    pen.rect(AXES.left, AXES.top, width - AXES.left - AXES.right, height - AXES.top - AXES.bottom);
    pen.clip();
    if (this.spec.sigma) this.drawBand(pen);
    for (const name of Object.keys(lines).reverse()) this.drawLine(pen, x, lines[name], this.style(name));
    for (const extra of this.spec.extras || []) this.drawLine(pen, extra.x, extra.values, this.style(extra.name), 12);
    if (this.spec.points) this.drawPoints(pen);
    if (this.marker !== undefined) {
      pen.strokeStyle = "#c40000";
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(this.px(this.marker), AXES.top);
      pen.lineTo(this.px(this.marker), height - AXES.bottom);
      pen.stroke();
    }
    pen.restore();
    const shown = [...Object.keys(lines).map((n) => this.label(n)), ...(this.spec.extras || []).map((e) => e.label)];
    const names = shown.filter((name) => name).join(", ");
    this.canvas.setAttribute("aria-label", `Chart${this.title ? ` at ${this.title}` : ""}: ${names}; from ${low.toFixed(2)} to ${high.toFixed(2)}`);
  }

  drawAxes(pen, width, height, low, high, first, last) {
    pen.strokeStyle = "#e3e8ec";
    pen.fillStyle = "#5b6875";
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    const step = niceStep(high - low, 4), digits = Math.max(0, -Math.floor(Math.log10(step)));
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
      pen.beginPath();
      pen.moveTo(AXES.left, this.py(v));
      pen.lineTo(width - AXES.right, this.py(v));
      pen.stroke();
      pen.fillText(v.toFixed(digits), AXES.left - 6, this.py(v));
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const [at, text] of this.ticks(first, last, Math.max(2, Math.floor(width / 110)))) {
      pen.beginPath();
      pen.moveTo(this.px(at), AXES.top);
      pen.lineTo(this.px(at), height - AXES.bottom + 4);
      pen.stroke();
      pen.fillText(text, this.px(at), height - AXES.bottom + 6);
    }
  }

  ticks(first, last, count) {
    const out = [], { start } = this.spec;
    if (start === null) {
      const step = Math.max(1, niceStep(last - first, count));
      for (let v = Math.ceil(first / step) * step; v <= last; v += step) out.push([v, String(v)]);
      return out;
    }
    const days = (last - first) / 24, every = [1, 2, 5, 7, 10, 15, 30, 61, 122].find((n) => days / n <= count) || 366;
    const zero = Math.ceil((start / 3600000 + first) / 24) * 24 - start / 3600000;
    for (let v = zero; v <= last; v += 24 * every) {
      const day = new Date(start + v * 3600000);
      out.push([v, day.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" })]);
    }
    return out;
  }

  drawBand(pen) {
    const { x, lines, sigma } = this.spec, mean = lines.pscnet;
    pen.fillStyle = "rgba(86, 180, 233, 0.35)";
    let run = [];
    const fill = () => {
      if (run.length > 1) {
        pen.beginPath();
        run.forEach((i, k) => (k ? pen.lineTo : pen.moveTo).call(pen, this.px(x[i]), this.py(mean[i] + sigma[i])));
        run.reverse().forEach((i) => pen.lineTo(this.px(x[i]), this.py(mean[i] - sigma[i])));
        pen.fill();
      }
      run = [];
    };
    mean.forEach((v, i) => (v === null || sigma[i] === null ? fill() : run.push(i)));
    fill();
  }

  // A line breaks where a value is missing, or where stamps are further apart than "reach" hours.
  drawLine(pen, x, values, style, reach = Infinity) {
    pen.strokeStyle = style.colour;
    pen.lineWidth = style.width;
    pen.setLineDash(style.dash);
    pen.beginPath();
    let down = false;
    values.forEach((v, i) => {
      if (v === null) down = false;
      else if (down && x[i] - x[i - 1] <= reach) pen.lineTo(this.px(x[i]), this.py(v));
      else {
        pen.moveTo(this.px(x[i]), this.py(v));
        down = true;
      }
    });
    pen.stroke();
    pen.setLineDash([]);
  }

  drawPoints(pen) {
    const { points } = this.spec;
    pen.lineWidth = 1.5;
    points.x.forEach((at, i) => {
      if (points.values[i] !== null) drawPoint(pen, this.px(at), this.py(points.values[i]));
    });
  }

  style(name) {
    return (this.spec.styles || STYLES)[name];
  }

  label(name) {
    return (this.spec.names || data.names)[name];
  }

  fillLegend() {
    this.legend.replaceChildren();
    const add = (text, paint) => {
      const item = document.createElement("li"), swatch = document.createElement("canvas");
      swatch.width = 60;
      swatch.height = 24;
      swatch.setAttribute("aria-hidden", "true");
      const pen = swatch.getContext("2d");
      pen.scale(2, 2);
      paint(pen);
      item.append(swatch, text);
      this.legend.append(item);
    };
    const line = (name, text) => add(text, (pen) => {
      const style = this.style(name);
      if (name === "pscnet" && this.spec.sigma) {
        pen.fillStyle = "rgba(86, 180, 233, 0.35)";
        pen.fillRect(0, 1, 30, 10);
      }
      pen.strokeStyle = style.colour;
      pen.lineWidth = style.width;
      pen.setLineDash(style.dash);
      pen.beginPath();
      pen.moveTo(0, 6);
      pen.lineTo(30, 6);
      pen.stroke();
    });
    for (const name of Object.keys(this.spec.lines)) if (this.label(name)) line(name, this.label(name));
    for (const extra of this.spec.extras || []) line(extra.name, `station ${extra.label}`);
    if (this.spec.points) add("SMAP retrieval, 36 km", (pen) => drawPoint(pen, 15, 6));
    if (this.spec.unit) {
      const item = document.createElement("li");
      item.textContent = this.spec.unit;
      this.legend.append(item);
    }
  }
}

function drawPoint(pen, x, y) {
  pen.beginPath();
  pen.arc(x, y, 3.2, 0, 2 * Math.PI);
  pen.fillStyle = "#fff";
  pen.fill();
  pen.strokeStyle = "#222";
  pen.stroke();
}

const SOIL_UNIT = "soil moisture [m³ m⁻³]; shaded: ± 1 σ";

function placeSpec(place) {
  const real = (values) => values.map((v) => (v === null ? null : v / 1e4));
  const lines = Object.fromEntries(Object.entries(place.lines).map(([name, values]) => [name, real(values)]));
  return {
    start: startOf(place.start), x: place.hours, lines, sigma: real(place.sigma),
    points: { x: place.smapHours, values: real(place.smap) }, zero: true, unit: SOIL_UNIT,
  };
}

// Losses by epoch: a pair of lines for each member of the ensemble, named once.
function curvesSpec(curves) {
  const spec = { start: null, x: [], unit: "loss by epoch (of trees: by their number)", lines: {}, styles: {}, names: {} };
  const longest = curves.reduce((a, b) => (b.length > a.length ? b : a));
  spec.x = longest.map((epoch) => epoch.epoch);
  const of = curves.length > 1 ? `, ${curves.length} members` : "";
  curves.forEach((curve, member) => {
    for (const [part, key, colour, dash] of [["training", "train_loss", "#0072B2", []], ["validation", "validation_loss", "#D55E00", [6, 3]]]) {
      const name = `${part}_${member}`;
      spec.lines[name] = curve.map((epoch) => epoch[key]);
      spec.styles[name] = { colour, dash, width: member ? 1.2 : 1.8 };
      spec.names[name] = member ? null : part + of;
    }
  });
  return spec;
}
