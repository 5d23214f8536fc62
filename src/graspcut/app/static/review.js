"use strict";
// One frame is on screen and the next one is fetched ahead. Everything that a key does is kept in localStorage until the
// server has answered, and sent again after a reload or when the server is back: ids make sure that nothing counts twice.

const LABELS = { 0: "background", 1: "hand", 2: "object", 255: "unknown" };
const COLOURS = { 0: null, 1: [244, 146, 66], 2: [38, 166, 190], 255: [150, 110, 190] };
const PENDING = "graspcut-pending", REVIEWER = "graspcut-reviewer", HISTORY = "graspcut-history";

const element = (id) => document.getElementById(id);
const identity = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
const stored = (key, otherwise) => JSON.parse(localStorage.getItem(key) ?? "null") ?? otherwise;

const reviewer = stored(REVIEWER, null) ?? `reviewer-${identity().slice(0, 6)}`;
localStorage.setItem(REVIEWER, JSON.stringify(reviewer));

const state = {
  frame: null,            // {name, width, height, depth, label, colour, ...}
  ahead: null,            // promise of the next one
  view: { zoom: 1, x: null, y: null },  // never reset by a frame
  cursor: { x: 0, y: 0 },
  brush: 1, radius: 6, near: 0, far: 0, isFarSet: false, isThreshold: false, isBlended: false,
  history: stored(HISTORY, []),   // verdicts and carries, to undo after a reload too
  strokes: [],            // label maps before each stroke on this frame
};

// ---- talking to the server ----

let sending = Promise.resolve();

function enqueue(request) {
  const pending = stored(PENDING, []);
  // Of several label maps of one frame only the last one matters.
  const kept = pending.filter((entry) => !(request.key && entry.key === request.key));
  localStorage.setItem(PENDING, JSON.stringify([...kept, request]));
  sending = sending.then(flush);
  return sending;
}

