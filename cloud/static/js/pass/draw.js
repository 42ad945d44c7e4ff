// A code on a canvas: whole device pixels a module, four light modules around, white whatever the theme. UX "The pass page".

import { encode } from "./qr.js";

const QUIET_MODULES = 4;
const DARK = "#000000";
const LIGHT = "#ffffff";

export function drawCode(canvas, text) {
  const code = encode(text);
  const modules = code.size + 2 * QUIET_MODULES;
  const ratio = globalThis.devicePixelRatio || 1;
  const scale = Math.max(1, Math.floor((canvas.parentElement.clientWidth * ratio) / modules));
  canvas.width = canvas.height = modules * scale;
  canvas.style.inlineSize = `${canvas.width / ratio}px`;
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = LIGHT;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = DARK;
  code.dark.forEach((dark, i) => {
    const x = (i % code.size) + QUIET_MODULES;
    const y = Math.floor(i / code.size) + QUIET_MODULES;
    if (dark) context.fillRect(x * scale, y * scale, scale, scale);
  });
  return code;
}
