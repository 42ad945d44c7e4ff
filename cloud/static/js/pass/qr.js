// Our own QR Code encoder (ISO/IEC 18004): alphanumeric mode, level M, versions 1 to 40, the mask with the least penalty.
// A pass is base45, so nothing else is needed. tests/browser holds every version against zxing-cpp.

import { ALPHABET } from "./base45.js";

// Level M, by version from 1: error correction codewords a block, and blocks (table 9).
const CORRECTION = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26,
  28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28];
const BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16,
  17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49];
// A mask turns a module where its figure is 0 (table 10).
const MASKS = [
  (x, y) => (x + y) % 2,
  (x, y) => y % 2,
  (x) => x % 3,
  (x, y) => (x + y) % 3,
  (x, y) => (Math.floor(x / 3) + (y >> 1)) % 2,
  (x, y) => ((x * y) % 2) + ((x * y) % 3),
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

/** Return {version, size, dark: one byte a module}. Throws RangeError for a text that is too long or another alphabet. */
export function encode(text) {
  const version = fittingVersion(text.length);
  const words = interleave(dataWords(text, version), version);
  const plan = functionPatterns(version);
  place(plan, words);
  return leastPenalty(plan);
}

const size = (version) => 17 + 4 * version;

// Modules left for data and correction, in whole codewords.
function wordsTotal(version) {
  let modules = (16 * version + 128) * version + 64;
  if (version >= 2) {
    const patterns = Math.floor(version / 7) + 2;
    modules -= (25 * patterns - 10) * patterns - 55;
    if (version >= 7) modules -= 36;
  }
  return modules >> 3;
}

const wordsOfData = (version) => wordsTotal(version) - CORRECTION[version - 1] * BLOCKS[version - 1];
const countBits = (version) => (version < 10 ? 9 : version < 27 ? 11 : 13);
const bitsOf = (length, version) => 4 + countBits(version) + 11 * (length >> 1) + 6 * (length % 2);

function fittingVersion(length) {
  const version = BLOCKS.findIndex((_, i) => bitsOf(length, i + 1) <= wordsOfData(i + 1) * 8) + 1;
  if (!version) throw new RangeError("too long for a QR Code");
  return version;
}

function dataWords(text, version) {
  const bits = [];
  const push = (value, count) => { for (let i = count - 1; i >= 0; i -= 1) bits.push((value >> i) & 1); };
  push(2, 4);
  push(text.length, countBits(version));
  for (let i = 0; i < text.length; i += 2) {
    const first = letter(text[i]);
    if (i + 1 < text.length) push(first * 45 + letter(text[i + 1]), 11);
    else push(first, 6);
  }
  const capacity = wordsOfData(version) * 8;
  push(0, Math.min(4, capacity - bits.length));
  push(0, (8 - (bits.length % 8)) % 8);
  for (let pad = 0xec; bits.length < capacity; pad ^= 0xfd) push(pad, 8);
  return Uint8Array.from({ length: capacity / 8 }, (_, i) => parseInt(bits.slice(i * 8, i * 8 + 8).join(""), 2));
}

function letter(character) {
  const value = ALPHABET.indexOf(character);
  if (value < 0) throw new RangeError("not alphanumeric");
  return value;
}

// Reed-Solomon over GF(256), polynomial 0x11d.
function multiply(x, y) {
  let product = 0;
  for (let i = 7; i >= 0; i -= 1) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    product ^= ((y >> i) & 1) * x;
  }
  return product;
}

function divisor(degree) {
  const factors = new Uint8Array(degree);
  factors[degree - 1] = 1;
  for (let i = 0, root = 1; i < degree; i += 1, root = multiply(root, 2)) {
    for (let j = 0; j < degree; j += 1) factors[j] = multiply(factors[j], root) ^ (factors[j + 1] ?? 0);
  }
  return factors;
}

function correction(block, factors) {
  const rest = new Uint8Array(factors.length);
  for (const word of block) {
    const lead = word ^ rest[0];
    rest.copyWithin(0, 1);
    rest[rest.length - 1] = 0;
    factors.forEach((factor, i) => { rest[i] ^= multiply(factor, lead); });
  }
  return rest;
}

// Short blocks come first; words of all blocks are dealt out in turn, data then correction.
function interleave(data, version) {
  const count = BLOCKS[version - 1];
  const factors = divisor(CORRECTION[version - 1]);
  const shortLength = Math.floor(data.length / count);
  const shortBlocks = count - (data.length % count);
  const blocks = [];
  for (let i = 0, at = 0; i < count; i += 1) {
    const length = shortLength + (i < shortBlocks ? 0 : 1);
    blocks.push(data.subarray(at, at += length));
  }
  const deal = (rows, length) => Array.from({ length }, (_, i) => rows.filter((row) => i < row.length).map((row) => row[i])).flat();
  return [...deal(blocks, shortLength + 1), ...deal(blocks.map((block) => correction(block, factors)), factors.length)];
}

