// A phone's presentation, and the whole text of a phone pass (KG1). Rules P-1 (COSE_Sign1) and P-2 (pass).
// `credential`: bytes as the server gave them. `key`: {alg, sign(bytes) -> Promise of 64 bytes}, see keys.js.

import { encode as base45 } from "./base45.js";
import { bytesOf, concat, encode } from "./cbor.js";

export const DIRECTION_IN = 1;
export const DIRECTION_OUT = 2;
const HEADER_ALG = 1;
const CLAIM_ISSUED_AT = 6;
const CLAIM_PRESENTATION = -65538;
const ARRAY_OF_TWO = 0x82;

export async function passText(credential, key, issuedAtSeconds, direction, childmask) {
  const presentation = await present(credential, key, issuedAtSeconds, direction, childmask);
  return "KG1:" + base45(concat(Uint8Array.of(ARRAY_OF_TWO), credential, presentation));
}

async function present(credential, key, issuedAtSeconds, direction, childmask) {
  const header = encode(new Map([[HEADER_ALG, key.alg]]));
  const claims = new Map([[CLAIM_ISSUED_AT, issuedAtSeconds], [CLAIM_PRESENTATION, [direction, childmask]]]);
  const payload = encode(claims);
  const domain = concat(bytesOf("KG1"), credential);
  const signature = await key.sign(encode(["Signature1", header, domain, payload]));
  return encode([header, new Map(), payload, signature]);
}
