// Who is in now: the evacuation list, to be ticked off at the meeting place and to be printed; and what can be taken back.

import { send } from "./api.js";
import { h, icon } from "./dom.js";
import * as names from "./names.js";
import { compare, say, time } from "./words.js";

const found = new Set();

export function inside(state, redraw) {
  const rows = state.present.map(([number, since]) => ({ number, since, name: names.child(number), group: names.group(number) }));
  rows.sort((a, b) => compare(a.group, b.group) || compare(a.name, b.name));
  for (const number of [...found]) if (!rows.some((one) => one.number === number)) found.delete(number);
  if (!rows.length) return [h("section", { className: "empty" }, h("h1", {}, say("nobody_inside")), h("p", { className: "quiet" }, say("inside_line")))];
  const groups = [...new Set(rows.map((one) => one.group))];
  return [
    h("div", { className: "head" },
      h("div", {}, h("h1", {}, say("inside_count", { n: rows.length })), h("p", { className: "quiet" }, say("inside_line"))),
      h("p", { className: "count" }, say("found_count", { n: found.size, all: rows.length })),
      h("button", { "data-name": "print", onclick: () => print() }, say("print"))),
    groups.map((group) => h("section", {},
      group ? h("h2", {}, group, " ", h("small", {}, String(rows.filter((one) => one.group === group).length))) : null,
      h("ul", { className: "people" }, rows.filter((one) => one.group === group).map((one) => h("li", {}, h("button", {
        className: "person", "aria-pressed": String(found.has(one.number)), "data-name": `in${one.number}`,
        onclick: () => { if (!found.delete(one.number)) found.add(one.number); redraw(); },
      }, h("b", {}, one.name), h("span", {}, found.has(one.number) ? say("found") : say("since", { time: time(one.since) })))))))),
  ];
}

export function done(state, powers, tell) {
  if (!state.facts.length) return [h("section", { className: "empty" }, h("h1", {}, say("nothing_done")))];
  return [h("h1", { className: "unseen" }, say("tab_done")), h("ul", { className: "facts" }, state.facts.map((fact) => h("li", {},
    h("time", {}, time(fact.at_ms)),
    h("p", {}, h("b", {}, fact.children.map(names.child).join(", ")), h("span", { className: "quiet" },
      [say(fact.direction === 1 ? "came" : "left"), say(`fact_${fact.kind}`), fact.staff ? say("staff", { n: fact.staff }) : ""].filter(Boolean).join(" · "))),
    h("button", { disabled: !(powers & fact.needs), "data-name": `back${fact.epoch}-${fact.seq}`, onclick: async () => {
      const { code } = await send("act/take-back", { epoch: fact.epoch, seq: fact.seq });
      tell(code === "DONE" ? "TAKEN_BACK" : code);
    } }, icon("back"), say("take_back")))))];
}
