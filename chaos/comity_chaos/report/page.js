"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const ROW = data.lanes.length > 12 ? 20 : 30, AWAY = 14, PLOT = 44, TOP = 30, CAP = 40, DOT = 4, FAULT = 14;
const KINDS = { turn: "messages", fold: "merges", ack: "acknowledged", start: "on", stop: "off", refusal: "refusals", report: "reports", frame: "frames" };
const DASHED = new Set(["stop"]);
const hidden = new Set(["ack"]), away = new Set();

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
const clock = (ms) => `${(ms / 1000).toFixed(3)} s`;

// Words

at("verdict").textContent = data.failed ? `FAIL: ${data.oracle} is broken` : "PASS: no promise was broken";
at("verdict").className = data.failed ? "bad" : "good";
at("seen").textContent = data.text;
const shrunk = data.before > data.size ? ` · shrunk from ${data.before} things to ${data.size}` : "";
at("facts").textContent = `seed ${data.seed}${shrunk} · ` + Object.entries(data.numbers).map(([name, n]) => `${n.toLocaleString()} ${name}`).join(" · ");
at("story").append(...data.story.map((line) => make("li", { textContent: line.replace(/^\d+\. /, "") })));
if (data.failed) at("story").append(make("li", { className: "bad", textContent: `${clock(data.ms)}: ${data.oracle} is seen to be broken.` }));
at("neighbour").textContent = data.neighbour ? `Without this it does not happen: ${data.neighbour}.` : data.minimal === false ? "The search ended before it was sure that nothing more can be left out." : "";
at("repro").textContent = data.repro;
at("test").textContent = data.test;
at("repeat").hidden = !data.repro;
at("norepro").hidden = Boolean(data.repro);
at("copy").addEventListener("click", () => {
  getSelection().selectAllChildren(at("repro"));
  navigator.clipboard?.writeText(data.repro);
});
at("oracles").append(...data.oracles.map(([name, count, how]) => make("li", { className: how, textContent: how === "vacuous" ? `${name}: had nothing to judge` : `${name} ${count.toLocaleString()}` })));
at("cut").hidden = !data.cut;
at("faults").tBodies[0].append(...data.faults.map((each) => make("tr", {}, make("td", { textContent: each.text }), make("td", { textContent: each.from < 0 ? "never" : clock(each.from) }), make("td", { textContent: each.bites === 1 ? "once" : each.bites ? `${each.bites} times` : "never", className: each.bites ? "" : "faint" }))));
at("faults").hidden = at("every").hidden = !data.faults.length;

// Time: each gap between two things counts CAP ms at most

