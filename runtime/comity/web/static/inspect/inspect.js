import { ask, attempt, follow, make } from "/comity.js";

const at = (id) => document.getElementById(id);
const short = (id) => (id ? id.slice(0, 8) : "?");
const request = (what, fields = {}) => ask("/comity/ask", { do: what, ...fields });
const WHOLE = "";

let status = null;
let chosen = null; // an actor's id, WHOLE for the node itself; null before the first state
let drawn = ""; // what is shown of the chosen one, so that it is asked for only when it changed
let described = null;
let turns = []; // the newest of the chosen actor, the newest last
let moment = null; // the turn after which the fields are shown; null for now

follow("/comity/live", (now) => {
  if (now.error) {
    at("node").textContent = now.error;
    return;
  }
  status = now;
  if (chosen === null || (chosen && !status.topics.some((each) => each.actor === chosen))) {
    chosen = status.topics[0]?.actor ?? WHOLE;
  }
  draw();
});

function draw() {
  const up = status.links.filter((each) => each.device).length;
  at("node").textContent = `device ${short(status.device)} · ${up} link${up === 1 ? "" : "s"} · ${status.crypto}`;
  at("actors").replaceChildren(
    ...status.topics.map((each) =>
      choice(each.actor, each.type, `${short(each.actor)} · ${each.commits} commits${each.open ? "" : " · closed"}`),
    ),
    choice(WHOLE, "This node", "links, refusals"),
  );
  at("whole").hidden = chosen !== WHOLE;
  at("actor").hidden = chosen === WHOLE;
  if (chosen === WHOLE) drawNode();
  else drawActor(status.topics.find((each) => each.actor === chosen));
}

function choice(id, name, about) {
  const button = make("button", { type: "button", "aria-current": String(id === chosen) }, name, make("small", {}, about));
  button.addEventListener("click", () => {
    chosen = id;
    drawn = "";
    moment = null;
    draw();
    at("actors").querySelector('[aria-current="true"]').focus();
  });
  return button;
}

for (const what of ["undo", "redo"]) {
  at(what).addEventListener("click", () => attempt(() => request(what, { actor: chosen })));
}

function drawNode() {
  attempt(async () => {
    const { letters } = await request("dead_letters");
    at("letters").replaceChildren(
      ...letters.reverse().map((each) => make("li", {}, `${when(each.at)} · ${each.type}.${each.method}: ${each.reason}`)),
    );
  });
  const rows = [
    ["device", make("code", {}, status.device)],
    ["address", status.address || "takes no connections"],
    ["relay", status.relay ? "yes: keeps sealed changes for others" : "no"],
    ["cryptography", status.crypto],
    ...status.shelves.map((each) => ["keeps", `${short(each.actor)}: ${each.commits} commits, ${each.bytes} bytes`]),
    ...(status.formers ?? []).map((each) => ["was before", `${short(each.device)}: ${each.why}`]),
  ];
  at("about").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  at("links").replaceChildren(
    ...status.links.map((each) => make("li", {}, each.device ? make("code", {}, short(each.device)) : "(shaking hands)", ` ${each.address}`)),
  );
  at("refusals").replaceChildren(
    ...Object.entries(status.refusals).map(([reason, count]) => make("li", { class: "bad" }, `${count} × ${reason}`)),
  );
}

async function drawActor(topic) {
  const online = status.links.map((each) => each.device).join();
  const now = [topic.actor, topic.commits, topic.hidden, topic.open, topic.heads, online].join();
  if (now === drawn) return;
  drawn = now;
  const actor = topic.actor;
  at("name").textContent = topic.type;
  at("facts").textContent =
    `${actor.slice(0, 16)} · ${topic.commits} commits` +
    (topic.hidden ? `, ${topic.hidden} do not count` : "") +
    (topic.orphans ? `, ${topic.orphans} wait for others` : "");
  await attempt(async () => {
    const [found, members, log] = await Promise.all([
      topic.open ? Promise.all([request("describe", { actor }), request("snapshot", { actor }), request("history", { actor, newest: TURNS })]) : null,
      request("members", { actor }),
      request("log", { actor, count: 200 }),
    ]);
    if (chosen !== actor) return;
    drawFields(actor, found);
    drawMembers(actor, members.members);
    drawLog(log.commits, members.members);
  }).then((worked) => {
    if (!worked) drawn = "";
  });
}

