// The page's own sentences, put there by the server in the reader's language; no text for people lives in JavaScript.

const shelf = document.getElementById("words").content;
const language = document.documentElement.lang;

/** Return the sentence `name` with its {places} filled. */
export function words(name, places = {}) {
  const sentence = shelf.querySelector(`[data-word="${name}"]`)?.textContent ?? "";
  return sentence.replace(/\{(\w+)\}/g, (_, place) => places[place] ?? "");
}

/** The same as [before, names, after]: names are never bent; French alone drops its vowel before one. */
export function wordsAround(name, names) {
  const [before, after = ""] = words(name, { names: "\n" }).split("\n");
  const elided = language === "fr" && /^[aeiouyhàâéèêëîïôöùü]/i.test(names) ? before.replace(/de $/, "d’") : before;
  return [elided, names, after];
}

export const listed = (names) => new Intl.ListFormat(language, { type: "conjunction" }).format(names);

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { weekday: "long", day: "numeric", month: "long" };
const formatted = (moment, shape, timeZone) => new Intl.DateTimeFormat(language, { ...shape, timeZone }).format(moment);
export const clockTime = (moment, timeZone) => formatted(moment, TIME, timeZone);
export const dayAndTime = (moment, timeZone) => formatted(moment, { ...DAY, ...TIME }, timeZone);
