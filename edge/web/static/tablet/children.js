// By hand: choose one child or a class, take in (bulk arrival), or hand over to somebody.

import { send } from "./api.js";
import { h, icon } from "./dom.js";
import * as names from "./names.js";
import { say } from "./words.js";

const TAKE_IN = 2, RELEASE = 8, MOST = 64, SHOWN_MAX = 300;
const chosen = new Set();
let words = "";
let group = "";
let handing = null; // { holder, words, sure } while staff say to whom

export function byHand(state, powers, tell, redraw) {
  return handing ? toWhom(tell, redraw) : choosing(state, powers, tell, redraw);
}

function choosing(state, powers, tell, redraw) {
  const inside = new Map(state.present);
  const rows = found(inside);
  const groups = [...new Set(names.allChildren().map((one) => one.group))].filter(Boolean);
  const act = async () => {
    const { code } = await send("act/take-in", { children: [...chosen] });
    if (code === "DONE") chosen.clear();
    tell(code);
    redraw();
  };
  return [
    h("h1", { className: "unseen" }, say("choose")),
    h("div", { className: "filters" },
      h("input", { type: "search", value: words, placeholder: say("find"), "aria-label": say("find"), "data-name": "find", autocomplete: "off",
        oninput: (event) => { words = event.target.value; redraw(); } }),
      groups.length > 1 ? h("select", { "aria-label": say("group"), "data-name": "group", onchange: (event) => { group = event.target.value; redraw(); } },
        h("option", { value: "", selected: !group }, say("all_groups")), groups.map((one) => h("option", { value: one, selected: one === group }, one))) : null),
    rows.length ? h("ul", { className: "people" }, rows.slice(0, SHOWN_MAX).map((number) => h("li", {}, h("button", {
      className: "person", "aria-pressed": String(chosen.has(number)), "data-name": `child${number}`, onclick: () => {
        if (!chosen.delete(number) && chosen.size < MOST) chosen.add(number);
        redraw();
      } },
    h("b", {}, names.child(number)), h("span", {}, [names.group(number), inside.has(number) ? say("is_in") : ""].filter(Boolean).join(" · "))))))
      : h("p", { className: "quiet empty" }, say("no_match")),
    h("div", { className: "act" },
      h("p", {}, say("chosen", { n: chosen.size })),
      h("button", { className: "good", disabled: !chosen.size || !(powers & TAKE_IN), "data-name": "take-in", onclick: act }, icon("in"), say("take_in")),
      h("button", { disabled: !chosen.size || !(powers & RELEASE), "data-name": "hand-over",
        onclick: () => { handing = { holder: null, words: "", sure: false }; redraw(); } }, icon("out"), say("hand_over"))),
  ];
}

// Numbers of children that fit what was typed; without names a typed number is a child.
function found(inside) {
  const asked = words.trim().toLocaleLowerCase();
  const known = names.allChildren();
  const fitting = known.filter((one) => (!group || one.group === group)
    && (!asked || one.name.toLocaleLowerCase().includes(asked) || String(one.number) === asked)).map((one) => one.number);
  const unnamed = known.length ? [] : [...inside.keys()].filter((number) => !asked || String(number).startsWith(asked));
  const typed = /^\d{1,10}$/.test(asked) && Number(asked) >= 1 && Number(asked) < 2 ** 32 ? [Number(asked)] : [];
  return [...new Set([...chosen, ...typed, ...fitting, ...unnamed])];
}

function toWhom(tell, redraw) {
  const asked = handing.words.trim().toLocaleLowerCase();
  const leave = () => { handing = null; redraw(); };
  const rows = names.adultsFor([...chosen]).filter((one) => asked ? one.name.toLocaleLowerCase().includes(asked) || String(one.number) === asked : one.near);
  const typed = /^\d{1,10}$/.test(asked) && Number(asked) >= 1 && Number(asked) < 2 ** 32 && !rows.some((one) => one.number === Number(asked));
  const choice = (number, name, told) => h("li", {}, h("button", {
    className: "person", "aria-pressed": String(handing.holder === number), "data-name": `adult${number}`,
    onclick: () => { handing = { ...handing, holder: number, sure: false }; redraw(); },
  }, h("b", {}, name), h("span", {}, told)));
  const act = async () => {
    const body = { children: [...chosen], holder: handing.holder, sure: handing.sure };
    const { code, refused } = await send("act/hand-over", body);
    if (code === "STAFF_CONFIRM") handing = { ...handing, sure: true, why: refused };
    if (code === "DONE") { chosen.clear(); handing = null; }
    if (code !== "STAFF_CONFIRM") tell(code);
    redraw();
  };
  return [
    h("h1", {}, say("to_whom")),
    h("p", { className: "quiet" }, [...chosen].map(names.child).join(", ")),
    h("div", { className: "filters" }, h("input", { type: "search", value: handing.words, placeholder: say("find_adult"), "aria-label": say("find_adult"),
      "data-name": "find-adult", autocomplete: "off", oninput: (event) => { handing.words = event.target.value; redraw(); } })),
    h("ul", { className: "people" }, rows.slice(0, SHOWN_MAX).map((one) => choice(one.number, one.name, [...chosen].map((n) => one.of.get(n)).find(Boolean) ?? "")),
      typed ? choice(Number(asked), names.adult(Number(asked)), "") : null, choice(0, say("nobody_named"), "")),
    handing.sure ? h("p", { className: "said-doubt" }, icon("warn"), say("order"), " ", say("not_today")) : null,
    h("div", { className: "act" },
      h("button", { className: "plain", "data-name": "leave", onclick: leave }, say("cancel")),
      h("button", { className: "good", disabled: handing.holder === null, "data-name": "give", onclick: act }, icon("out"), say(handing.sure ? "hand_over_anyway" : "hand_over"))),
  ];
}
