// The page's own sentences, put there by the server in the reader's language; no text for people lives in JavaScript.

const shelf = document.getElementById("words").content;
export const language = document.documentElement.lang;

/** Return the sentence `name` with its {places} filled. */
export function words(name, places = {}) {
  const sentence = shelf.querySelector(`[data-word="${name}"]`)?.textContent ?? "";
  return sentence.replace(/\{(\w+)\}/g, (_, place) => places[place] ?? "");
}

/** The same, as [text before the names, names, text after]: names are never bent, French alone drops a vowel before them. */
export function wordsAround(name, names) {
  const [before, after] = words(name, { names: "\u0000" }).split("\u0000");
  const elided = language === "fr" && /^[aeiouyhàâäéèêëîïôöùûü]/i.test(names) ? before.replace(/de $/, "d’") : before;
  return [elided, names, after];
}

export const listed = (names) => new Intl.ListFormat(language, { type: "conjunction" }).format(names);

export const clockTime = (moment, timeZone) =>
  new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }).format(moment);

export const dayAndTime = (moment, timeZone) =>
  new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }).format(moment);
