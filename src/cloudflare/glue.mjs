// What the entry point needs of JavaScript, each in one call: a crossing from wasm costs about as much as the work behind it.
// wasm-bindgen puts this file into build/index.js.

// Method, URL and the named headers of a request, a line each; a header that is not there is an empty line, one that is there
// follows a space. HTTP allows no line break in any of them.
export function describe(request, names) {
  const { headers } = request;
  let text = `${request.method}\n${request.url}`;
  for (const name of names) {
    const value = headers.get(name);
    text += value === null ? "\n" : `\n ${value}`;
  }
  return text;
}

// The body, or a byte more than the limit of one that is longer. HTTP framing holds a sender to a length within the limit that was
// declared, unless there is a `transfer-encoding` too: workerd goes by that, and passes both on. All else is counted.
export async function body(request, limit, isDeclared) {
  if (isDeclared && !request.headers.has("transfer-encoding")) return new Uint8Array(await request.arrayBuffer());
  const chunks = [];
  let length = 0;
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
    if (length <= limit) continue;
    // Whether the sender hears of it does not matter to the answer.
    reader.cancel().catch(() => {});
    return new Uint8Array(limit + 1);
  }
  if (chunks.length === 1) return chunks[0];
  const whole = new Uint8Array(length);
  for (let at = length; chunks.length > 0; ) {
    const chunk = chunks.pop(); // So that what is copied can go.
    at -= chunk.length;
    whole.set(chunk, at);
  }
  return whole;
}

// A response with a body of text, of bytes, or (null) with none; its headers are lines, names and values in turn.
//
// The order of the steps is the quick one, measured in workerd: text costs half of bytes, and headers set on a `Response`
// half of those handed to its constructor. Text gets a type of its own, which is replaced.
export function respond(status, lines, body) {
  const response = status === 200 ? new Response(body) : new Response(body, { status });
  const { headers } = response;
  const parts = lines.split("\n");
  for (let at = 0; at + 1 < parts.length; at += 2) {
    if (parts[at] === "content-type") {
      headers.set(parts[at], parts[at + 1]);
    } else {
      headers.append(parts[at], parts[at + 1]);
    }
  }
  return response;
}
