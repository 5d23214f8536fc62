"use strict";
// The newest frame that has come is drawn when the browser draws, and the server is told once it is on the screen. It
// sends no more than two frames ahead of that, so a page that is slow, hidden or stopped costs it nothing.

const HEADER_START = 8;
const GREY = 0.35; // how much of the depth's own colour is left under a label
const LABEL_COLOURS = [null, [244, 146, 66], [38, 166, 190]];
const RANGE_EVERY_MS = 250;
const NO_DATA = 0xff000000, OUTLINE = 0xfff0ffff;

const element = (id) => document.getElementById(id);
const canvas = element("picture");
const context = canvas.getContext("2d", { alpha: false });

const live = {
  newest: null,       // came and is not drawn yet
  drawn: null,        // is on the screen
  shown: 0,           // frames drawn
  lastNumber: 0,
  backwards: 0,       // frames that came twice or out of order; stays 0
  left_out: 0,        // came, and a newer one came before the browser drew
  isPaused: false, hasLabels: true, isGrey: false, isAuto: true,
  nearMm: 300, farMm: 1500,
  state: null,        // what the server said last
  isConnected: false,
};
window.live = live;

// ---- colours: one table for each label, from 16-bit depth to a pixel ----

const table = new Uint32Array(3 * 65536);
let tableOf = "";

// Turbo by its polynomial (Mikhailov, Google, Apache-2.0), between the ends that are almost black.
function turbo(x) {
  const t = 0.06 + 0.88 * x, t2 = t * t, t3 = t2 * t, t4 = t3 * t, t5 = t4 * t;
  return [
    0.13572138 + 4.6153926 * t - 42.66032258 * t2 + 132.13108234 * t3 - 152.94239396 * t4 + 59.28637943 * t5,
    0.09140261 + 2.19418839 * t + 4.84296658 * t2 - 14.18503333 * t3 + 4.27729857 * t4 + 2.82956604 * t5,
    0.1066733 + 12.64194608 * t - 60.58204836 * t2 + 110.36276771 * t3 - 89.90310912 * t4 + 27.34824973 * t5,
  ].map((value) => 255 * Math.min(1, Math.max(0, value)));
}

function fillTable(unitMm) {
  const wanted = [unitMm, live.nearMm, live.farMm, live.hasLabels, live.isGrey].join();
  if (wanted === tableOf) return;
  tableOf = wanted;
  const levels = [];
  for (let level = 0; level < 256; level++) {
    const nearness = level / 255, grey = 40 + 200 * nearness;
    const plain = live.isGrey ? [grey, grey, grey] : turbo(nearness);
    levels.push(LABEL_COLOURS.map((colour) => {
      const [r, g, b] = colour && live.hasLabels ? colour.map((channel) => GREY * grey + (1 - GREY) * channel) : plain;
      return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
    }));
  }
  const near = live.nearMm / unitMm, scale = 255 / Math.max(1, live.farMm / unitMm - near);
  for (let raw = 1; raw < 65536; raw++) {
    const level = levels[Math.round(255 - Math.min(255, Math.max(0, (raw - near) * scale)))];
    for (let label = 0; label < 3; label++) table[(label << 16) | raw] = level[label];
  }
  for (let label = 0; label < 3; label++) table[label << 16] = NO_DATA;
  element("range").textContent = `${Math.round(live.nearMm)} to ${Math.round(live.farMm)} mm`;
}

// Near and far end of what is seen, without the last few pixels; moved only when they are well off, so that colours stay.
function findRange(frame) {
  const some = [];
  for (let index = 0; index < frame.depth.length; index += 97) if (frame.depth[index]) some.push(frame.depth[index]);
  if (some.length < 20) return;
  some.sort((a, b) => a - b);
  const near = some[Math.floor(0.01 * some.length)] * frame.unitMm, far = some[Math.floor(0.98 * some.length)] * frame.unitMm;
  const slack = 0.15 * (live.farMm - live.nearMm);
  if (Math.abs(near - live.nearMm) > slack || Math.abs(far - live.farMm) > slack) {
    live.nearMm = near;
    live.farMm = Math.max(far, near + 50);
  }
}

// ---- frames ----

function parse(buffer) {
  const length = new DataView(buffer).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, HEADER_START, length)));
  const pixels = header.width * header.height, start = HEADER_START + length;
  return {
    number: header.number, width: header.width, height: header.height, unitMm: header.depth_unit_mm,
    depth: new Uint16Array(buffer, start, pixels), label: new Uint8Array(buffer, start + 2 * pixels, pixels),
  };
}

let image = null, pixels = null, isDrawing = false, rangeFoundAt = -Infinity;