// Fields: shown, and edited where a plain write makes sense

function drawFields(actor, found) {
  for (const part of ["sending", "past", "about-moment"]) at(part).hidden = !found;
  if (!found) {
    at("fields").replaceChildren(make("p", { class: "faint" }, "Closed here: run its app to see the fields."));
    return;
  }
  const [about, { state }, past] = found;
  present = { about, state };
  turns = past.turns;
  drawMoment();
  if (described !== actor) {
    described = actor;
    at("message").replaceChildren(
      ...about.messages.map((each) => make("option", { value: each.slice(0, each.indexOf("(")) }, each)),
    );
    at("reply").textContent = "";
  }
  if (!moment) drawState(actor, about.fields, state);
}

function drawState(actor, fields, state) {
  at("fields").replaceChildren(...fields.map((field) => shown(actor, field, state[field.name])));
}

// The past: the slider has a place for each turn, and a last one for now

const TURNS = 200;
let present = null;
let sought = 0; // counts the moments asked for, so that a late answer is not drawn

function drawMoment() {
  const place = moment ? turns.findIndex((each) => each.turn === moment) : -1;
  const isPast = place >= 0;
  if (!isPast) moment = null;
  const slider = at("moment");
  slider.max = String(turns.length);
  slider.value = String(isPast ? place : turns.length);
  slider.disabled = !turns.length;
  at("restore").disabled = at("now").disabled = !isPast;
  const turn = isPast ? turns[place] : null;
  const text = turn
    ? `after turn ${place + 1} of ${turns.length} · ${when(turn.time)} · by ${by(turn.author)} · wrote ${turn.fields.join(", ") || "nothing"}${turn.visible ? "" : " · does not count now"}`
    : `as they are now; slide back over the newest ${turns.length} turns`;
  at("about-moment").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  at("fields").classList.toggle("past", isPast);
}

function by(device) {
  return device === status.device ? "this device" : short(device);
}

async function seek(place) {
  moment = turns[place]?.turn ?? null;
  drawMoment();
  const actor = chosen;
  const asked = ++sought;
  if (!moment) {
    drawState(actor, present.about.fields, present.state);
    return;
  }
  const wrote = turns[place].fields;
  await attempt(async () => {
    const { state } = await request("at", { actor, turn: moment });
    if (asked !== sought || actor !== chosen) return;
    drawState(actor, present.about.fields.map((field) => ({ ...field, edits: [] })), state);
    for (const name of wrote) document.querySelector(`[data-field="${CSS.escape(name)}"]`)?.classList.add("wrote");
  });
}

let settling = null;
at("moment").addEventListener("input", () => {
  clearTimeout(settling);
  settling = setTimeout(() => seek(Number(at("moment").value)), 80);
});
at("now").addEventListener("click", () => seek(turns.length));
at("restore").addEventListener("click", () => {
  const turn = moment;
  attempt(async () => {
    const { fields } = await request("restore", { actor: chosen, turn });
    await seek(turns.length);
    at("about-moment").textContent = fields.length ? `restored ${fields.join(", ")}; Undo takes it back` : "nothing differed";
  });
});

