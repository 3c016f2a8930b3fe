"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const LEVELS = 253, FROZEN = 254, NOTHING = 255;
const NOTHING_COLOUR = [212, 212, 212], FROZEN_COLOUR = [205, 185, 220];
const STYLES = {
  pscnet: { colour: "#0072B2", width: 2, dash: [] },
  truth: { colour: "#000000", width: 1.4, dash: [] },
  era5_land: { colour: "#E69F00", width: 1.4, dash: [6, 3] },
  era5_land_rescaled: { colour: "#D55E00", width: 1.2, dash: [10, 3] },
  smap_interpolated: { colour: "#009E73", width: 1.4, dash: [7, 3, 2, 3] },
  smap_kriged: { colour: "#56B4E9", width: 1.2, dash: [8, 2, 2, 2, 2, 2] },
  station: { colour: "#000000", width: 1.4, dash: [] },
  optimal_interpolation: { colour: "#CC79A7", width: 1.4, dash: [2, 3] },
};
const element = (id) => document.getElementById(id);

// Bytes: base64 of deflated data; the browser inflates it.
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function undoDifferences(codes, size) {
  for (let i = size; i < codes.length; i++) codes[i] = (codes[i] + codes[i - size]) & 255;
  return codes;
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

const decode = (code, high) => (code > LEVELS ? null : (code * high) / LEVELS);

function startOf(text) {
  return Date.parse(text.replace("Z", ":00Z"));
}

function stampText(milliseconds) {
  return new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

// One colour for each code of a field, as red, green, blue.
function palette(colours, high, range) {
  const table = bytesOf(colours), out = new Uint8Array(256 * 3);
  for (let code = 0; code < 256; code++) {
    let rgb = code === FROZEN ? FROZEN_COLOUR : NOTHING_COLOUR;
    if (code <= LEVELS) {
      const share = ((code * high) / LEVELS - range[0]) / (range[1] - range[0]);
      const index = 3 * Math.min(255, Math.max(0, Math.round(share * 255)));
      rgb = table.subarray(index, index + 3);
    }
    out.set(rgb, 3 * code);
  }
  return out;
}
