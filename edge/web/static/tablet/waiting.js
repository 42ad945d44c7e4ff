// What waits for staff: who, with which children, why the gate asks, and how long it still waits.

import { send } from "./api.js";
import { h, icon } from "./dom.js";
import * as names from "./names.js";
import { has, say } from "./words.js";

const IN = 1, OUT = 2, CONFIRM = 1, RELEASE = 8;
const chosen = new Map(); // request -> direction that staff chose for a card
const sure = new Set(); // requests whose first press on "all the same" was made

export function waiting(state, powers, tell, redraw) {
  for (const id of [...sure, ...chosen.keys()]) {
    if (!state.waiting.some((row) => row.id === id)) { sure.delete(id); chosen.delete(id); }
  }
  if (!state.waiting.length) {
    return [h("section", { className: "empty" }, h("h1", {}, say("nobody_waits")), h("p", { className: "quiet" }, say("nobody_waits_line")))];
  }
  return [h("h1", { className: "unseen" }, say("tab_waiting")),
    h("div", { className: "requests" }, state.waiting.map((row) => request(row, state, powers, tell, redraw)))];
}

function request(row, state, powers, tell, redraw) {
  const direction = chosen.get(row.id) ?? row.direction;
  const doubts = doubtsOf(row, direction);
  const may = powers & CONFIRM && (direction !== OUT || powers & RELEASE);
  const first = doubts.length > 0 && !sure.has(row.id);
  const answer = async (confirm) => {
    if (confirm && first) { sure.add(row.id); return redraw(); }
    tell((await send("answer", { id: row.id, confirm, ...(row.what === "card" ? { direction } : {}) })).code);
  };
  return h("article", { className: doubts.length ? "request doubt" : "request", "data-id": row.id },
    h("p", { className: "how" }, say(`what_${row.what}`), h("b", { className: "left", "data-ends": row.ends_ms })),
    h("h2", {}, row.what === "staff" ? say("staff", { n: row.holder }) : row.children.map((one) => names.child(one.child)).join(", ")),
    row.what === "staff" ? null : h("p", { className: "way" }, icon(direction === OUT ? "out" : "in"),
      h("b", {}, say(direction === OUT ? "leaves" : "comes")), " ", say("with", { who: who(row) })),
    doubts.map((said) => h("p", { className: "said-doubt" }, icon("warn"), said)),
    reasonsOf(row, doubts).map((said) => h("p", { className: "quiet" }, said)),
    row.what === "card" ? ways(row, direction, redraw) : null,
    may ? null : h("p", { className: "said-doubt" }, icon("warn"), say("not_yours")),
    h("div", { className: "buttons" },
      h("button", { className: "good", disabled: !may, "data-name": `yes${row.id}`, onclick: () => answer(true) },
        icon("tick"), say(doubts.length && sure.has(row.id) ? "confirm_anyway" : "confirm")),
      h("button", { className: "bad", disabled: !(powers & CONFIRM), "data-name": `no${row.id}`, onclick: () => answer(false) }, say("decline"))));
}

function who(row) {
  const relation = names.relation(row.holder, row.children[0]?.child);
  return names.adult(row.holder) + (relation ? ` (${relation})` : "");
}

// What makes staff think twice; the second press is on other words.
function doubtsOf(row, direction) {
  const found = new Set();
  for (const one of row.children) {
    const named = row.children.length > 1 ? `${names.child(one.child)}: ` : "";
    if (one.not_today && direction === row.direction) found.add(named + say("not_today"));
    if (one.order && direction === row.direction) found.add(named + say("order"));
    if (direction === OUT && one.is !== IN) found.add(named + say("not_in"));
    if (one.code && one.code !== "STAFF_CONFIRM" && has(`code_${one.code}`)) found.add(named + say(`code_${one.code}`));
  }
  return [...found];
}

function reasonsOf(row, doubts) {
  const reasons = row.code === "STAFF_CONFIRM" && (row.asks.length || doubts.length) ? row.asks.map((why) => `asks_${why}`) : [`code_${row.code}`];
  return [...new Set(reasons)].filter(has).map((key) => say(key));
}

function ways(row, direction, redraw) {
  const way = (value, key, name) => h("button", {
    className: "choice", "aria-pressed": String(direction === value), "data-name": `way${value}${row.id}`,
    onclick: () => { chosen.set(row.id, value); sure.delete(row.id); redraw(); },
  }, icon(name), say(key));
  return h("div", { className: "ways" }, way(IN, "comes", "in"), way(OUT, "leaves", "out"));
}

// Seconds that are left, by the gate's clock; called once a second without drawing anything anew.
export function tick(nowMs) {
  for (const place of document.querySelectorAll("[data-ends]")) {
    place.textContent = say("seconds", { n: Math.max(0, Math.ceil((Number(place.dataset.ends) - nowMs) / 1000)) });
  }
}
