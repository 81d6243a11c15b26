// Several https sites in one process, for Chromium to visit under their own names. Ports of localhost are one site and hide what
// browsers do between sites (design.md §8).
//
//   const sites = await startSites(["op.test", "rp.test"]);
//   sites.proxy("op.test", port);                     // what runs on this machine, behind TLS
//   const url = sites.show("rp.test", "<h1>…");       // a page
//   const callback = sites.receive("rp.test");        // an address that keeps what it gets
//   await launch(sites.flags)

import { request } from "node:http";
import { createServer } from "node:https";
import { certificateFor } from "./certificate.mjs";

export async function startSites(names) {
  const certificate = certificateFor(names);
  const proxies = new Map();
  const addresses = new Map();
  const server = createServer({ key: certificate.key, cert: certificate.cert }, async (incoming, response) => {
    const host = incoming.headers.host;
    const url = new URL(incoming.url, `https://${host}`);
    const address = addresses.get(`${host}${url.pathname}`);
    if (address) return address(incoming, response, url);
    if (proxies.has(host)) return forward(incoming, response, proxies.get(host));
    response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  let count = 0;

  const serve = (host, handle, path = `/test/${(count += 1)}`) => {
    addresses.set(`${host}${path}`, handle);
    return `https://${host}${path}`;
  };
  const html = (response, body) =>
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(`<!doctype html><link rel="icon" href="data:,">${body}`);

  return {
    flags: [
      `--host-resolver-rules=${names.map((name) => `MAP ${name} 127.0.0.1:${port}`).join(", ")}`,
      `--ignore-certificate-errors-spki-list=${certificate.fingerprint}`,
    ],
    proxy: (host, to) => void proxies.set(host, to),
    serve,
    show: (host, body) => serve(host, (_request, response) => html(response, body)),
    /** A page with a form of hidden fields and a button `#go`. */
    form: (host, action, fields, method = "post") =>
      serve(host, (_request, response) => html(response, `<form method="${method}" action="${escaped(action)}">${inputs(fields)}<button id="go">Go</button></form>`)),
    redirect: (host, to) => serve(host, (_request, response, url) => response.writeHead(302, { location: `${to}${url.search}` }).end()),
    receive: (host) => {
      const received = [];
      const url = serve(host, async (incoming, response, url) => {
        let body = "";
        for await (const chunk of incoming) body += chunk;
        const parameters = incoming.method === "POST" ? new URLSearchParams(body) : url.searchParams;
        received.push({ method: incoming.method, headers: incoming.headers, parameters });
        html(response, '<p id="received">Received.</p>');
      });
      return { url, received, last: () => received.at(-1) };
    },
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

// As a TLS proxy that keeps the Host header.
function forward(incoming, response, port) {
  const { method, headers, url: path } = incoming;
  const outgoing = request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(response);
  });
  outgoing.on("error", () => response.destroy());
  incoming.pipe(outgoing);
}

function inputs(fields) {
  return Object.entries(fields).map(([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`).join("");
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
