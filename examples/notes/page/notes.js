import { attempt, open, share, splice } from "/comity.js";

const at = (id) => document.getElementById(id);
const area = at("text");

// The text of the node that the area was last brought up to. What differs is typed here, and on
// its way: edits go one at a time, each with the text that it was made on.
let known = "";
let sending = false;
const note = await open(draw);
send();

function draw({ state, members, me, role }) {
  document.title = state.title || "Notes";
  if (document.activeElement !== at("title")) at("title").value = state.title;
  const online = members.filter((each) => each.online && each.device !== me).length;
  at("who").textContent = members.length > 1 ? `shared with ${members.length - 1}, ${online} online` : "on this device only";
  at("share").hidden = role !== "admin";
  area.readOnly = role === null || role === "reader";
  if (!sending) take(state.text);
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
at("title").addEventListener("change", () => attempt(() => note.call("rename", at("title").value)));
at("share").addEventListener("click", () => share(note));
