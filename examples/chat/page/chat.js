import { attempt, make, open, share } from "/comity.js";

const at = (id) => document.getElementById(id);
let read = null; // by author: how far was read when the page was opened, or last looked away
const known = new Set(); // messages that were drawn
let chat = null;
chat = await open(draw);
draw(chat.now);

at("title").addEventListener("change", () => attempt(() => chat.call("rename", at("title").value)));
at("share").addEventListener("click", () => share(chat));
at("naming").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => chat.call("call_me", at("name").value));
});
at("saying").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = at("text").value;
  if (text.trim() && (await attempt(() => chat.call("say", text)))) {
    at("text").value = "";
    read = null; // who answers has read
    grow();
  }
  at("text").focus();
});
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("saying").requestSubmit();
  }
});
at("text").addEventListener("input", grow);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") read = null; // all that was shown
  draw(chat.now);
});

function grow() {
  at("text").style.height = "auto";
  at("text").style.height = `${at("text").scrollHeight + 2}px`;
}

function draw(now) {
  if (!chat) return;
  const { state, members, me, role, links } = now;
  const writes = ["admin", "writer"].includes(role);
  const name = (device) => state.people[device] ?? device.slice(0, 8);
  if (document.activeElement !== at("title")) at("title").value = state.title;
  const others = members.filter((each) => each.device !== me);
  const online = others.filter((each) => each.online).map((each) => name(each.device));
  at("who").textContent =
    (others.length ? `${others.length + 1} in this group, ` + (online.length ? `online: ${online.join(", ")}` : "nobody else online") : "on this device only") +
    (links || !others.length ? "" : " · offline: what you say is kept and sent later");
  at("share").hidden = role !== "admin";
  at("naming").hidden = !writes || me in state.people;
  at("saying").hidden = !writes || !(me in state.people);

  const messages = Object.entries(state.messages)
    .map(([key, said]) => ({ key, maker: key.slice(0, 64), ...said }))
    .sort((a, b) => a.place - b.place || (a.key < b.key ? -1 : 1));
  const mark = (reader, author) => state.seen[`${reader}/${author}`] ?? 0;
  const unread = messages.filter((each) => each.maker !== me && each.place > mark(me, each.maker));
  document.title = (unread.length ? `(${unread.length}) ` : "") + (state.title || "Chat");
  const looking = document.visibilityState === "visible";
  const arrived = messages.filter((each) => !known.has(each.key));
  if (read && looking) for (const each of arrived) read[each.maker] = each.place;
  read ??= Object.fromEntries(messages.map((each) => [each.maker, mark(me, each.maker)]));
  for (const each of arrived) known.add(each.key);

  const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 40;
  const before = new Map([...at("messages").children].map((each) => [each.dataset.shown, each]));
  const rows = [];
  let told = false;
  for (const each of messages) {
    if (!told && each.maker !== me && each.place > (read[each.maker] ?? 0)) {
      told = true;
      rows.push(make("li", { class: "new" }, "new"));
    }
    const by = others.filter((member) => member.device !== each.maker && mark(member.device, each.maker) >= each.place);
    const shown = JSON.stringify([each, name(each.maker), writes, by.length]);
    rows.push(before.get(shown) ?? row(each, { mine: each.maker === me, name, writes, by, shown }));
  }
  at("messages").replaceChildren(...rows);
  at("empty").hidden = messages.length > 0;
  if (atEnd) window.scrollTo(0, document.body.scrollHeight);
  if (writes && unread.length && looking) {
    const shown = Object.entries(Object.fromEntries(unread.map((each) => [each.maker, each.place])));
    chat.call("see", shown).catch(() => {});
  }
}

function row({ key, maker, text, sent, edited }, { mine, name, writes, by, shown }) {
  const when = new Date(sent).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" });
  const facts = [mine ? when : `${name(maker)} · ${when}`];
  if (edited && text) facts.push("edited");
  if (mine && by.length) facts.push(`read by ${by.map((each) => name(each.device)).join(", ")}`);
  const line = make("small", { class: "faint" }, facts.join(" · "));
  const found = make(
    "li", { class: `${mine ? "mine" : ""} ${text ? "" : "gone"}`, "data-key": key, "data-shown": shown },
    make("span", { class: "said" }, text || "taken back"), line,
  );
  if (mine && writes && text) {
    const edit = make("button", { type: "button", "aria-label": `Edit: ${text}` }, "edit");
    edit.addEventListener("click", () => correct(found, key, text));
    const back = make("button", { type: "button", "aria-label": `Take back: ${text}` }, "take back");
    back.addEventListener("click", () => attempt(() => chat.call("take_back", key)));
    line.append(" ", edit, back);
  }
  return found;
}

function correct(row, key, text) {
  const area = make("textarea", { class: "wide", rows: 2, maxlength: 4000, "aria-label": "In other words" });
  area.value = text;
  const form = make("form", { class: "row" }, area, make("button", { class: "first" }, "Save"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await attempt(() => chat.call("edit", key, area.value))) draw(chat.now);
  });
  row.dataset.shown = ""; // drawn anew at the next change
  row.replaceChildren(form);
  area.focus();
}
