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
