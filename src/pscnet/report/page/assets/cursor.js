// The linked cursor: where one map is pointed at, both show the place, its 36 km cell and its value.

class Cursor {
  constructor(maps) {
    this.maps = maps;
    this.place = null;
    this.parts = ["coarse", "fine"].map((id) => {
      const holder = element(id).parentElement, made = { id };
      for (const name of ["across", "down", "cell", "value"]) {
        made[name] = document.createElement("div");
        made[name].className = `cursor ${name}`;
        made[name].setAttribute("aria-hidden", "true");
        made[name].hidden = true;
        holder.append(made[name]);
      }
      return made;
    });
  }

  show(row, column) {
    this.place = [row, column];
    const { box } = this.maps, { latEdges, lonEdges, columns } = this.maps.smap;
    const left = (lon) => (100 * (lon - box.west)) / (box.east - box.west);
    const top = (lat) => (100 * (box.north - lat)) / (box.north - box.south);
    const x = left(data.lon[column]), y = top(data.lat[row]), cell = this.maps.coarseCell(row, column);
    for (const part of this.parts) {
      part.down.style.left = `${x}%`;
      part.across.style.top = `${y}%`;
      part.value.style.top = `${y}%`;
      part.value.style.left = `${x}%`;
      part.value.classList.toggle("leftwards", x > 60);
      part.value.classList.toggle("upwards", y > 80);
      part.value.textContent = part.id === "fine" ? this.maps.fineText(row, column) : this.maps.coarseText(row, column);
      for (const name of ["across", "down", "value"]) part[name].hidden = false;
      part.cell.hidden = cell === null;
      if (cell === null) continue;
      const i = Math.floor(cell / columns), j = cell % columns;
      const clip = (value) => Math.min(100, Math.max(0, value));
      const [x0, x1, y0, y1] = [left(lonEdges[j]), left(lonEdges[j + 1]), top(latEdges[i]), top(latEdges[i + 1])].map(clip);
      Object.assign(part.cell.style, { left: `${x0}%`, width: `${x1 - x0}%`, top: `${y0}%`, height: `${y1 - y0}%` });
    }
  }

  hide() {
    this.place = null;
    for (const part of this.parts) for (const name of ["across", "down", "cell", "value"]) part[name].hidden = true;
  }

  refresh() {
    if (this.place) this.show(...this.place);
  }
}