async function flush() {
  for (;;) {
    const [request] = stored(PENDING, []);
    if (!request) { element("saving").textContent = "saved"; return; }
    element("saving").textContent = "saving…";
    try {
      const body = request.bytes ? Uint8Array.from(atob(request.bytes), (c) => c.charCodeAt(0)) : request.body;
      const headers = request.bytes ? { "Content-Type": "application/octet-stream" } : { "Content-Type": "application/json" };
      const answer = await fetch(request.url, { method: request.method, body: body ?? "", headers });
      if (answer.status >= 500) throw new Error(`the server answers ${answer.status}`);
      if (!answer.ok) say(`refused: ${(await answer.text()).slice(0, 200)}`);
      else if (request.url.startsWith("/api/verdict")) showProgress(await answer.json());
      else if (request.url.endsWith("/carry")) carried(await answer.json());
      const rest = stored(PENDING, []);
      const position = rest.findIndex((entry) => entry.id === request.id);
      if (position >= 0) rest.splice(position, 1);
      localStorage.setItem(PENDING, JSON.stringify(rest));
    } catch (error) {
      element("saving").textContent = "not saved yet: waiting for the server";
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function get(url, kind) {
  for (;;) {
    try {
      const answer = await fetch(url);
      if (answer.ok) return kind === "json" ? answer.json() : kind === "blob" ? answer.blob() : answer.arrayBuffer();
      if (answer.status < 500) return null;
    } catch (error) { say("waiting for the server"); }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

const base64 = (bytes) => {
  let text = "";
  for (let start = 0; start < bytes.length; start += 32768) text += String.fromCharCode(...bytes.subarray(start, start + 32768));
  return btoa(text);
};

// ---- frames ----

async function load(name) {
  const url = `/api/frame/${encodeURIComponent(name)}`;
  const [facts, depth, label] = await Promise.all([get(url, "json"), get(`${url}/depth`), get(`${url}/label`)]);
  const blob = facts.has_colour ? await get(`${url}/colour`, "blob") : null;
  return {
    ...facts, name,
    depth: new Uint16Array(depth), label: new Uint8Array(label), colour: blob ? await createImageBitmap(blob) : null,
  };
}

async function fetchNext(skip) {
  await sending; // else the server might give out a frame whose verdict is on its way
  const query = new URLSearchParams({ reviewer, ...(skip ? { skip } : {}) });
  const { frame } = await get(`/api/next?${query}`, "json");
  return frame === null ? null : load(frame);
}

async function advance(skip) {
  state.isSwitching = true;
  const pressed = performance.now();
  let next = state.ahead ? await state.ahead : await fetchNext(skip);
  if (next && next.name === skip) next = await fetchNext(skip);
  show(next);
  // What is fetched ahead must not be what is on screen: it is asked for as if this one were skipped.
  state.ahead = next ? fetchNext(next.name) : null;
  window.lastSwitchMs = performance.now() - pressed;
  state.isSwitching = false;
}

function show(frame) {
  state.frame = frame;
  state.strokes = [];
  if (!frame) {
    element("frame").textContent = "every frame has a verdict";
    element("doubt").textContent = element("verdict").textContent = element("value").textContent = "";
    document.body.dataset.frame = "";
    return;
  }
  if (state.view.x === null) { state.view.x = frame.width / 2; state.view.y = frame.height / 2; state.cursor = { ...state.view }; }
  if (!state.isFarSet) [state.near, state.far] = depthRange(frame.depth);
  element("frame").textContent = `frame ${frame.name}`;
  element("doubt").textContent = `doubt ${frame.doubt.toFixed(2)}`;
  showVerdict(frame.verdict);
  draw();
  document.body.dataset.frame = frame.name;
}

function showVerdict(verdict) {
  element("verdict").textContent = verdict ?? "";
  element("verdict").className = verdict ?? "";
}

function depthRange(depth) {
  const values = depth.filter((value, index) => index % 7 === 0 && value > 0).sort();
  if (!values.length) return [0, 1000];
  return [values[Math.floor(values.length * 0.01)] / 10, values[Math.floor(values.length * 0.99)] / 10];
}

function showProgress(counts) {
  element("progress").textContent =
    `${counts.reviewed} of ${counts.frames} reviewed, ${counts.accepted} accepted, ${counts.frames_per_minute} frames/min`;
}

const say = (text) => { element("message").textContent = text; };

// ---- drawing ----

const buffers = {};

function buffer(kind, width, height) {
  if (!buffers[kind] || buffers[kind].width !== width || buffers[kind].height !== height) {
    buffers[kind] = Object.assign(document.createElement("canvas"), { width, height });
  }
  return buffers[kind].getContext("2d");
}

function shade(value) {
  if (value === 0) return 0;
  const share = (value / 10 - state.near) / Math.max(state.far - state.near, 1);
  return share < 0 || share > 1 ? 24 : 250 - 200 * share;
}

function isCut(index) {
  const value = state.frame.depth[index] / 10;
  return state.isThreshold && state.frame.label[index] !== 0 && value > 0 && (value < state.near || value > state.far);
}

function draw() {
  const frame = state.frame;
  if (!frame) return;
  const { width, height, depth, label } = frame;
  element("panes").classList.toggle("no-colour", !frame.colour);
  const grey = buffer("depth", width, height), tint = buffer("overlay", width, height), back = buffer("colour", width, height);
  back.clearRect(0, 0, width, height);
  if (frame.colour) back.drawImage(frame.colour, 0, 0, width, height);
  const picture = frame.colour && state.isBlended ? back.getImageData(0, 0, width, height).data : null;
  const greys = grey.createImageData(width, height), tints = tint.createImageData(width, height);
  for (let index = 0; index < depth.length; index += 1) {
    const at = 4 * index, level = shade(depth[index]);
    greys.data[at] = greys.data[at + 1] = greys.data[at + 2] = level;
    greys.data[at + 3] = tints.data[at + 3] = 255;
    const colour = isCut(index) ? [255, 40, 40] : COLOURS[label[index]];
    for (let channel = 0; channel < 3; channel += 1) {
      const below = picture ? picture[at + channel] : level;
      tints.data[at + channel] = colour ? 0.45 * below + 0.55 * colour[channel] : below;
    }
  }
  grey.putImageData(greys, 0, 0);
  tint.putImageData(tints, 0, 0);
  for (const kind of ["depth", "colour", "overlay"]) paintPane(kind);
  element("window").textContent = `${state.near.toFixed(0)} … ${state.far.toFixed(0)} mm`;
  element("tool").textContent = state.isThreshold ? "red: outside the depth window, Enter makes it background"
    : `brush ${LABELS[state.brush]}, ${state.radius} px`;
  showValue();
}

function paintPane(kind) {
  const canvas = element(kind), context = canvas.getContext("2d");
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const scale = pixelScale(canvas);
  context.setTransform(scale, 0, 0, scale, width / 2 - (state.view.x + 0.5) * scale, height / 2 - (state.view.y + 0.5) * scale);
  context.imageSmoothingEnabled = false;
  context.drawImage(buffers[kind], 0, 0);
  context.strokeStyle = "#fff";
  context.lineWidth = 1 / scale;
  context.beginPath();
  context.arc(state.cursor.x + 0.5, state.cursor.y + 0.5, kind === "overlay" ? state.radius + 0.5 : 1.5, 0, 2 * Math.PI);
  context.stroke();
}

function pixelScale(canvas) {
  return state.view.zoom * Math.min(canvas.width / state.frame.width, canvas.height / state.frame.height);
}

function showValue() {
  const { x, y } = cursorPixel();
  const index = y * state.frame.width + x, raw = state.frame.depth[index];
  element("value").textContent = `${x}, ${y}: ${raw === 0 ? "no data" : `${(raw / 10).toFixed(1)} mm`}, ${LABELS[state.frame.label[index]]}`;
}

const cursorPixel = () => ({
  x: Math.min(Math.max(Math.round(state.cursor.x), 0), state.frame.width - 1),
  y: Math.min(Math.max(Math.round(state.cursor.y), 0), state.frame.height - 1),
});

// ---- editing ----

function remember() {
  state.strokes.push(state.frame.label.slice());
  if (state.strokes.length > 50) state.strokes.shift();
}

function saveLabel() {
  const { name, label } = state.frame;
  return enqueue({ id: identity(), key: `label ${name}`, method: "PUT", url: `/api/frame/${name}/label`, bytes: base64(label) });
}

function paintDisc() {
  const { width, height, label } = state.frame, centre = cursorPixel(), radius = state.radius;
  for (let y = Math.max(0, centre.y - radius); y <= Math.min(height - 1, centre.y + radius); y += 1) {
    for (let x = Math.max(0, centre.x - radius); x <= Math.min(width - 1, centre.x + radius); x += 1) {
      if ((x - centre.x) ** 2 + (y - centre.y) ** 2 <= radius * radius) label[y * width + x] = state.brush;
    }
  }
}

function fill() {
  // The connected region of one label, up to steps in depth of more than 15 mm.
  const { width, height, label, depth } = state.frame, start = cursorPixel();
  const first = start.y * width + start.x, from = label[first], stack = [first];
  if (from === state.brush) return;
  while (stack.length) {
    const index = stack.pop();
    if (label[index] !== from) continue;
    label[index] = state.brush;
    const x = index % width, y = (index - x) / width;
    for (const [near, inside] of [[index - 1, x > 0], [index + 1, x < width - 1], [index - width, y > 0], [index + width, y < height - 1]]) {
      if (inside && label[near] === from && Math.abs(depth[near] - depth[index]) <= 150) stack.push(near);
    }
  }
}

function applyThreshold() {
  for (let index = 0; index < state.frame.label.length; index += 1) if (isCut(index)) state.frame.label[index] = 0;
  state.isThreshold = false;
}

function edit(change) {
  remember();
  change();
  draw();
  saveLabel();
}

function judge(verdict) {
  const entry = { kind: "verdict", id: identity(), frame: state.frame.name };
  state.history = [...state.history.slice(-99), entry];
  localStorage.setItem(HISTORY, JSON.stringify(state.history));
  const body = JSON.stringify({ id: entry.id, frame: entry.frame, verdict, reviewer });
  enqueue({ id: entry.id, method: "POST", url: "/api/verdict", body });
  showVerdict(verdict);
  return advance(state.frame.name);
}

async function undo() {
  if (state.frame && state.strokes.length) {
    state.frame.label.set(state.strokes.pop());
    draw();
    return saveLabel();
  }
  const entry = state.history.pop();
  if (!entry) return say("nothing to undo");
  localStorage.setItem(HISTORY, JSON.stringify(state.history));
  await enqueue({ id: identity(), method: "DELETE", url: `/api/${entry.kind}/${entry.id}` });
  say(entry.kind === "verdict" ? `verdict on frame ${entry.frame} taken back` : "labels of the following frames are back");
  state.ahead = null;
  show(await load(entry.frame));
  state.ahead = fetchNext(entry.frame);
}

function carry() {
  const entry = { kind: "carry", id: identity(), frame: state.frame.name };
  state.history = [...state.history.slice(-99), entry];
  localStorage.setItem(HISTORY, JSON.stringify(state.history));
  state.ahead = null;
  say("carrying to the following frames…");
  return enqueue({ id: entry.id, method: "POST", url: `/api/frame/${entry.frame}/carry`, body: JSON.stringify({ id: entry.id, count: 10 }) });
}

function carried(answer) {
  say(`${answer.changed.length} following frame(s) corrected`);
  state.ahead = state.frame ? fetchNext(state.frame.name) : null;
}

// ---- keys and mouse ----

function move(x, y) {
  state.cursor.x = Math.min(Math.max(state.cursor.x + x, 0), state.frame.width - 1);
  state.cursor.y = Math.min(Math.max(state.cursor.y + y, 0), state.frame.height - 1);
  // The view follows a cursor that would leave it.
  const canvas = element("overlay"), scale = pixelScale(canvas);
  const reach = { x: canvas.width / scale / 2, y: canvas.height / scale / 2 };
  for (const axis of ["x", "y"]) {
    const offset = state.cursor[axis] - state.view[axis];
    if (Math.abs(offset) > reach[axis]) state.view[axis] += offset - Math.sign(offset) * reach[axis];
  }
  draw();
}

function zoom(factor) {
  state.view.zoom = Math.min(Math.max(state.view.zoom * factor, 1), 40);
  if (state.view.zoom === 1) { state.view.x = state.frame.width / 2; state.view.y = state.frame.height / 2; }
  else { state.view.x = state.cursor.x; state.view.y = state.cursor.y; }
  draw();
}

function shiftWindow(near, far) {
  state.isFarSet = true;
  state.near = Math.max(0, Math.min(state.near + near, state.far - 1));
  state.far = Math.max(state.far + far, state.near + 1);
  draw();
}

const KEYS = {
  a: () => judge("accept"), d: () => judge("discard"), n: () => advance(state.frame.name),
  " ": () => edit(paintDisc), f: () => edit(fill), p: carry,
  Enter: () => { if (state.isThreshold) edit(applyThreshold); },
  "1": () => brush(1), "2": () => brush(2), "3": () => brush(0), "4": () => brush(255),
  "[": () => resize(-1), "]": () => resize(1),
  ",": () => shiftWindow(-5, 0), ".": () => shiftWindow(5, 0), ";": () => shiftWindow(0, -5), "'": () => shiftWindow(0, 5),
  t: () => { state.isThreshold = !state.isThreshold; draw(); },
  m: () => { state.isBlended = !state.isBlended; element("panes").classList.toggle("blended", state.isBlended); draw(); },
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4),
};

const brush = (label) => { state.brush = label; draw(); };
const resize = (step) => { state.radius = Math.min(Math.max(state.radius + step, 0), 60); draw(); };

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const step = event.shiftKey ? 10 : 1;
  const arrow = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[key];
  if (key === "u") { event.preventDefault(); undo(); return; }
  if (!state.frame || (!arrow && !KEYS[key])) return;
  event.preventDefault();
  // Until the next frame is on screen a key would mean the one before it a second time.
  if ((event.repeat || state.isSwitching) && "adnpu".includes(key)) return;
  if (arrow) move(...arrow); else KEYS[key]();
});

for (const kind of ["depth", "colour", "overlay"]) {
  const canvas = element(kind);
  const place = (event) => {
    const ratio = window.devicePixelRatio || 1, scale = pixelScale(canvas), box = canvas.getBoundingClientRect();
    state.cursor.x = (event.clientX - box.left) * ratio / scale - canvas.width / scale / 2 + state.view.x;
    state.cursor.y = (event.clientY - box.top) * ratio / scale - canvas.height / scale / 2 + state.view.y;
  };
  canvas.addEventListener("pointermove", (event) => {
    if (!state.frame) return;
    place(event);
    if (event.buttons === 1) paintDisc();
    draw();
  });
  canvas.addEventListener("pointerdown", (event) => { if (state.frame) { place(event); remember(); paintDisc(); draw(); } });
  canvas.addEventListener("pointerup", () => { if (state.frame) saveLabel(); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); if (state.frame) zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2); }, { passive: false });
}

addEventListener("resize", draw);
window.review = state;
sending = flush();
sending.then(() => get("/api/progress", "json")).then(showProgress).then(() => advance(null));
