// Opening a shift: ask, show the staff pass to the gate, type the four digits that its own screen shows.

import { send } from "./api.js";
import { h, put } from "./dom.js";
import { say } from "./words.js";

const DIGITS = 4;
const ASK_AGAIN_MS = 100_000; // a question is worth two minutes

let asked = false;
let typed = "";
let timer = 0;

export function begin(place, opened, tell) {
  function draw() {
    put(place, asked ? pad() : start());
    if (!place.contains(document.activeElement)) place.querySelector("[data-name]").focus();
  }

  async function ask() {
    const { code } = await send("ask");
    if (code !== "ASKED") return tell(code);
    asked = true;
    typed = "";
    clearInterval(timer);
    timer = setInterval(() => send("ask"), ASK_AGAIN_MS);
    draw();
  }

  async function open() {
    if (typed.length !== DIGITS) return;
    const { code } = await send("open", { digits: typed });
    typed = "";
    if (code === "OPENED") {
      asked = false;
      clearInterval(timer);
      return opened();
    }
    tell(code);
    if (code === "SHOW_PASS") await send("ask");
    draw();
  }

  function press(key) {
    if (key === "Backspace") typed = typed.slice(0, -1);
    else if (/^\d$/.test(key) && typed.length < DIGITS) typed += key;
    else return;
    draw();
    if (typed.length === DIGITS) open();
  }

  function start() {
    return h("section", { className: "start" },
      h("h1", {}, say("start")),
      h("p", { className: "quiet" }, say("start_why")),
      h("button", { className: "big", onclick: ask, "data-name": "start" }, say("start")));
  }

  function pad() {
    const keys = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0", "Backspace"];
    const boxes = Array.from({ length: DIGITS }, (_, n) => h("span", { className: "digit" }, typed[n] ? "•" : ""));
    return h("section", { className: "start", onkeydown: (event) => press(event.key), tabIndex: -1, "data-name": "pad" },
      h("h1", {}, say("show_pass")),
      h("p", { className: "quiet" }, say("type_digits")),
      h("div", { className: "digits", role: "img", "aria-label": `${say("digits")}: ${typed.length} / ${DIGITS}` }, boxes),
      h("div", { className: "pad" }, keys.map((key) => key === "" ? h("span") : h("button", {
        type: "button", "data-name": `key${key}`, onclick: () => press(key),
        ...(key === "Backspace" ? { "aria-label": say("delete"), className: "plain" } : {}),
      }, key === "Backspace" ? "⌫" : key))),
      h("button", { className: "plain", "data-name": "cancel", onclick: () => { asked = false; clearInterval(timer); draw(); } },
        say("cancel")));
  }

  draw();
}
