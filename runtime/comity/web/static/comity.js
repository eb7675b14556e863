// What every page of Comity may use: the state of its actor, live, and its messages.
//
//   import { open } from "/comity.js";
//   const todo = await open((now) => draw(now.state));
//   await todo.call("add", "milk");
//
// The token comes in the fragment of the address that the node printed. It is kept for this
// origin and tab, taken out of the address bar, and said in a header with every request.

const KEY = "comity-token";
const WAITS = [300, 600, 1200, 2500, 5000];

export class CallError extends Error {
  constructor({ kind, type = "", text, retry = false }) {
    super(text);
    this.name = "CallError";
    this.kind = kind; // "usage", "raised", "world" or "page"
    this.type = type; // of what the message raised, its class
    this.retry = retry;
  }
}

function token() {
  const found = window.location.hash.slice(1);
  if (found.length > 20) {
    window.sessionStorage.setItem(KEY, found);
    window.history.replaceState(null, "", window.location.pathname);
  }
  return window.sessionStorage.getItem(KEY) ?? "";
}

/** Send a request to the node of this page, and return its value. Throws CallError. */
export async function ask(path, fields) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { Authorization: `Bearer ${token()}`, "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
  } catch {
    throw new CallError({ kind: "page", text: "The node does not answer: has it stopped?", retry: true });
  }
  if (answer.status === 401) throw gone();
  const told = answer.headers.get("content-type")?.includes("json") ? await answer.json() : null;
  if (told && "value" in told) return told.value;
  throw new CallError(told?.error ?? { kind: "page", text: `${answer.status} ${await answer.text()}` });
}

function gone() {
  return new CallError({
    kind: "page",
    text: "This tab belongs to an earlier run of the node, or was opened without its link: open the link that was printed last.",
  });
}

/** Show a sentence at the top of the page, or take it away. */
export function notice(text) {
  let shown = document.getElementById("comity-notice");
  if (!text) {
    shown?.remove();
    return;
  }
  if (!shown) {
    shown = document.createElement("p");
    shown.id = "comity-notice";
    shown.setAttribute("role", "alert");
    document.body.prepend(shown);
  }
  if (shown.textContent !== text) shown.textContent = text;
}

/** Call `tell` with every state that a stream sends, for ever. */
export async function follow(path, tell) {
  for (let failures = 0; ; failures++) {
    try {
      const answer = await fetch(path, { headers: { Authorization: `Bearer ${token()}` } });
      if (answer.status === 401) {
        notice(gone().message);
        return;
      }
      if (!answer.ok) throw new Error(await answer.text());
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let waiting = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        waiting += part.value;
        const events = waiting.split("\n\n");
        waiting = events.pop();
        for (const event of events) {
          if (!event.startsWith("data: ")) continue;
          failures = 0;
          notice("");
          tell(JSON.parse(event.slice(6)));
        }
      }
    } catch {
      // tried again below
    }
    notice("The node does not answer. What you see may be old; it is tried again.");
    await new Promise((done) => setTimeout(done, WAITS[Math.min(failures, WAITS.length - 1)]));
  }
}

/**
 * Open the actor of this page. `draw(now)` is called at every change with
 * { state, me, role, members, links, actor, type }; `open` returns after the first.
 */
export async function open(draw = () => {}) {
  token();
  const page = {
    now: null,
    call: (method, ...values) => ask("/comity/call", { method, arguments: values }),
    invite: (role = "writer") => ask("/comity/invite", { role }),
    history: (newest = 100) => ask("/comity/past", { do: "history", newest }),
    at: (turn) => ask("/comity/past", { do: "at", turn }),
    undo: () => ask("/comity/past", { do: "undo" }),
    redo: () => ask("/comity/past", { do: "redo" }),
    restore: (turn) => ask("/comity/past", { do: "restore", turn }),
  };
  await new Promise((ready) => {
    follow("/comity/live", (now) => {
      if (now.error) {
        notice(now.error);
        return;
      }
      page.now = now;
      draw(now);
      ready();
    });
  });
  return page;
}

