// Maps

class Maps {
  constructor(fields, smap) {
    this.fields = fields;
    this.smap = smap;
    [this.steps, this.rows, this.columns] = data.shape;
    this.start = startOf(data.start);
    this.soil = palette(data.colours, data.high, data.range);
    this.spread = palette(data.sigmaColours, data.sigmaHigh, data.sigmaRange);
    this.step = Math.min(this.steps - 1, Math.floor(this.steps / 2));
    this.layer = "pscnet";
    this.row = Math.floor(this.rows / 2);
    this.column = Math.floor(this.columns / 2);
    this.buffer = document.createElement("canvas");
    this.buffer.width = this.columns;
    this.buffer.height = this.rows;
    this.box = {
      north: data.latEdges[0], south: data.latEdges[this.rows],
      west: data.lonEdges[0], east: data.lonEdges[this.columns],
    };
    const middle = ((this.box.north + this.box.south) / 2) * (Math.PI / 180);
    this.aspect = (this.box.north - this.box.south) / ((this.box.east - this.box.west) * Math.cos(middle));
    this.moveToData();
  }

  // Start at a cell that has values, nearest to the middle.
  moveToData() {
    const codes = this.fields.pscnet, offset = this.step * this.rows * this.columns;
    let best = Infinity, found = null;
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < this.columns; column++) {
        const far = (row - this.rows / 2) ** 2 + (column - this.columns / 2) ** 2;
        if (far < best && codes[offset + row * this.columns + column] <= LEVELS) {
          best = far;
          found = [row, column];
        }
      }
    }
    if (found) [this.row, this.column] = found;
  }

  time() {
    return this.start + data.hours[this.step] * 3600000;
  }

  fit(canvas) {
    const width = Math.max(200, canvas.clientWidth), scale = window.devicePixelRatio || 1;
    canvas.style.height = `${Math.round(width * this.aspect)}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(width * this.aspect * scale);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    return context;
  }

  x(canvas, lon) {
    return ((lon - this.box.west) / (this.box.east - this.box.west)) * canvas.width;
  }

  y(canvas, lat) {
    return ((this.box.north - lat) / (this.box.north - this.box.south)) * canvas.height;
  }

  draw() {
    this.drawFine(element("fine"));
    this.drawCoarse(element("coarse"));
    element("stamp").textContent = stampText(this.time());
    element("time").setAttribute("aria-valuetext", stampText(this.time()));
    this.readOut();
  }

  drawFine(canvas) {
    const context = this.fit(canvas), small = this.buffer.getContext("2d");
    const image = small.createImageData(this.columns, this.rows);
    const size = this.rows * this.columns, codes = this.fields[this.layer];
    const colours = this.layer === "sigma" ? this.spread : this.soil;
    for (let i = 0, from = this.step * size; i < size; i++, from++) {
      const c = 3 * codes[from];
      image.data[4 * i] = colours[c];
      image.data[4 * i + 1] = colours[c + 1];
      image.data[4 * i + 2] = colours[c + 2];
      image.data[4 * i + 3] = 255;
    }
    small.putImageData(image, 0, 0);
    context.drawImage(this.buffer, 0, 0, canvas.width, canvas.height);
    this.drawGraticule(context, canvas);
    this.drawStations(context, canvas);
    this.drawCross(context, canvas);
    const name = element("layer").selectedOptions[0].textContent;
    canvas.setAttribute("aria-label", `Map of ${name} at ${stampText(this.time())}`);
  }

  // The newest retrieval of each cell within the last 3 days, as [code, age in hours], or null.
  newest(cell) {
    const { values, tenths, halves, size } = this.smap, now = data.hours[this.step] * 10;
    let best = null;
    for (let half = 0; half < halves; half++) {
      const when = tenths[half * size + cell];
      if (when === -32768 || when > now + 15 || when < now - 720) continue;
      if (best === null || when > best[2]) best = [values[half * size + cell], (now - when) / 10, when];
    }
    return best;
  }

  drawCoarse(canvas) {
    const context = this.fit(canvas), { latEdges, lonEdges, rows, columns } = this.smap;
    const ages = [], fresh = new Map();
    context.fillStyle = `rgb(${NOTHING_COLOUR})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const found = this.newest(row * columns + column);
        if (!found || found[0] > LEVELS) continue;
        const left = Math.round(this.x(canvas, lonEdges[column])), right = Math.round(this.x(canvas, lonEdges[column + 1]));
        const top = Math.round(this.y(canvas, latEdges[row])), bottom = Math.round(this.y(canvas, latEdges[row + 1]));
        const c = 3 * found[0];
        context.fillStyle = `rgb(${this.soil[c]},${this.soil[c + 1]},${this.soil[c + 2]})`;
        context.fillRect(left, top, right - left, bottom - top);
        ages.push(found[1]);
        if (Math.abs(found[1]) <= 1.5) fresh.set(row * columns + column, [left, top, right, bottom]);
      }
    }
    this.outline(context, canvas, fresh);
    this.drawGraticule(context, canvas);
    this.drawStations(context, canvas);
    this.drawCross(context, canvas);
    const share = Math.round((100 * ages.length) / (rows * columns));
    element("seen").textContent = `${share} % of cells seen in the last 3 days, ${fresh.size} at this step`;
    canvas.setAttribute("aria-label", `Map of SMAP on 36 km cells at ${stampText(this.time())}, ${element("seen").textContent}`);
  }

  // Outline of the swath: the sides of fresh cells that have no fresh neighbour.
  outline(context, canvas, fresh) {
    const { columns } = this.smap;
    context.strokeStyle = "#111";
    context.lineWidth = Math.max(1.5, canvas.width / 350);
    context.beginPath();
    for (const [cell, [left, top, right, bottom]] of fresh) {
      const column = cell % columns;
      const sides = [
        [cell - columns, left, top, right, top],
        [cell + columns, left, bottom, right, bottom],
        [column > 0 ? cell - 1 : -1, left, top, left, bottom],
        [column < columns - 1 ? cell + 1 : -1, right, top, right, bottom],
      ];
      for (const [neighbour, x0, y0, x1, y1] of sides) {
        if (fresh.has(neighbour)) continue;
        context.moveTo(x0, y0);
        context.lineTo(x1, y1);
      }
    }
    context.stroke();
  }

  // Meridians and parallels with their degrees along the left and lower side.
  drawGraticule(context, canvas) {
    const scale = window.devicePixelRatio || 1, { north, south, west, east } = this.box;
    const step = Math.max(0.5, niceStep(east - west, canvas.width / scale / 110));
    context.font = `${11 * scale}px system-ui, sans-serif`;
    context.lineWidth = scale;
    const line = (x0, y0, x1, y1) => {
      context.strokeStyle = "rgba(20, 30, 40, 0.18)";
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      context.stroke();
    };
    const label = (text, x, y) => {
      context.strokeStyle = "rgba(255, 255, 255, 0.85)";
      context.lineWidth = 3 * scale;
      context.strokeText(text, x, y);
      context.fillStyle = "#1c2733";
      context.fillText(text, x, y);
      context.lineWidth = scale;
    };
    for (let lon = Math.ceil(west / step) * step; lon < east; lon += step) {
      const x = this.x(canvas, lon);
      line(x, 0, x, canvas.height);
      if (x < 45 * scale || x > canvas.width - 20 * scale) continue;
      context.textAlign = "center";
      label(`${Math.abs(lon)}°${lon < 0 ? "W" : "E"}`, x, canvas.height - 5 * scale);
    }
    for (let lat = Math.ceil(south / step) * step; lat < north; lat += step) {
      const y = this.y(canvas, lat);
      line(0, y, canvas.width, y);
      if (y < 12 * scale || y > canvas.height - 14 * scale) continue;
      context.textAlign = "left";
      label(`${Math.abs(lat)}°${lat < 0 ? "S" : "N"}`, 4 * scale, y + 4 * scale);
    }
  }

  drawCross(context, canvas) {
    const x = this.x(canvas, data.lon[this.column]), y = this.y(canvas, data.lat[this.row]);
    const arm = Math.max(8, canvas.width / 50);
    for (const [colour, width] of [["#fff", 5], ["#c40000", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * Math.max(1, (window.devicePixelRatio || 1) * 0.8);
      context.beginPath();
      context.moveTo(x - arm, y);
      context.lineTo(x + arm, y);
      context.moveTo(x, y - arm);
      context.lineTo(x, y + arm);
      context.stroke();
    }
  }

  drawStations(context, canvas) {
    const size = Math.max(4, canvas.width / 130);
    context.lineWidth = Math.max(1.5, size / 4);
    for (const station of data.stations) {
      const x = this.x(canvas, station.lon), y = this.y(canvas, station.lat);
      context.beginPath();
      context.moveTo(x, y - size);
      context.lineTo(x + size, y + 0.8 * size);
      context.lineTo(x - size, y + 0.8 * size);
      context.closePath();
      context.strokeStyle = "#fff";
      context.stroke();
      context.fillStyle = "#000";
      context.fill();
    }
  }

  // Row and column of the fine cell under the pointer.
  cellAt(canvas, event) {
    const box = canvas.getBoundingClientRect(), within = (value, size) => Math.min(size - 1, Math.max(0, value));
    const lat = this.box.north - ((event.clientY - box.top) / box.height) * (this.box.north - this.box.south);
    const lon = this.box.west + ((event.clientX - box.left) / box.width) * (this.box.east - this.box.west);
    const row = data.latEdges.findIndex((edge) => edge < lat) - 1, column = data.lonEdges.findIndex((edge) => edge > lon) - 1;
    return [within(row < -1 ? this.rows : row, this.rows), within(column < -1 ? this.columns : column, this.columns)];
  }

  coarseCell(atRow = this.row, atColumn = this.column) {
    const { latEdges, lonEdges, columns } = this.smap, lat = data.lat[atRow], lon = data.lon[atColumn];
    const row = latEdges.findIndex((edge, i) => lat <= edge && lat > latEdges[i + 1]);
    const column = lonEdges.findIndex((edge, i) => lon >= edge && lon < lonEdges[i + 1]);
    return row < 0 || column < 0 ? null : row * columns + column;
  }

  codeAt(name, step, row = this.row, column = this.column) {
    return this.fields[name][(step * this.rows + row) * this.columns + column];
  }

  // What the right map shows at a cell, in words.
  fineText(row, column) {
    const code = this.codeAt(this.layer, this.step, row, column);
    const value = decode(code, this.layer === "sigma" ? data.sigmaHigh : data.high);
    return value === null ? (code === FROZEN ? "frozen" : "no value") : value.toFixed(3);
  }

  // The same of the left map, with the age of the retrieval.
  coarseText(row, column) {
    const cell = this.coarseCell(row, column), found = cell === null ? null : this.newest(cell);
    const value = found ? decode(found[0], data.high) : null;
    if (value === null) return "no value";
    return `${value.toFixed(3)}${Math.abs(found[1]) <= 1.5 ? "" : `, ${Math.round(found[1])} h old`}`;
  }

  readOut() {
    const lat = data.lat[this.row], lon = data.lon[this.column];
    const parts = [placeText(lat, lon)];
    const code = this.codeAt("pscnet", this.step), value = decode(code, data.high);
    const sigma = decode(this.codeAt("sigma", this.step), data.sigmaHigh);
    if (value === null) parts.push(code === FROZEN ? "frozen, no value" : "no value");
    else parts.push(`${data.net} ${value.toFixed(3)} ± ${sigma === null ? "–" : sigma.toFixed(3)} m³ m⁻³`);
    const seen = this.coarseText(this.row, this.column);
    parts.push(seen === "no value" ? "SMAP: none in 3 days" : `SMAP ${seen}`);
    for (const station of this.stationsHere()) parts.push(`station ${station.name}`);
    element("readout").textContent = parts.join(" · ");
    element("clicked-title").textContent = `At the cross, ${placeText(lat, lon)}`;
  }

  series() {
    const all = (name, high) => data.hours.map((_, step) => decode(this.codeAt(name, step), high));
    const lines = { pscnet: all("pscnet", data.high) };
    if (this.fields.era5_land) lines.era5_land = all("era5_land", data.high);
    const cell = this.coarseCell(), points = { hours: [], values: [] };
    for (let half = 0; cell !== null && half < this.smap.halves; half++) {
      const at = half * this.smap.size + cell, when = this.smap.tenths[at];
      if (when < 0 || when / 10 > data.hours[this.steps - 1] + 3) continue;
      points.hours.push(when / 10);
      points.values.push(decode(this.smap.values[at], data.high));
    }
    const extras = this.stationsHere().map((station) => ({
      name: "station", label: station.name, x: station.hours, values: station.values.map((v) => v / 1e4),
    }));
    return {
      start: this.start, x: data.hours, lines, sigma: all("sigma", data.sigmaHigh), zero: true, unit: SOIL_UNIT, extras,
      points: { x: points.hours, values: points.values },
    };
  }

  // Stations in the cell of the cross.
  stationsHere() {
    return data.stations.filter((station) => station.row === this.row && station.column === this.column);
  }
}

function placeText(lat, lon) {
  return `${Math.abs(lat).toFixed(1)}° ${lat >= 0 ? "N" : "S"}, ${Math.abs(lon).toFixed(1)}° ${lon >= 0 ? "E" : "W"}`;
}
