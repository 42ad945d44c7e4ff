// The code of the moment, signed here and drawn anew every 4 seconds, with or without a network. UX "The pass page".
// Not here: what may open a door (the gate decides), words (words.js), the guess of the moment (moment.js).

import { changeLanguage, moveBar, stayAwake } from "./alive.js";
import { ask, fetchPasses } from "./api.js";
import { fromBase64Url } from "./base64.js";
import { DIRECTION_IN, DIRECTION_OUT, passText } from "./cose.js";
import { drawCode } from "./draw.js";
import { bitOf, childrenOfTheMoment, directionOfTheMoment, maskOf, passOfTheMoment, presenceToday } from "./moment.js";
import * as store from "./store.js";
import { showTrouble, view } from "./view.js";
import { clockTime, dayAndTime, listed, words, wordsAround } from "./words.js";

const REDRAW_MS = 4000;
const BRIGHTNESS_HINT_MS = 8000;
const CREDENTIAL_FRESH_S = 24 * 3600;
const EXPIRY_NOTE_S = 2 * 24 * 3600;
const AWAY_MS = 5 * 60 * 1000;
const AHEAD_S_MAX = 5;

const part = (id) => document.getElementById(id);
const shown = { key: null, passes: [], pass: null, direction: DIRECTION_IN, mask: 0 };
let offsetMs = 0;
let issuedAt = 0;
let timer = 0;
let hiddenAt = 0;
let contact = "unknown";

const now = () => Date.now() + offsetMs;

/** Show the passes of `answer`, signed with `key`, and keep them fresh from now on. */
export async function begin(key, answer) {
  shown.key = key;
  stayAwake();
  hintBrightness();
  await show(answer);
  follow();
  await refresh();
  listen();
}

// What the server answered (now or long ago) becomes what the page shows.
async function show(answer) {
  offsetMs = (await store.read("offset_ms")) ?? 0;
  const turn = alike(shown.pass).indexOf(shown.pass);
  shown.passes = answer.passes;
  if (!shown.passes.length) return showTrouble("NO_PASS");
  shown.pass = alike(shown.pass)[turn] ?? null;
  if (!shown.pass) chooseMoment();
  shown.mask &= maskOf(shown.pass.children.filter((child) => child.perms & shown.direction));
  if (!shown.mask) chooseChildren();
  view("pass");
  await render();
}

// Passes of one kind and place: more than eight children need two, a teacher who is a parent has one of each kind.
const alike = (pass) => shown.passes.filter(({ kind, site }) => kind === pass?.kind && site === pass?.site);

function chooseMoment() {
  shown.pass = passOfTheMoment(shown.passes, now());
  shown.direction = directionOfTheMoment(shown.pass, now());
  chooseChildren();
}

function chooseChildren() {
  shown.mask = childrenOfTheMoment(shown.pass, shown.direction, now()).mask;
}

async function render() {
  const { pass } = shown;
  part("school").textContent = pass.school;
  part("today").href = isStaff() ? "/school/day" : "/family";
  part("own-children").hidden = isStaff();
  chips(part("sites"), shown.passes.length > 1 ? shown.passes.map(siteChip) : []);
  chips(part("children"), pass.children.length > 1 ? pass.children.map(childChip) : []);
  chips(part("directions"), [DIRECTION_IN, DIRECTION_OUT].map(directionChip));
  renderAction();
  renderFacts();
  renderNotes();
  await redraw();
}

// Chips keep their elements, so that focus and screen readers stay where they are.
function chips(group, wanted) {
  while (group.children.length > wanted.length) group.lastElementChild.remove();
  wanted.forEach(({ text, pressed, disabled, act }, i) => {
    const chip = group.children[i] ?? group.appendChild(document.createElement("button"));
    chip.type = "button";
    chip.textContent = text;
    chip.disabled = Boolean(disabled);
    chip.setAttribute("aria-pressed", String(pressed));
    chip.onclick = () => { act(); render(); };
  });
  group.hidden = !wanted.length;
}

const siteChip = (pass) => ({
  text: [pass.kind === "staff" && words("staff-pass"), pass.school, alike(pass)[1] && listed(pass.children.map(({ name }) => name))]
    .filter(Boolean).join(" · "),
  pressed: pass === shown.pass,
  act: () => { shown.pass = pass; shown.direction = directionOfTheMoment(pass, now()); chooseChildren(); },
});

const childChip = (child) => ({
  text: child.name,
  pressed: Boolean(shown.mask & bitOf(child)),
  disabled: !(child.perms & shown.direction),
  act: () => { shown.mask = (shown.mask ^ bitOf(child)) || shown.mask; },
});

const directionChip = (direction) => ({
  text: words(named(direction)),
  pressed: direction === shown.direction,
  disabled: !isStaff() && !shown.pass.children.some((child) => child.perms & direction),
  act: () => { shown.direction = direction; chooseChildren(); },
});

// A staff pass has intents where a family's has directions: 1 confirm what waits, 2 enter.
const isStaff = () => shown.pass.kind === "staff";
const named = (direction) => (isStaff() ? ["confirm", "enter"] : ["arrival", "departure"])[direction - 1];

