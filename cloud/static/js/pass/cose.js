// A phone's presentation and the whole text of a phone pass: KG1 of a family, KT1 of staff. Rules P-1, P-2.

import { encode as base45 } from "./base45.js";
import { bytesOf, concat, encode } from "./cbor.js";

export const DIRECTION_IN = 1;
export const DIRECTION_OUT = 2;
const ALG = 1;
const ISSUED_AT = 6;
const ACTS = { KG1: -65538, KT1: -65542 };
const ARRAY_OF_TWO = Uint8Array.of(0x82);

/** kind: KG1 or KT1. credential: bytes as the server gave them. acts: [direction, childmask] or [intent]. */
export async function passText(kind, credential, key, second, acts) {
  const header = encode(new Map([[ALG, key.alg]]));
  const payload = encode(new Map([[ISSUED_AT, second], [ACTS[kind], acts]]));
  const domain = concat(bytesOf(kind), credential);
  const signature = await key.sign(encode(["Signature1", header, domain, payload]));
  return `${kind}:${base45(concat(ARRAY_OF_TWO, credential, encode([header, new Map(), payload, signature])))}`;
}
