// One HTTP exchange byte for byte as asked, for what fetch would put right; and what of its answer can be compared with
// another host's.

import { request as open } from "node:http";

/** Sends a request on a connection of its own. `body` in chunks when it is a list. */
export function exchange(base, { method = "GET", path, headers = {}, body }) {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname } = new URL(base);
    const sent = open({ hostname, port, method, path: pathname.replace(/\/$/, "") + path, headers, agent: false });
    sent.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const pairs = [];
        for (let at = 0; at < response.rawHeaders.length; at += 2) {
          pairs.push([response.rawHeaders[at].toLowerCase(), response.rawHeaders[at + 1]]);
        }
        resolve({ status: response.statusCode, headers: pairs, text: Buffer.concat(chunks).toString() });
      });
    });
    sent.on("error", reject);
    if (Array.isArray(body)) {
      for (const chunk of body) sent.write(chunk);
      sent.end();
    } else if (body === undefined) {
      sent.end();
    } else {
      if (!("content-length" in headers)) sent.setHeader("content-length", Buffer.byteLength(body));
      sent.end(body);
    }
  });
}

export function header(answer, name) {
  return answer.headers.find(([known]) => known === name)?.[1];
}

// The server's own business: how it keeps its connection and its clock.
const HOSTS_OWN = ["connection", "date", "keep-alive", "transfer-encoding"];

/** Status, headers and body without what differs from one deployment, or one moment, to the next. */
export function comparable(target, answer) {
  const same = anonymiser(target, answer);
  const headers = {};
  for (const [name, value] of answer.headers) {
    if (!HOSTS_OWN.includes(name)) (headers[name] ??= []).push(same(value));
  }
  const isJson = header(answer, "content-type")?.startsWith("application/json") && answer.text !== "";
  return { status: answer.status, headers, body: isJson ? shape(JSON.parse(answer.text), same) : same(answer.text) };
}

/** The same members with the same values, as far as these are not random or times. */
function shape(value, same) {
  if (Array.isArray(value)) return value.map((item) => shape(item, same));
  if (value === null || typeof value !== "object") {
    if (typeof value === "string") return same(value);
    return typeof value === "number" && value > 1_500_000_000 ? "{time}" : value;
  }
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, shape(value[name], same)]));
}

function anonymiser({ issuer, base, op, tenantId }, answer) {
  const names = [
    [header(answer, "x-request-id"), "{request id}"],
    [op.rpBase, "{relying party}"],
    [issuer, "{issuer}"],
    [base, "{issuer}"],
    [tenantId, "{tenant}"],
    [op.demo.client_id, "{client}"],
    [op.demo.public_client_id, "{public client}"],
    ...[op.rpBase, issuer].flatMap((url) => [
      [encodeURIComponent(url), "{url}"],
      [new URL(url).host, "{host}"],
    ]),
  ].filter(([name]) => name);
  return (text) => {
    const known = names.reduce((result, [name, substitute]) => result.replaceAll(name, substitute), text);
    // What is random: base64url long enough to be nothing else, and to have a capital or a digit in it.
    return known.replace(/[A-Za-z0-9_-]{22,}/g, (word) => (/[A-Z0-9]/.test(word) ? "{random}" : word));
  };
}
