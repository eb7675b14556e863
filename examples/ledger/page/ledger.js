import { attempt, make, notice, open, share } from "/comity.js";

const at = (id) => document.getElementById(id);
const left = new Set(); // whom the next entry is not for
let drawing = 0;
let ledger = null;
ledger = await open(draw);
draw(ledger.now);

at("title").addEventListener("change", () => attempt(() => ledger.call("rename", at("title").value)));
at("share").addEventListener("click", () => share(ledger));
at("naming").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => ledger.call("call_me", at("name").value));
});
at("adding").addEventListener("submit", async (event) => {
  event.preventDefault();
  const sum = cents(at("amount").value);
  if (sum === null) return;
  const among = Object.keys(ledger.now.state.people).filter((each) => !left.has(each));
  if (!among.length) return notice("Say for whom it was: choose at least one.");
  const method = event.submitter?.value ?? "pay";
  if (await attempt(() => ledger.call(method, at("what").value, sum, among))) {
    at("adding").reset();
    left.clear();
    draw(ledger.now);
    at("what").focus();
  }
});
at("filling").addEventListener("submit", async (event) => {
  event.preventDefault();
  const sum = cents(at("fill").value);
  if (sum === null) return;
  const hands = event.submitter?.value === "hand_on";
  const worked = await attempt(() => (hands ? ledger.call("hand_on", at("to").value, sum) : ledger.call("fill", sum)));
  if (worked) at("fill").value = "";
});

function cents(text) {
  const found = /^\s*(\d{1,6})(?:[.,](\d{1,2}))?\s*$/.exec(text);
  if (!found) {
    notice(`“${text}” is no amount: write it as 12.50`);
    return null;
  }
  notice("");
  return 100 * Number(found[1]) + Number((found[2] ?? "0").padEnd(2, "0"));
}

const money = (sum) => (sum / 100).toFixed(2);

async function draw(now) {
  if (!ledger) return;
  const turn = ++drawing;
  const told = await ledger.call("overview").catch(() => null);
  if (turn !== drawing || !told) return;
  const { state, members, me, role, links } = now;
  const writes = ["admin", "writer"].includes(role);
  const name = (device) => state.people[device] ?? device.slice(0, 8);
  document.title = state.title || "Ledger";
  if (document.activeElement !== at("title")) at("title").value = state.title;
  const others = members.filter((each) => each.device !== me);
  const online = others.filter((each) => each.online).length;
  at("who").textContent =
    (others.length ? `shared with ${others.length}, ${online} online` : "on this device only") +
    (links || !others.length ? "" : " · offline: changes are kept and sent later");
  at("share").hidden = role !== "admin";
  at("naming").hidden = !writes || me in state.people;
  at("adding").hidden = !writes || !(me in state.people);
  at("purse").hidden = !(me in state.people) && !told.purse;
  at("filling").hidden = !writes;

  at("among").replaceChildren(...Object.keys(state.people).map((device) => chosen(device, name(device))));
  at("standing").replaceChildren(
    ...Object.keys({ ...state.people, ...told.balances }).map((device) => {
      const sum = told.balances[device] ?? 0;
      return make(
        "li", {}, make("span", { class: "wide" }, name(device) + (device === me ? " (you)" : "")),
        make("span", { class: `sum ${sum < 0 ? "bad" : sum > 0 ? "good" : ""}` }, `${sum > 0 ? "+" : ""}${money(sum)}`),
      );
    }),
  );
  at("repay").replaceChildren(...told.repay.map((each) => repayment(each, me, name)));
  at("held").textContent = money(told.purse);
  at("here").textContent = `You can spend ${money(told.here)} of it, online or not.`;
  at("unexplained").hidden = told.unexplained === 0;
  at("unexplained").textContent = `Entries account for ${money(told.purse - told.unexplained)}: somebody uses another program.`;
  const chosenBefore = at("to").value;
  at("to").replaceChildren(...Object.keys(state.people).filter((each) => each !== me).map((each) => make("option", { value: each }, name(each))));
  if (chosenBefore) at("to").value = chosenBefore;
  at("handing").hidden = !at("to").length || !told.here;
  at("from-purse").disabled = !told.here;

  const before = new Map([...at("entries").children].map((each) => [each.dataset.shown, each]));
  const entries = Object.entries(state.entries).sort(([, a], [, b]) => (a.made < b.made ? 1 : -1));
  at("entries").replaceChildren(
    ...entries.map(([key, entry]) => {
      const shown = JSON.stringify([key, entry, state.people, writes]);
      return before.get(shown) ?? line(key, entry, { me, name, writes, shown, count: Object.keys(state.people).length });
    }),
  );
  at("empty").hidden = entries.length > 0;
}

function chosen(device, name) {
  const box = make("input", { type: "checkbox", checked: !left.has(device) });
  box.addEventListener("change", () => left[box.checked ? "delete" : "add"](device));
  return make("label", {}, box, name);
}

function repayment([from, to, sum], me, name) {
  const shown = make("li", {}, make("span", { class: "wide" }, `${name(from)} could give ${name(to)} ${money(sum)}`));
  if (from === me) {
    const done = make("button", { type: "button" }, "I did");
    done.addEventListener("click", () => attempt(() => ledger.call("repay", to, sum)));
    shown.append(done);
  }
  return shown;
}

function line(key, { what, kind, cents: sum, among, struck, made }, { me, name, writes, shown, count }) {
  const maker = key.split("/")[0];
  const all = among.length === count && count > 1;
  const whom = all ? "all" : among.map(name).join(", ");
  const said = {
    paid: [what, `${name(maker)} paid for ${whom}`],
    repaid: [`to ${whom}`, `${name(maker)} paid it back`],
    filled: ["into the purse", `by ${name(maker)}`],
    spent: [what, `from the purse for ${whom}, by ${name(maker)}`],
  }[kind] ?? [what, name(maker)];
  const row = make(
    "li", { "data-key": key, "data-shown": shown, class: struck ? "struck" : "" },
    make("span", { class: "wide what" }, said[0], make("small", { class: "faint" }, `${said[1]} · ${new Date(made).toLocaleDateString()}${struck ? " · struck" : ""}`)),
    make("span", { class: "sum" }, money(sum)),
  );
  if (maker === me && writes && !struck) {
    const change = make("button", { type: "button", "aria-label": `Change ${said[0]}` }, "Change");
    change.addEventListener("click", () => correct(row, key, what, sum));
    const strike = make("button", { type: "button", "aria-label": `Strike ${said[0]}` }, "Strike");
    strike.addEventListener("click", () => attempt(() => ledger.call("strike", key)));
    if (kind === "paid") row.append(change);
    row.append(strike);
  }
  return row;
}

function correct(row, key, what, sum) {
  const text = make("input", { class: "wide", value: what, "aria-label": "What it was for", maxlength: 200 });
  const amount = make("input", { class: "money", value: money(sum), "aria-label": "Amount", inputmode: "decimal" });
  const form = make("form", { class: "row wide" }, text, amount, make("button", { class: "first" }, "Save"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const now = cents(amount.value);
    if (now !== null && (await attempt(() => ledger.call("change", key, text.value, now)))) draw(ledger.now);
  });
  row.dataset.shown = ""; // drawn anew at the next change
  row.replaceChildren(form);
  text.focus();
}
