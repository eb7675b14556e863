import { attempt, lookBack, make, open, share, splice } from "/comity.js";

const at = (id) => document.getElementById(id);
const area = at("text");

// The text of the node that the area was last brought up to. What differs is typed here, and on
// its way: edits go one at a time, each with the text that it was made on.
let known = "";
let sending = false;
let reading = false;
let note = null;
note = await open(draw);
send();
read();

function draw({ state, members, me, role }) {
  document.title = state.title || "Notes";
  if (document.activeElement !== at("title")) at("title").value = state.title;
  const online = members.filter((each) => each.online && each.device !== me).length;
  at("who").textContent = members.length > 1 ? `shared with ${members.length - 1}, ${online} online` : "on this device only";
  at("share").hidden = role !== "admin";
  area.readOnly = role === null || role === "reader";
  for (const tool of document.querySelectorAll("#tools button")) tool.disabled = area.readOnly && tool.id !== "history";
  if (!sending) take(state.text);
  if (!reading) read();
}

// As it reads: the text with its marks, asked for after each change, once at a time

async function read() {
  reading = true;
  let drawn = null;
  while (note && drawn !== note.now) {
    drawn = note.now;
    const spans = await note.call("marked").catch(() => null);
    if (spans) drawMarks(note.now.state.text, spans);
  }
  reading = false;
}

function drawMarks(text, spans) {
  const characters = Array.from(text);
  const said = new Map(); // comment -> the words that it is about
  const parts = [];
  let end = 0;
  for (const [start, stop, marks] of spans) {
    const words = characters.slice(start, stop).join("");
    parts.push(characters.slice(end, start).join(""), styled(words, marks));
    for (const each of marks.comment ?? []) said.set(each, (said.get(each) ?? "") + words);
    end = stop;
  }
  parts.push(characters.slice(end).join(""));
  at("read").replaceChildren(...parts.filter((each) => each !== ""));
  at("comments").replaceChildren(
    ...Array.from(said, ([what, words]) =>
      make(
        "li",
        {},
        make("span", {}, make("blockquote", {}, words.length > 80 ? `${words.slice(0, 80)}…` : words), what),
        make("button", { type: "button", disabled: area.readOnly, onclick: () => attempt(() => note.call("resolve", what)) }, "Resolve"),
      ),
    ),
  );
}

function styled(words, marks) {
  let shown = document.createTextNode(words);
  const address = marks.link?.[0];
  // what a peer wrote may be any text: only these are followed
  if (address && /^(https?:\/\/|mailto:)/.test(address)) shown = make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, shown);
  if (marks.bold) shown = make("strong", {}, shown);
  if (marks.italic) shown = make("em", {}, shown);
  if (marks.comment) shown = make("span", { class: "remark", title: marks.comment.join("\n") }, shown);
  return shown;
}

/** Do something with the words that are chosen; say so if none are. */
function chosen(act) {
  const [from, to] = [place(area.selectionStart), place(area.selectionEnd)];
  const text = known;
  return attempt(async () => {
    if (from === to) throw new Error("Choose some words of the text first.");
    if (!(await act(text, from, to))) throw new Error("Somebody deleted these words: choose again.");
    area.focus();
  });
}

/** Ask for a line of text in a dialog; resolves to what `use` makes of it, true if it is given up. */
function enter(title, placeholder, use) {
  let settle;
  const result = new Promise((done) => (settle = done));
  const field = make("input", { "aria-label": title, placeholder });
  const form = make("form", {}, make("h2", {}, title), make("div", { class: "row" }, field, make("button", { class: "first" }, "Done")));
  const dialog = make("dialog", {}, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    settle(use(field.value.trim()));
    dialog.close();
  });
  dialog.addEventListener("close", () => {
    settle(true);
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  return result;
}

/** Put what others typed into the area; what was typed here meanwhile, and the caret, keep their place. */
function take(text) {
  const theirs = splice(known, text);
  const mine = splice(known, area.value);
  known = text;
  if (!theirs.deleted && !theirs.inserted) return;
  const characters = Array.from(area.value);
  const shift = Array.from(mine.inserted).length - mine.deleted;
  const start = theirs.start > mine.start ? Math.max(mine.start, theirs.start + shift) : theirs.start;
  const caret = { from: place(area.selectionStart), to: place(area.selectionEnd) };
  characters.splice(start, theirs.deleted, ...theirs.inserted);
  area.value = characters.join("");
  area.setSelectionRange(units(moved(caret.from)), units(moved(caret.to)));

  function moved(index) {
    if (index <= start) return index;
    const inserted = Array.from(theirs.inserted).length;
    return Math.max(start, index - theirs.deleted) + inserted;
  }
}

async function send() {
  if (sending) return;
  sending = true;
  while (area.value !== known) {
    const mine = area.value;
    let now = null;
    const worked = await attempt(async () => {
      now = await note.call("write", known, mine);
    });
    if (!worked) break; // what is typed stays in the area, and goes with the next key
    known = mine;
    take(now);
  }
  sending = false;
}

/** Convert between what the browser counts, UTF-16 units, and characters. */
function place(units) {
  return Array.from(area.value.slice(0, units)).length;
}
function units(place) {
  return Array.from(area.value).slice(0, place).join("").length;
}

area.addEventListener("input", send);
for (const tool of document.querySelectorAll("[data-style]")) {
  tool.addEventListener("click", () => chosen((text, from, to) => note.call(tool.dataset.style, text, from, to)));
}
at("link").addEventListener("click", () => chosen((text, from, to) => enter("Link", "https://… or nothing, to take it away", (address) => note.call("link", text, from, to, address))));
at("comment").addEventListener("click", () => chosen((text, from, to) => enter("Comment", "what you want to say", (what) => note.call("comment", text, from, to, what))));
at("undo").addEventListener("click", () => attempt(() => note.undo()));
at("redo").addEventListener("click", () => attempt(() => note.redo()));
at("history").addEventListener("click", () => lookBack(note, (state) => document.createTextNode(state.text || "—")));
at("title").addEventListener("change", () => attempt(() => note.call("rename", at("title").value)));
at("share").addEventListener("click", () => share(note));