function shown(actor, field, value) {
  const can = (action) => field.edits.includes(action);
  const edit = (action, key, fresh) => request("edit", { actor, field: field.name, action, key, value: fresh });
  const body = Array.isArray(value) || (value && typeof value === "object") ? entries() : plain();
  const add = can("put") && field.kind === "Map" ? "put" : can("add") ? "add" : null;
  return make(
    "div",
    { class: "field", "data-field": field.name },
    make(
      "header",
      {},
      make("strong", {}, field.name),
      make("small", {}, field.kind + (field.of.length ? ` of ${field.of.join(" to ")}` : "")),
      can("set") ? button("Edit", `Edit ${field.name}`, () => change(field, value, null, (_, now) => edit("set", null, now))) : null,
      add ? button("Add", `Add to ${field.name}`, () => change(field, null, add === "put" ? "" : null, (key, now) => edit(add, key, now))) : null,
    ),
    body,
  );

  function plain() {
    return make("pre", {}, value === null || value === "" ? "—" : typeof value === "string" ? value : JSON.stringify(value));
  }
  function entries() {
    const isList = Array.isArray(value);
    const rows = Object.entries(value).map(([key, each]) => {
      const text = typeof each === "string" ? each : JSON.stringify(each);
      const named = field.kind === "Set" ? text : key;
      return make(
        "div",
        { class: "entry" },
        make("span", {}, isList ? text : `${key}: ${text}`),
        can("put") ? button("Edit", `Edit ${key}`, () => change(field, each, null, (_, now) => edit("put", key, now))) : null,
        can("drop") ? button("✕", `Delete ${named}`, () => attempt(() => edit("drop", named))) : null,
      );
    });
    return make("div", {}, ...(rows.length ? rows : [make("pre", {}, "—")]));
  }
}

function button(text, label, onclick) {
  return make("button", { type: "button", class: "small", "aria-label": label, onclick }, text);
}

/** Ask for a value, and for a key if `key` is not null, in a dialog; then write it. */
function change(field, value, key, write) {
  const type = field.of.at(-1) ?? { Flag: "bool", Counter: "int", Text: "str" }[field.kind];
  const text = make("textarea", { rows: "4", "aria-label": `Value, ${type}` });
  const isText = type === "str" || typeof value === "string";
  text.value = value === null ? "" : isText ? value : JSON.stringify(value);
  const name = key === null ? null : make("input", { "aria-label": "Key", placeholder: `key (${field.of[0]})`, required: true });
  const wrong = make("p", { class: "bad", role: "alert" });
  const form = make(
    "form",
    {},
    make("h2", {}, field.name),
    name,
    make("p", { class: "faint" }, type === "str" ? "Text" : `${type}, as JSON`),
    text,
    wrong,
    make("div", { class: "row" }, make("button", { class: "first" }, "Write"), make("button", { type: "button", onclick: () => dialog.close() }, "Cancel")),
  );
  const dialog = make("dialog", {}, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await write(name?.value ?? null, parsed(text.value, type));
      dialog.close();
    } catch (error) {
      wrong.textContent = error.message;
    }
  });
  show(dialog);
}

function parsed(text, type) {
  if (type === "str") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text; // the node says what would fit
  }
}

function show(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

at("sending").addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = [...at("words").value.matchAll(/"([^"]*)"|(\S+)/g)].map((found) => found[1] ?? found[2]);
  try {
    const { value } = await request("message", { actor: chosen, method: at("message").value, words });
    at("reply").textContent = `replied ${JSON.stringify(value)}`;
    at("reply").className = "good";
    at("words").value = "";
  } catch (error) {
    at("reply").textContent = error.message;
    at("reply").className = "bad";
  }
});

// Members

function drawMembers(actor, members) {
  const isAdmin = members.some((each) => each.this && each.role === "admin");
  at("inviting").hidden = !isAdmin;
  at("members").tBodies[0].replaceChildren(
    ...members.map((each) =>
      make(
        "tr",
        { "data-device": each.device },
        make("td", {}, make("code", { title: each.device }, short(each.device))),
        make("td", {}, each.role),
        make("td", { class: each.online ? "good" : "faint" }, each.this ? "this device" : each.online ? "online" : "away"),
        make("td", {}, isAdmin && !each.this ? button("Remove", `Remove ${short(each.device)}`, () => remove(actor, each.device)) : ""),
      ),
    ),
  );
}

function remove(actor, device) {
  const dialog = make(
    "dialog",
    {},
    make("h2", {}, `Remove ${short(device)}?`),
    make("p", {}, "What it wrote before stays; what it writes without knowing of this is hidden. The key changes."),
    make(
      "div",
      { class: "row" },
      make("button", { type: "button", class: "first", onclick: async () => {
        await attempt(() => request("remove", { actor, device }));
        dialog.close();
      } }, "Remove"),
      make("button", { type: "button", onclick: () => dialog.close() }, "Keep"),
    ),
  );
  show(dialog);
}

