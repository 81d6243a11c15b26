// A self-signed certificate for tests (X.509, RFC 5280), made without openssl, which not every machine has.

import { createHash, generateKeyPairSync, sign } from "node:crypto";

const DAY = 86_400_000;

/** @param {string[]} names host names */
export function certificateFor(names) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = publicKey.export({ type: "spki", format: "der" });
  const algorithm = sequence(oid(1, 2, 840, 10045, 4, 3, 2)); // ecdsa-with-SHA256
  const name = sequence(element(0x31, sequence(oid(2, 5, 4, 3), element(0x0c, Buffer.from(names[0])))));
  const alternatives = sequence(...names.map((name) => element(0x82, Buffer.from(name))));
  const extensions = sequence(sequence(oid(2, 5, 29, 17), element(0x04, alternatives)));
  const body = sequence(
    element(0xa0, element(0x02, Buffer.from([2]))), // version 3
    element(0x02, Buffer.from([1])),
    algorithm,
    name,
    sequence(time(Date.now() - DAY), time(Date.now() + DAY)),
    name,
    key,
    element(0xa3, extensions),
  );
  const signature = element(0x03, Buffer.from([0]), sign("sha256", body, privateKey));
  const der = sequence(body, algorithm, signature).toString("base64");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: `-----BEGIN CERTIFICATE-----\n${der.match(/.{1,64}/g).join("\n")}\n-----END CERTIFICATE-----\n`,
    /** What Chromium's --ignore-certificate-errors-spki-list takes. */
    fingerprint: createHash("sha256").update(key).digest("base64"),
  };
}

// DER (X.690): tag, length, contents.
function element(tag, ...contents) {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...contents) {
  return element(0x30, ...contents);
}

function oid(first, second, ...rest) {
  const base128 = (value) => (value < 0x80 ? [value] : [...base128(value >> 7).map((byte) => byte | 0x80), value & 0x7f]);
  return element(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function time(milliseconds) {
  return element(0x18, Buffer.from(new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, "")));
}
