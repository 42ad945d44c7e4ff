// Elements made by hand: text is always text, so nothing that is read can become markup.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  in: "M4 12h11M11 7l5 5-5 5M15 4h5v16h-5",
  out: "M20 12H9M13 7l-5 5 5 5M9 4H4v16h5",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.5",
  tick: "M5 13l4 4L19 7",
  back: "M9 7L4 12l5 5M4 12h11a5 5 0 0 1 0 10h-2",
};

export function h(tag, told = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(told)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...said(children));
  return made;
}

function said(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "");
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

// Put new content in place of the old; whoever had the focus keeps it, by its name.
export function put(place, ...children) {
  const focused = document.activeElement;
  const name = place.contains(focused) ? focused.dataset.name : undefined;
  const caret = name && focused.selectionStart;
  place.replaceChildren(...said(children));
  const again = name && place.querySelector(`[data-name="${CSS.escape(name)}"]`);
  if (again) {
    again.focus();
    if (typeof caret === "number") again.setSelectionRange?.(caret, caret);
  }
}
