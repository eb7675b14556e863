import { attempt, lookBack, make, open, share } from "/comity.js";

const at = (id) => document.getElementById(id);
const list = await open(draw);

at("adding").addEventListener("submit", async (event) => {
  event.preventDefault();
  const what = at("what").value.trim();
  if (what && (await attempt(() => list.call("add", what)))) at("what").value = "";
});
at("title").addEventListener("change", () => attempt(() => list.call("rename", at("title").value)));
at("undo").addEventListener("click", () => attempt(() => list.undo()));
at("redo").addEventListener("click", () => attempt(() => list.redo()));
at("history").addEventListener("click", () =>
  lookBack(list, ({ items }) =>
    make("ul", {}, ...Object.entries(items).map(([what, done]) => make("li", {}, done ? make("s", {}, what) : what))),
  ),
);
at("share").addEventListener("click", () => share(list));

function draw({ state, members, me, role, links }) {
  document.title = state.title || "Todo";
  if (document.activeElement !== at("title")) at("title").value = state.title;
  const others = members.filter((each) => each.device !== me);
  const online = others.filter((each) => each.online).length;
  at("who").textContent =
    (others.length ? `shared with ${others.length}, ${online} online` : "on this device only") +
    (links || !others.length ? "" : " · offline: changes are kept and sent later");
  for (const tool of ["undo", "redo"]) at(tool).hidden = !["admin", "writer"].includes(role);
  at("share").hidden = role !== "admin";

  const items = Object.entries(state.items);
  fill(at("open"), items.filter(([, done]) => !done));
  fill(at("done"), items.filter(([, done]) => done));
  at("finished").hidden = !items.some(([, done]) => done);
  at("empty").hidden = items.length > 0;
}

function fill(shown, items) {
  const before = new Map([...shown.children].map((each) => [each.dataset.what, each]));
  shown.replaceChildren(...items.map(([what, done]) => before.get(what) ?? row(what, done)));
}

function row(what, done) {
  const box = make("input", {
    type: "checkbox",
    checked: done,
    onchange: async () => {
      const worked = await attempt(() => list.call(box.checked ? "finish" : "reopen", what));
      if (!worked) box.checked = done;
    },
  });
  const drop = make("button", { type: "button", "aria-label": `Delete ${what}` }, "✕");
  drop.addEventListener("click", () => attempt(() => list.call("drop", what)));
  return make("li", { "data-what": what }, make("label", {}, box, make("span", {}, what)), drop);
}
