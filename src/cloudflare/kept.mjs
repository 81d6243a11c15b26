// Answers that stay right for a while (`Reuse` in src/http.rs), given again without a crossing into wasm: that costs as much as
// all the rest of a small answer. What a kept answer stands for, and for how long, the core has said; here is no rule of ours.
// wasm-bindgen puts this file into build/index.js.

// Beyond it, what is kept starts over.
const LIMIT = 200;
// By URL, which is all that the core was told of the host (request.rs).
const kept = new Map();

export function keep({ url }, from, until, lines, body, beforeTime, beforeId, afterId) {
  const headers = new Headers();
  const parts = lines.split("\n");
  for (let at = 0; at + 1 < parts.length; at += 2) headers.append(parts[at], parts[at + 1]);
  if (kept.size >= LIMIT) kept.clear();
  // A blob is encoded once, and unlike a body belongs to no request.
  kept.set(url, { from, until, init: { headers }, body: new Blob([body]), beforeTime, beforeId, afterId });
}

export function forget() {
  kept.clear();
}

// For main.mjs, which is no part of build/index.js.
export function door() {
  return { answer, forget };
}

// The answer to a request, if one is kept, with its log line written.
function answer(request) {
  const found = kept.get(request.url);
  if (found === undefined || request.method !== "GET") return undefined;
  const now = Math.floor(Date.now() / 1000);
  if (now < found.from || now >= found.until) return undefined;
  const id = requestId();
  console.log(`${found.beforeTime}${now}${found.beforeId}${id}${found.afterId}`);
  // The response gets a copy of the headers. To set them on the response would make an object of JavaScript for each request, and
  // collecting those is a good part of what a small answer costs.
  found.init.headers.set("x-request-id", id);
  return new Response(found.body, found.init);
}

// As the core makes them: 12 random bytes in base64url. They are drawn and encoded many at a time, which costs about as much as one.
const ID_BYTES = 12;
const ID_LENGTH = 16;
const drawn = new Uint8Array(ID_BYTES * 256);
let ids = "";
let next = 0;

function requestId() {
  if (next === ids.length) {
    crypto.getRandomValues(drawn);
    ids = btoa(String.fromCharCode(...drawn)).replaceAll("+", "-").replaceAll("/", "_");
    next = 0;
  }
  next += ID_LENGTH;
  return ids.slice(next - ID_LENGTH, next);
}