/**
 * Say how `before` became `after` as one replacement: { start, deleted, inserted }, counted in
 * characters as Python counts them. Of several ways it is the one that ends at `caret`.
 */
export function splice(before, after, caret = after.length) {
  const old = Array.from(before);
  const now = Array.from(after);
  const end = Array.from(after.slice(0, caret)).length;
  const least = Math.min(old.length, now.length);
  let tail = 0;
  const tailMax = Math.min(least, now.length - Math.min(end, now.length));
  while (tail < tailMax && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  let head = 0;
  while (head < least - tail && old[head] === now[head]) head++;
  while (tail < least - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  return {
    start: head,
    deleted: old.length - tail - head,
    inserted: now.slice(head, now.length - tail).join(""),
  };
}

/** Make an element: `make("li", { class: "done" }, "milk", button)`. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value === "boolean") element[key] = value;
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

/** Run what a person asked for, and show what went wrong, if anything. Returns whether it worked. */
export async function attempt(action) {
  try {
    await action();
    notice("");
    return true;
  } catch (error) {
    notice(error.message);
    return false;
  }
}

/** Fill a `<dialog>` with an invite for one device, and show it. */
export async function share(page, role = "writer") {
  const worked = await attempt(async () => {
    const { link, qr } = await page.invite(role);
    const dialog = document.createElement("dialog");
    const code = new Image();
    code.src = `data:image/svg+xml,${encodeURIComponent(standalone(qr))}`;
    code.alt = "QR code of the link";
    const field = make("textarea", { readonly: true, rows: "4", "aria-label": "Invite link" }, link);
    dialog.append(
      make("h2", {}, "Let one device in"),
      make("p", {}, "Hand this over in private: whoever has it first can use it, once."),
      code,
      field,
      make(
        "div",
        { class: "row" },
        make("button", { type: "button", onclick: () => navigator.clipboard.writeText(link) }, "Copy"),
        make("button", { type: "button", onclick: () => dialog.close() }, "Close"),
      ),
    );
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    field.select();
  });
  return worked;
}

/**
 * Show the past of an actor in a dialog: a slider over its newest turns, what `render(state)` makes
 * of each, and a button that writes it back.
 */
export async function lookBack(page, render) {
  return attempt(async () => {
    const turns = await page.history(200);
    if (!turns.length) return;
    const slider = make("input", { type: "range", min: "0", max: String(turns.length - 1), value: String(turns.length - 1), "aria-label": "Moment" });
    const about = make("p", { class: "faint", role: "status" });
    const shown = make("div", { class: "past" });
    const restore = async () => {
      if (await attempt(() => page.restore(turns[slider.value].turn))) dialog.close();
    };
    const dialog = make(
      "dialog",
      { class: "wide", "aria-label": "History" },
      make("h2", {}, "History"),
      slider,
      about,
      shown,
      make(
        "div",
        { class: "row" },
        make("button", { type: "button", class: "first", onclick: restore }, "Restore this"),
        make("button", { type: "button", onclick: () => dialog.close() }, "Close"),
      ),
    );
    let sought = 0;
    const seek = async () => {
      const mine = ++sought;
      const turn = turns[slider.value];
      const who = turn.author === page.now.me ? "this device" : turn.author.slice(0, 8);
      const state = await page.at(turn.turn);
      if (mine !== sought) return; // the slider has moved on
      about.textContent = `${new Date(turn.time).toLocaleString()} · by ${who}${turn.visible ? "" : " · undone since"}`;
      shown.replaceChildren(render(state));
    };
    slider.addEventListener("input", () => attempt(seek));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    await seek();
    dialog.showModal();
  });
}

function standalone(svg) {
  return svg.includes("xmlns") ? svg : svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
}