const chosen = () => shown.pass.children.filter((child) => shown.mask & bitOf(child));

function renderAction() {
  const names = isStaff() ? words(named(shown.direction)) : listed(chosen().map((child) => child.name));
  const sentence = wordsAround(isStaff() ? "staff-pass" : `${named(shown.direction)}-of`, names);
  ["before", "names", "after"].forEach((place, i) => { part(`action-${place}`).textContent = sentence[i]; });
  part("action-names").toggleAttribute("data-many", isStaff() || chosen().length > 1);
  part("code").setAttribute("aria-label", words("code-of", { names }));
}

function renderFacts() {
  const rows = shown.pass.children.map((child) => [child, presenceToday(shown.pass, child, now())]);
  const facts = rows.filter(([, state]) => state !== "unknown").map(([child, state]) => {
    const row = part("fact-row").content.firstElementChild.cloneNode(true);
    const time = clockTime(Date.parse(child.since), shown.pass.tz);
    row.lastElementChild.textContent = words(state === "in" ? "child-in" : "child-out", { name: child.name, time });
    return row;
  });
  part("facts").replaceChildren(...facts);
  part("facts").hidden = !facts.length;
}

function renderNotes() {
  const left = shown.pass.exp - now() / 1000;
  const until = dayAndTime(shown.pass.exp * 1000, shown.pass.tz);
  const stale = left <= 0 ? "pass-over" : contact === "signed-out" ? "pair-again" : left < EXPIRY_NOTE_S ? "pass-soon-over" : "";
  part("note").textContent = stale ? words(stale, { until }) : "";
  part("note").hidden = !stale;
  part("card").dataset.over = String(left <= 0);
  part("contact").dataset.state = contact;
  part("contact").textContent = contact === "offline" ? words("offline") : contact === "online" ? words("online") : "";
}

async function redraw() {
  clearTimeout(timer);
  if (document.hidden || part("card").dataset.over === "true") return;
  const second = nextIssuedAt();
  try {
    const [kind, acts] = isStaff() ? ["KT1", [shown.direction]] : ["KG1", [shown.direction, shown.mask]];
    const text = await passText(kind, fromBase64Url(shown.pass.credential), shown.key, second, acts);
    if (second !== issuedAt) return; // A later one is being drawn: an older one must not cover it.
    part("code").dataset.version = drawCode(part("code"), text).version;
    moveBar(part("bar"), REDRAW_MS);
  } catch {
    showTrouble("NO_KEPT_KEYS");
    return;
  }
  clearTimeout(timer);
  timer = setTimeout(redraw, REDRAW_MS);
}

// Each presentation is later than the one before (a gate takes none twice), and never far ahead of the time.
function nextIssuedAt() {
  const second = Math.floor(now() / 1000);
  issuedAt = issuedAt >= second && issuedAt < second + AHEAD_S_MAX ? issuedAt + 1 : second;
  return issuedAt;
}

async function refresh() {
  try {
    const answer = await fetchPasses();
    contact = "online";
    await show(answer);
    await changeLanguage(answer.language);
  } catch (refusal) {
    contact = refusal.status === 401 ? "signed-out" : "offline";
    renderNotes();
  }
}

// Facts of the door come at once while the page is open; a new one means that the passes changed too. Staff have no children.
function listen() {
  if (!shown.passes.some((pass) => pass.kind === "family")) return;
  const source = new EventSource("/family/stream");
  source.addEventListener("fragment", () => { clearTimeout(listen.soon); listen.soon = setTimeout(refresh, 150); });
  source.onerror = () => { if (contact === "online") refresh(); };
  source.onopen = () => { if (contact === "offline") refresh(); };
  addEventListener("pagehide", () => source.close(), { once: true });
}

function returned() {
  if (document.hidden) {
    hiddenAt = Date.now();
    return clearTimeout(timer);
  }
  if (Date.now() - hiddenAt > AWAY_MS) chooseMoment();
  stayAwake();
  hintBrightness();
  render();
  return refresh();
}

function hintBrightness() {
  part("brightness").hidden = true;
  clearTimeout(hintBrightness.timer);
  hintBrightness.timer = setTimeout(() => { part("brightness").hidden = false; }, BRIGHTNESS_HINT_MS);
}

function everyMinute() {
  if (document.hidden) return;
  if (now() / 1000 - shown.pass.iat > CREDENTIAL_FRESH_S || contact !== "online") refresh();
  renderNotes();
}

function follow() {
  part("forget").onclick = () => part("forget-ask").showModal();
  part("forget-ask").onclose = async () => {
    if (part("forget-ask").returnValue !== "forget") return;
    await ask("/api/phone/forget", {}).catch(() => {}); // Offline: the key goes all the same, the office sees the phone.
    await store.forget();
    location.reload();
  };
  document.addEventListener("visibilitychange", returned);
  addEventListener("online", refresh);
  addEventListener("offline", refresh);
  addEventListener("resize", redraw);
  setInterval(everyMinute, 60_000);
}
