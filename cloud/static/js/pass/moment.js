// Which pass, which children and which direction the moment asks for. Pure: data and time in, a choice out. UX details 3, 4.
// It only guesses what to show first; the chips change it, and the gate decides.

import { DIRECTION_IN, DIRECTION_OUT } from "./cose.js";

const NOON_HOUR = 12;
// Just after a scan the same code stays: the phone may still be before the camera, and a departure must be meant.
const SETTLE_MS = 10 * 60 * 1000;

export function passOfTheMoment(passes, nowMs) {
  const waiting = passes.find((pass) => childrenOfTheMoment(pass, directionOfTheMoment(pass, nowMs), nowMs).waiting);
  return waiting ?? passes[0];
}

export function directionOfTheMoment(pass, nowMs) {
  const states = pass.children.map((child) => presenceToday(pass, child, nowMs));
  if (pass.children.some((child, i) => states[i] === "in" && !settling(child, nowMs))) return DIRECTION_OUT;
  if (states.includes("in")) return DIRECTION_IN;
  if (pass.children.some((child, i) => states[i] === "out" && settling(child, nowMs))) return DIRECTION_OUT;
  if (states.every((state) => state === "out")) return DIRECTION_IN;
  return hourAt(pass.tz, nowMs) < NOON_HOUR ? DIRECTION_IN : DIRECTION_OUT;
}

/** Return {mask, waiting}: children whom this direction suits now; all who are allowed when it suits none. */
export function childrenOfTheMoment(pass, direction, nowMs) {
  const done = direction === DIRECTION_IN ? "in" : "out";
  const allowed = pass.children.filter((child) => child.perms & direction);
  const suited = allowed.filter((child) => presenceToday(pass, child, nowMs) !== done);
  return { mask: maskOf(suited.length ? suited : allowed), waiting: suited.length > 0 };
}

/** "in", "out" (has left today) or "unknown": what was true on another day says nothing of today. */
export function presenceToday(pass, child, nowMs) {
  if (!child.since || dayAt(pass.tz, Date.parse(child.since)) !== dayAt(pass.tz, nowMs)) return "unknown";
  return child.presence;
}

export const bitOf = (child) => 1 << child.bit;
export const maskOf = (children) => children.reduce((mask, child) => mask | bitOf(child), 0);

const settling = (child, nowMs) => nowMs - Date.parse(child.since) < SETTLE_MS;
const dayAt = (timeZone, ms) => new Intl.DateTimeFormat("en-CA", { timeZone }).format(ms);
const hourAt = (timeZone, ms) => Number(new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", hourCycle: "h23" }).format(ms));