// The fixed picture: finders, timing, alignment, version; `fixed` marks what neither data nor mask may touch.
function functionPatterns(version) {
  const side = size(version);
  const plan = { version, size: side, dark: new Uint8Array(side * side), fixed: new Uint8Array(side * side) };
  for (let i = 0; i < side; i += 1) {
    set(plan, 6, i, i % 2 === 0);
    set(plan, i, 6, i % 2 === 0);
  }
  for (const [x, y] of [[3, 3], [side - 4, 3], [3, side - 4]]) finder(plan, x, y);
  const centres = alignmentCentres(version);
  const last = centres.length - 1;
  centres.forEach((y, i) => centres.forEach((x, j) => {
    const corner = (i === 0 && (j === 0 || j === last)) || (i === last && j === 0);
    if (!corner) square(plan, x, y, 2, (distance) => distance !== 1);
  }));
  format(plan, 0);
  if (version >= 7) versionBits(plan);
  return plan;
}

function set(plan, x, y, dark) {
  if (x < 0 || y < 0 || x >= plan.size || y >= plan.size) return;
  plan.dark[y * plan.size + x] = dark ? 1 : 0;
  plan.fixed[y * plan.size + x] = 1;
}

function square(plan, x, y, reach, isDark) {
  for (let dy = -reach; dy <= reach; dy += 1) {
    for (let dx = -reach; dx <= reach; dx += 1) set(plan, x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
  }
}

const finder = (plan, x, y) => square(plan, x, y, 4, (distance) => distance !== 2 && distance !== 4);

function alignmentCentres(version) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.floor((version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
  const others = Array.from({ length: count - 1 }, (_, i) => size(version) - 7 - i * step);
  return [6, ...others.reverse()];
}

function remainder(value, polynomial, degree) {
  let rest = value;
  for (let i = 0; i < degree; i += 1) rest = (rest << 1) ^ ((rest >> (degree - 1)) * polynomial);
  return rest;
}

// Level M is 0, so the five bits are the mask's three.
function format(plan, mask) {
  const bits = ((mask << 10) | remainder(mask, 0x537, 10)) ^ 0x5412;
  const bit = (i) => (bits >> i) & 1;
  const end = plan.size - 1;
  for (let i = 0; i < 15; i += 1) {
    const along = i < 6 ? i : i < 8 ? i + 1 : 0;
    if (i < 8) set(plan, 8, along, bit(i));
    else set(plan, i === 8 ? 7 : 14 - i, 8, bit(i));
    if (i < 8) set(plan, end - i, 8, bit(i));
    else set(plan, 8, end - 14 + i, bit(i));
  }
  set(plan, 8, plan.size - 8, true);
}

function versionBits(plan) {
  const bits = (plan.version << 12) | remainder(plan.version, 0x1f25, 12);
  for (let i = 0; i < 18; i += 1) {
    const far = plan.size - 11 + (i % 3);
    const near = Math.floor(i / 3);
    set(plan, far, near, (bits >> i) & 1);
    set(plan, near, far, (bits >> i) & 1);
  }
}

// Two columns at a time from the right, up and down by turns, past the vertical timing line.
function place(plan, words) {
  let at = 0;
  for (let right = plan.size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < plan.size; step += 1) {
      const upward = ((right + 1) & 2) === 0;
      const y = upward ? plan.size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (plan.fixed[y * plan.size + x] || at >= words.length * 8) continue;
        plan.dark[y * plan.size + x] = (words[at >> 3] >> (7 - (at & 7))) & 1;
        at += 1;
      }
    }
  }
}

function leastPenalty(plan) {
  const drawn = MASKS.map((_, mask) => masked(plan, mask));
  const penalties = drawn.map(penalty);
  return drawn[penalties.indexOf(Math.min(...penalties))];
}

function masked(plan, mask) {
  const copy = { ...plan, dark: plan.dark.slice() };
  for (let y = 0; y < plan.size; y += 1) {
    for (let x = 0; x < plan.size; x += 1) {
      const i = y * plan.size + x;
      if (!plan.fixed[i] && !MASKS[mask](x, y)) copy.dark[i] ^= 1;
    }
  }
  format(copy, mask);
  return copy;
}

// The four rules of section 7.8.3: runs, blocks, finder-like patterns, balance.
function penalty({ size: side, dark }) {
  let points = 0;
  for (let i = 0; i < side; i += 1) {
    points += linePoints(side, (j) => dark[i * side + j]) + linePoints(side, (j) => dark[j * side + i]);
  }
  for (let y = 1; y < side; y += 1) {
    for (let x = 1; x < side; x += 1) {
      const sum = dark[y * side + x] + dark[y * side + x - 1] + dark[(y - 1) * side + x] + dark[(y - 1) * side + x - 1];
      if (sum % 4 === 0) points += 3;
    }
  }
  const share = dark.reduce((sum, module) => sum + module, 0) / dark.length;
  return points + Math.floor(Math.abs(share - 0.5) * 20) * 10;
}

function linePoints(side, module) {
  let points = 0;
  for (let j = 0, run = 0, history = 0; j < side; j += 1) {
    run = j > 0 && module(j) === module(j - 1) ? run + 1 : 1;
    if (run === 5) points += 3;
    else if (run > 5) points += 1;
    history = ((history << 1) | module(j)) & 0x7ff;
    if (j >= 10 && (history === 0x05d || history === 0x5d0)) points += 40;
  }
  return points;
}