const moments = data.moments, frames = data.frames, states = data.states;
const times = (() => {
  const found = new Set([0, data.span]);
  for (const m of moments) found.add(m[0]);
  for (const f of frames) { found.add(f[2]); if (f[3] !== null) found.add(f[3]); }
  for (const each of data.faults) if (each.from >= 0) { found.add(each.from); found.add(each.to); }
  return Float64Array.from(found).sort();
})();
const places = new Float64Array(times.length);
const gaps = [];
for (let i = 1; i < times.length; i++) {
  const gap = times[i] - times[i - 1];
  places[i] = places[i - 1] + Math.min(gap, CAP);
  if (gap > CAP * 5) gaps.push(i);
}
const whole = places.at(-1) || 1;
function after(list, value, of = (each) => each) { // the first index whose value is greater
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(list[middle]) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
function placeOf(ms) {
  const i = after(times, ms) - 1;
  return i < 0 ? 0 : places[i] + Math.min(ms - times[i], CAP);
}
function timeAt(place) {
  const i = Math.max(0, after(places, place) - 1);
  return times[i] + (place - places[i]);
}
for (const m of moments) m.push(placeOf(m[0]));
for (const f of frames) f.push(placeOf(f[2]), f[3] === null ? placeOf(f[2]) + CAP / 2 : placeOf(f[3]));
moments.sort((a, b) => a[0] - b[0]);
const statesOf = data.lanes.map((_, lane) => states.filter((s) => s[1] === lane));

// The drawing: only what is in view

const canvas = at("drawing"), scroll = at("scroll"), pen = canvas.getContext("2d");
let plotTop = 0, scale = 1, cursor = Infinity, chosen = null, cone = null, matches = null, rows = [];
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
let colours = {};
function recolour() {
  const probe = document.body.appendChild(document.createElement("span"));
  for (const name of ["ink", "faint", "line", "accent", "bad", "good", "warn", "frame", "band", "card"]) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}
const faultRows = data.faults.filter((each) => each.from >= 0).length;
const faultTop = TOP;
const laneTop = () => faultTop + Math.min(faultRows, 12) * FAULT + (faultRows ? 8 : 0);
function layOut() {
  rows = [];
  plotTop = laneTop();
  data.lanes.forEach((_, lane) => {
    rows[lane] = away.has(lane) ? null : plotTop + ROW / 2;
    plotTop += away.has(lane) ? AWAY : ROW;
  });
  const height = plotTop + PLOT;
  const wide = scroll.clientWidth, ratio = devicePixelRatio || 1;
  canvas.width = wide * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${height}px`;
  at("spacer").style.width = `${whole * scale + 40}px`;
  const list = at("lanes");
  list.style.paddingTop = `${laneTop()}px`;
  list.replaceChildren(...data.lanes.map(([kind, name], lane) => {
    const button = make("button", { type: "button", textContent: name, className: kind, title: kind === "liar" ? "does not keep to the protocol" : "hide or show" });
    button.style.height = `${away.has(lane) ? AWAY : ROW}px`;
    button.setAttribute("aria-pressed", String(away.has(lane)));
    button.addEventListener("click", () => { away.has(lane) ? away.delete(lane) : away.add(lane); layOut(); });
    return button;
  }), make("div", { className: "plotted", textContent: "differ" }));
  draw();
}
function draw() {
  const wide = scroll.clientWidth, ratio = devicePixelRatio || 1, from = scroll.scrollLeft;
  const x = (place) => place * scale - from + 16;
  const height = canvas.height / ratio;
  const left = (from - 16) / scale, right = (from + wide) / scale;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, wide, height);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  // faults, and their bands over the lanes that they hit
  data.faults.filter((each) => each.from >= 0).forEach((each, row) => {
    const a = x(placeOf(each.from)), b = Math.max(x(placeOf(each.to)), a + 4);
    if (b < 0 || a > wide) return;
    pen.fillStyle = colours.band;
    for (const lane of each.nodes) if (rows[lane] != null) pen.fillRect(a, rows[lane] - 9, b - a, 18);
    if (row >= 12) return;
    pen.fillStyle = each.bites ? colours.bad : colours.faint;
    pen.fillRect(a, faultTop + row * FAULT, b - a, 3);
    pen.fillText(`${each.kind} · bit ${each.bites}×`, Math.max(a, 4), faultTop + row * FAULT + 9);
  });
  // time, its gaps, the heal
  pen.fillStyle = colours.faint;
  let free = -1;
  for (let px = 0; px < wide; px += 110) {
    const place = (px + from - 16) / scale;
    if (place >= 0 && place <= whole && px > free) pen.fillText(clock(timeAt(place)), px, 10), (free = px + 70);
  }
  for (const i of gaps) if (places[i] > left && places[i] < right) pen.fillText("‖", x(places[i] - CAP / 2) - 3, 22);
  const heal = x(placeOf(data.span));
  if (data.span && data.ms >= data.span && heal > 0 && heal < wide) {
    pen.fillStyle = colours.good;
    pen.fillRect(heal, 16, 1.5, height);
    pen.fillText("healed", heal + 4, 22);
  }
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  for (const y of rows) if (y != null) line(0, y, wide, y);
  // frames
  if (!hidden.has("frame")) {
    pen.lineWidth = 1;
    for (const inCone of [false, true]) {
      if (inCone && !cone) break;
      pen.strokeStyle = inCone ? colours.accent : colours.frame;
      pen.globalAlpha = cone && !inCone ? 0.15 : inCone ? 0.9 : 0.55;
      pen.beginPath();
      const lost = [];
      for (const f of frames) {
        if (f[5] > right || f[6] < left) continue;
        if (Boolean(cone && cone.frame(f)) !== inCone) continue;
        const y = rows[f[0]], to = rows[f[1]];
        if (y == null || to == null) continue;
        if (f[3] === null) { lost.push(f); continue; }
        pen.moveTo(x(f[5]), y);
        pen.lineTo(x(f[6]), to);
      }
      pen.stroke();
      pen.strokeStyle = colours.bad;
      pen.setLineDash([3, 3]);
      pen.beginPath();
      for (const f of lost) {
        const y = rows[f[0]], to = rows[f[1]];
        pen.moveTo(x(f[5]), y);
        pen.lineTo(x(f[6]), y + (to - y) * 0.6);
      }
      pen.stroke();
      pen.setLineDash([]);
    }
    pen.globalAlpha = 1;
  }
  // how many replicas differ from most of them
  pen.fillStyle = colours.warn;
  pen.globalAlpha = 0.6;
  for (let i = Math.max(0, after(differing, left, (d) => d[0]) - 1); i < differing.length && differing[i][0] < right; i++) {
    const [place, count] = differing[i], end = differing[i + 1]?.[0] ?? whole;
    const tall = (count / data.lanes.length) * (PLOT - 10);
    if (count) pen.fillRect(x(place), plotTop + PLOT - 4 - tall, Math.max(1, (end - place) * scale), tall);
  }
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.line;
  line(0, plotTop + PLOT - 4, wide, plotTop + PLOT - 4);
  // off
  pen.strokeStyle = colours.bad;
  pen.lineWidth = 3;
  for (const [a, b, lane] of offs) if (rows[lane] != null && b > left && a < right) line(x(a), rows[lane], x(Math.min(b, whole)), rows[lane]);
  // moments
  const shades = { turn: colours.accent, fold: colours.good, ack: colours.faint, start: colours.ink, stop: colours.bad, refusal: colours.warn, report: colours.warn };
  for (let i = after(moments, left - 10, (m) => m[4]); i < moments.length && moments[i][4] < right + 10; i++) {
    const m = moments[i], y = rows[m[1]];
    if (y == null || hidden.has(m[2])) continue;
    pen.globalAlpha = (cone && !cone.moment(m)) || (matches && !matches.has(m)) ? 0.2 : 1;
    pen.fillStyle = shades[m[2]] ?? colours.ink;
    pen.beginPath();
    if (m[2] === "turn") pen.rect(x(m[4]) - DOT, y - DOT, 2 * DOT, 2 * DOT);
    else pen.arc(x(m[4]), y, m === chosen ? DOT + 2 : DOT, 0, 7);
    pen.fill();
    if (m === chosen) {
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 2;
      pen.stroke();
    }
  }
  pen.globalAlpha = 1;
  if (cursor !== Infinity) {
    pen.fillStyle = colours.ink;
    pen.fillRect(x(placeOf(cursor)), 0, 1, height);
  }
  function line(a, b, c, d) { pen.beginPath(); pen.moveTo(a, b); pen.lineTo(c, d); pen.stroke(); }
}
const offs = [];
data.lanes.forEach((_, lane) => {
  let since = null;
  for (const m of moments) {
    if (m[1] !== lane) continue;
    if (m[2] === "stop") since = m[4];
    if (m[2] === "start" && since !== null) { offs.push([since, m[4], lane]); since = null; }
  }
  if (since !== null) offs.push([since, whole, lane]);
});

const differing = (() => {
  const now = new Map(), counts = new Map(), found = [];
  for (const [ms, lane, digest] of [...states].sort((a, b) => a[0] - b[0])) {
    const before = now.get(lane);
    if (before) counts.set(before, counts.get(before) - 1);
    now.set(lane, digest);
    counts.set(digest, (counts.get(digest) ?? 0) + 1);
    found.push([placeOf(ms), now.size - Math.max(...counts.values())]);
    if (before && !counts.get(before)) counts.delete(before);
  }
  return found;
})();

// The causal cone: what led to a moment, and what it led to

function coneOf(lane, ms) {
  const back = data.lanes.map(() => -Infinity), on = data.lanes.map(() => Infinity);
  back[lane] = on[lane] = ms;
  const arrived = frames.filter((f) => f[3] !== null);
  for (const f of [...arrived].sort((a, b) => b[3] - a[3])) if (f[3] <= back[f[1]] && f[2] > back[f[0]]) back[f[0]] = f[2];
  for (const f of [...arrived].sort((a, b) => a[2] - b[2])) if (f[2] >= on[f[0]] && f[3] < on[f[1]]) on[f[1]] = f[3];
  return {
    moment: (m) => m[0] <= back[m[1]] || m[0] >= on[m[1]],
    frame: (f) => f[3] !== null && ((f[3] <= back[f[1]] && f[2] <= back[f[0]]) || f[2] >= on[f[0]]),
  };
}

// The cursor: what each replica showed then

function show(ms, moment) {
  cursor = ms;
  chosen = moment;
  cone = moment ? coneOf(moment[1], moment[0]) : null;
  at("cursor").textContent = ms === Infinity ? "At the end" : `At ${clock(ms)}`;
  at("chosen").textContent = moment ? `${data.lanes[moment[1]][1]} ${moment[3]}` : "";
  const now = data.lanes.map((_, lane) => statesOf[lane].filter((s) => s[0] <= ms).at(-1));
  const counts = new Map();
  for (const s of now) if (s) counts.set(s[2], (counts.get(s[2]) ?? 0) + 1);
  const most = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  const usual = now.find((s) => s && s[2] === most);
  const place = placeOf(Math.min(ms, times.at(-1)));
  const alike = new Map(); // digest -> lanes
  now.forEach((s, lane) => s && alike.set(s[2], [...(alike.get(s[2]) ?? []), lane]));
  at("states").replaceChildren(...[...alike].sort((a, b) => b[1].length - a[1].length).map(([digest, lanes]) => {
    const differs = counts.size > 1 && digest !== most, s = now[lanes[0]];
    const names = lanes.map((lane) => data.lanes[lane][1] + (offs.some(([a, b, l]) => l === lane && a <= place && place <= b) ? " (off)" : ""));
    const since = Math.max(...lanes.map((lane) => now[lane][0]));
    return make("article", { className: differs ? "differs" : "" }, make("h3", { textContent: names.join(", ") }), make("p", { className: "faint", textContent: `${differs ? "differs, " : ""}state ${digest}, since ${clock(since)}` }), ...fields(s, usual));
  }));
  draw();
}
function fields(s, usual) {
  let value, other;
  try { value = JSON.parse(s[3]); other = usual ? JSON.parse(usual[3]) : value; } catch { return [make("p", { textContent: s[3] })]; }
  return Object.entries(value).map(([name, each]) => {
    const text = JSON.stringify(each), same = JSON.stringify(other[name]) === text;
    return make("p", {}, `${name}: `, same ? text : make("mark", { textContent: text }));
  });
}

// Over the whole run, with the faults as bands: lag, latency, what waits

function plot(name, points, unit) { // points: [ms, value]; of those at one pixel the greatest counts
  const most = points.reduce((top, [, value]) => Math.max(top, value), 0);
  const drawing = make("canvas", { role: "img" });
  drawing.setAttribute("aria-label", `${name} over time`);
  at("plots").append(make("figure", {}, make("figcaption", { textContent: `${name}: at most ${unit(most)}` }), drawing));
  const wide = Math.max(1, drawing.clientWidth), tall = drawing.clientHeight, ratio = devicePixelRatio || 1, brush = drawing.getContext("2d");
  drawing.width = wide * ratio;
  drawing.height = tall * ratio;
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  const x = (ms) => (placeOf(ms) / whole) * wide, y = (value) => tall - 3 - (value / (most || 1)) * (tall - 8);
  brush.fillStyle = colours.band;
  for (const each of data.faults) if (each.from >= 0) brush.fillRect(x(each.from), 0, Math.max(2, x(each.to) - x(each.from)), tall);
  if (data.span && data.ms >= data.span) {
    brush.fillStyle = colours.good;
    brush.fillRect(x(data.span), 0, 1.5, tall);
  }
  const tops = new Float64Array(Math.ceil(wide));
  for (const [ms, value] of points) {
    const pixel = Math.max(0, Math.min(tops.length - 1, Math.floor(x(ms))));
    tops[pixel] = Math.max(tops[pixel], value);
  }
  brush.strokeStyle = colours.accent;
  brush.lineWidth = 1.5;
  brush.beginPath();
  tops.forEach((value, pixel) => (pixel ? brush.lineTo(pixel, y(value)) : brush.moveTo(0, y(value))));
  brush.stroke();
}
function plotAll() {
  at("plots").replaceChildren();
  let most = 0;
  const lag = data.measures.map(([ms, , commits]) => [ms, (most = Math.max(most, commits)) - commits]);
  plot("Commits behind whoever had most", lag, (value) => String(value));
  plot("Frames on their way", frames.filter((f) => f[3] !== null).map((f) => [f[3], f[3] - f[2]]), (value) => `${value.toFixed(1)} ms`);
  plot("What waits in the memory of a node", data.measures.map(([ms, , , waiting]) => [ms, waiting]), (value) => String(value));
}

// What a person does

function pick(event) {
  const box = canvas.getBoundingClientRect();
  const px = event.clientX - box.left, y = event.clientY - box.top;
  const place = (px + scroll.scrollLeft - 16) / scale;
  let best = null, far = 12;
  for (let i = after(moments, place - 14 / scale, (m) => m[4]); i < moments.length && moments[i][4] < place + 14 / scale; i++) {
    const m = moments[i];
    if (hidden.has(m[2]) || rows[m[1]] == null) continue;
    const away_ = Math.hypot((m[4] - place) * scale, rows[m[1]] - y);
    if (away_ < far) [best, far] = [m, away_];
  }
  show(best ? best[0] : Math.max(times[0], timeAt(Math.max(0, place))), best);
}
canvas.addEventListener("click", pick);
scroll.addEventListener("scroll", () => requestAnimationFrame(draw));
scroll.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const shown = moments.filter((m) => !hidden.has(m[2]) && rows[m[1]] != null);
  const i = chosen ? shown.indexOf(chosen) + step : step > 0 ? 0 : shown.length - 1;
  const next = shown[Math.max(0, Math.min(shown.length - 1, i))];
  if (next) reveal(next);
});
function reveal(moment) {
  show(moment[0], moment);
  const px = moment[4] * scale - scroll.scrollLeft;
  if (px < 40 || px > scroll.clientWidth - 40) scroll.scrollLeft = moment[4] * scale - scroll.clientWidth / 2;
}
function zoom(factor) {
  const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / scale;
  scale = Math.min(200, Math.max(smallest(), scale * factor));
  layOut();
  scroll.scrollLeft = middle * scale - scroll.clientWidth / 2;
}
const smallest = () => Math.max(0.0001, (scroll.clientWidth - 60) / whole);
at("wide").addEventListener("click", () => zoom(2));
at("narrow").addEventListener("click", () => zoom(0.5));
at("fit").addEventListener("click", () => { scale = smallest(); layOut(); });
at("search").addEventListener("input", () => {
  const word = at("search").value.trim().toLowerCase();
  matches = word ? new Set(moments.filter((m) => m[3].toLowerCase().includes(word) || data.lanes[m[1]][1].includes(word))) : null;
  at("found").textContent = matches ? `${matches.size} found` : "";
  const first = matches && [...matches].find((m) => !hidden.has(m[2]));
  if (first) reveal(first);
  else draw();
});
at("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !matches?.size) return;
  const list = [...matches].filter((m) => !hidden.has(m[2]));
  if (list.length) reveal(list[(list.indexOf(chosen) + 1) % list.length]);
});
const there = new Set([...moments.map((m) => m[2]), "frame"]);
at("kinds").append(...Object.entries(KINDS).filter(([kind]) => there.has(kind)).map(([kind, name]) => {
  const box = make("input", { type: "checkbox", checked: !hidden.has(kind) });
  box.addEventListener("change", () => { box.checked ? hidden.delete(kind) : hidden.add(kind); draw(); });
  return make("label", {}, box, ` ${name}`);
}));
addEventListener("resize", () => { layOut(); plotAll(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { recolour(); draw(); plotAll(); });
recolour();
scale = smallest();
layOut();
plotAll();
show(Infinity, null);
document.documentElement.dataset.ready = "yes";
document.documentElement.dataset.ms = String(Math.round(performance.now()));
