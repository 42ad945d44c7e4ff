// The tablet's sentences in the page's language; names and numbers are put in where braces stand.

const language = document.documentElement.lang;
let words = {};

export async function load() {
  words = await (await fetch(`tablet/words/${language}.json`)).json();
}

export function say(key, places = {}) {
  const said = words[key] ?? "";
  return said.replace(/\{(\w+)\}/g, (whole, name) => (name in places ? String(places[name]) : whole));
}

export function has(key) {
  return key in words;
}

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });

export function time(ms) {
  return clock.format(new Date(ms));
}

export const compare = new Intl.Collator(language, { numeric: true }).compare;