function draw() {
  const frame = live.newest ?? live.drawn;
  if (!frame) return;
  if (image === null || image.width !== frame.width || image.height !== frame.height) {
    canvas.width = frame.width;
    canvas.height = frame.height;
    image = context.createImageData(frame.width, frame.height);
    pixels = new Uint32Array(image.data.buffer);
  }
  if (live.newest && live.isAuto && performance.now() - rangeFoundAt > RANGE_EVERY_MS) {
    rangeFoundAt = performance.now();
    findRange(frame);
  }
  fillTable(frame.unitMm);
  const { depth, label } = frame;
  for (let index = 0; index < pixels.length; index++) pixels[index] = table[(label[index] << 16) | depth[index]];
  if (live.hasLabels) outline(label, frame.width);
  context.putImageData(image, 0, 0);
}

// A light line inside hand and object, so that they stand out from any colour of the depth behind.
function outline(label, width) {
  for (let index = width; index < label.length - width; index++) {
    const own = label[index];
    if (own && (own !== label[index - 1] || own !== label[index + 1] || own !== label[index - width] || own !== label[index + width])) {
      pixels[index] = OUTLINE;
    }
  }
}

// After the frame callback the browser paints; a message to ourselves comes when that is done.
const painted = new MessageChannel();
painted.port1.onmessage = (event) => answer({ drawn: [event.data] });

function onAnimationFrame() {
  isDrawing = false;
  if (!live.newest) return;
  draw();
  live.drawn = live.newest;
  live.newest = null;
  live.shown += 1;
  document.body.dataset.frame = live.drawn.number;
  painted.port2.postMessage(live.drawn.number);
}

function leaveOut(frame) {
  live.left_out += 1;
  answer({ left_out: [frame.number] });
}

function take(buffer) {
  const frame = parse(buffer);
  if (frame.number <= live.lastNumber) live.backwards += 1;
  live.lastNumber = frame.number;
  if (live.isPaused) { leaveOut(frame); return; }
  if (live.newest) leaveOut(live.newest);
  live.newest = frame;
  if (!isDrawing) { isDrawing = true; requestAnimationFrame(onAnimationFrame); }
}

// A frame that waited while nobody looked is old: it is not drawn, and does not count.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && live.newest) { leaveOut(live.newest); live.newest = null; }
});

// ---- the server ----

let socket = null;

function answer(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/api/frames`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { live.isConnected = true; live.lastNumber = 0; say(""); };
  socket.onmessage = (event) => {
    if (typeof event.data === "string") { showState(JSON.parse(event.data)); answer({ read: true }); } else take(event.data);
  };
  socket.onclose = () => {
    live.isConnected = false;
    live.newest = null;
    say("graspcut live has ended; this page waits for it to be started again");
    setTimeout(connect, 1000);
  };
}

function say(text) { element("state").textContent = text; }

function showState(state) {
  live.state = state;
  const number = (value) => (value === null || value === undefined ? "–" : String(value));
  element("source").textContent = state.source;
  element("model").textContent = state.model;
  element("rate").textContent = number(state.shown_per_s);
  element("latency").textContent = number(state.latency_ms);
  element("latency95").textContent = number(state.latency_p95_ms);
  element("counts").textContent =
    `camera ${state.captured_per_s}/s, labelled ${state.labelled_per_s}/s, frame ${state.captured}` +
    (state.skipped ? `, ${state.skipped} skipped` : "");
  say(live.isPaused ? "paused" : state.state);
}

// ---- keys and the value under the pointer ----

const KEYS = {
  l: () => { live.hasLabels = !live.hasLabels; },
  c: () => { live.isGrey = !live.isGrey; },
  a: () => { live.isAuto = true; if (live.drawn) findRange(live.drawn); },
  " ": () => { live.isPaused = !live.isPaused; say(live.isPaused ? "paused" : ""); },
  ",": () => move("nearMm", -20), ".": () => move("nearMm", 20),
  ";": () => move("farMm", -20), "'": () => move("farMm", 20),
};

function move(end, step) {
  live.isAuto = false;
  live[end] = Math.max(0, live[end] + step);
  live.farMm = Math.max(live.farMm, live.nearMm + 20);
}

document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key.toLowerCase()];
  if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  act();
  if (!live.newest) draw();
});

canvas.addEventListener("pointermove", (event) => {
  if (!live.drawn) return;
  const { width, height } = live.drawn, box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height); // as large as fits, in the middle
  const x = Math.floor((event.clientX - box.left - (box.width - scale * width) / 2) / scale);
  const y = Math.floor((event.clientY - box.top - (box.height - scale * height) / 2) / scale);
  if (x < 0 || y < 0 || x >= width || y >= height) { element("value").textContent = ""; return; }
  const raw = live.drawn.depth[y * width + x];
  element("value").textContent = raw ? `(${x}, ${y}) ${(raw * live.drawn.unitMm).toFixed(1)} mm` : `(${x}, ${y}) no data`;
});

connect();