at("inviting").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const { link, qr } = await request("invite", { actor: chosen, role: at("role").value, hours: 168 });
    const code = new Image();
    code.src = `data:image/svg+xml,${encodeURIComponent(qr.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"'))}`;
    code.alt = "QR code of the link";
    const field = make("textarea", { readonly: true, rows: "4", "aria-label": "Invite link" }, link);
    const dialog = make(
      "dialog",
      {},
      make("h2", {}, `Let one device in, as ${at("role").value}`),
      make("p", {}, "Hand this over in private: whoever has it first can use it, once, within a week."),
      code,
      field,
      make("div", { class: "row" }, make("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    );
    show(dialog);
    field.select();
  });
});

// Commits: a list, and the graph drawn beside it, a row each

const ROW = 32;
const LANE = 18;

function drawLog(commits, members) {
  const own = members.find((each) => each.this)?.device;
  const authors = [...new Set([own, ...commits.map((each) => each.author)])].filter(Boolean);
  const rows = [...commits].reverse();
  const place = new Map(rows.map((each, row) => [each.id, { x: LANE * (authors.indexOf(each.author) + 0.5), y: ROW * (row + 0.5) }]));
  const svg = draw_("svg", { width: LANE * Math.max(1, authors.length), height: ROW * rows.length, "aria-hidden": "true" });
  for (const each of rows) {
    const from = place.get(each.id);
    for (const parent of each.parents) {
      const to = place.get(parent) ?? { x: from.x, y: ROW * rows.length };
      const bend = Math.min(ROW, to.y - from.y) / 2;
      svg.append(draw_("path", { d: `M${from.x} ${from.y}C${from.x} ${from.y + bend} ${to.x} ${from.y + bend} ${to.x} ${from.y + 2 * bend}V${to.y}` }));
    }
  }
  for (const each of rows) {
    const { x, y } = place.get(each.id);
    const lane = `lane${authors.indexOf(each.author) % 6}`;
    svg.append(draw_("circle", { cx: x, cy: y, r: 5, class: each.counts ? lane : `${lane} hollow` }));
  }
  const list = make(
    "ol",
    {},
    ...rows.map((each) => {
      const who = each.author === own ? "this device" : short(each.author);
      const what = each.turns === 1 ? "1 turn" : each.turns ? `${each.turns} turns` : "rights";
      const text = `${when(each.wall)} · ${who} · ${what}${each.counts ? "" : " · does not count"}`;
      return make("li", {}, make("button", { type: "button", title: each.id, onclick: () => tell(each, who) }, text));
    }),
  );
  at("log").replaceChildren(svg, list);
}

function tell(commit, who) {
  const rows = [
    ["commit", make("code", {}, commit.id)],
    ["by", who === "this device" ? who : make("code", {}, commit.author)],
    ["its clock said", new Date(commit.wall).toLocaleString()],
    ["turns", String(commit.turns)],
    ["made on", make("code", {}, commit.parents.map(short).join(" ") || "nothing: it founded the actor")],
    ["counts", commit.counts ? "yes" : "no"],
  ];
  const dialog = make(
    "dialog",
    {},
    make("h2", {}, `Commit ${short(commit.id)}`),
    make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    make("p", {}, commit.why),
    commit.counts ? null : make("button", { type: "button", onclick: async () => {
      await attempt(() => request("adopt", { actor: chosen, commit: commit.id }));
      dialog.close();
    } }, "Adopt it: let it count"),
    make("button", { type: "button", onclick: () => dialog.close() }, "Close"),
  );
  show(dialog);
}

function when(wall) {
  const time = new Date(wall);
  const today = time.toDateString() === new Date().toDateString();
  return today ? time.toLocaleTimeString() : time.toLocaleString();
}

function draw_(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

at("asking").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    at("because").textContent = (await request("why", { commit: at("commit").value.trim() })).why;
  } catch (error) {
    at("because").textContent = error.message;
  }
});
