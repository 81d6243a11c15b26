// The demo relying party's pages. Everything that is put into HTML goes through the `html` tag, which escapes it.

class Safe {
  constructor(text) {
    this.text = text;
  }
}

function html(parts, ...values) {
  return new Safe(parts.reduce((text, part, index) => text + inserted(values[index - 1]) + part));
}

function inserted(value) {
  if (value instanceof Safe) return value.text;
  if (Array.isArray(value)) return value.map(inserted).join("");
  return String(value ?? "").replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

export function welcomePage(issuer, signedOut) {
  return layout("Demo relying party", html`
    ${signedOut ? html`<p class="notice" id="demo-signed-out" role="status">You are signed out.</p>` : ""}
    <p>This small site does not know you yet. It can ask <b>${issuer}</b> who you are.</p>
    <form method="get" action="/sign-in"><button id="demo-sign-in">Sign in</button></form>`);
}

export function signedInPage({ claims, userinfo, tokens, refreshes, issuer }) {
  const failed = userinfo.failed;
  const name = (!failed && (userinfo.name ?? userinfo.preferred_username)) || claims.sub;
  return layout(`Signed in as ${name}`, html`
    <p>By <b>${issuer}</b>, ${refreshes === 0 ? "with the first tokens" : html`refreshes: <span id="demo-refreshes">${refreshes}</span>`}.</p>
    <div class="actions">
      <form method="post" action="/refresh"><button id="demo-refresh">Refresh</button></form>
      <form method="post" action="/sign-out"><button id="demo-sign-out" class="quiet">Sign out</button></form>
    </div>
    <h2>ID token</h2>
    ${table("demo-id-token", claims)}
    <h2>UserInfo</h2>
    ${failed ? html`<p class="problem" id="demo-error" role="alert">${failed[0]} <code>${failed[1]}</code></p>` : table("demo-userinfo", userinfo)}
    <h2>Token response</h2>
    ${table("demo-tokens", {
      token_type: tokens.token_type,
      expires_in: tokens.expires_in,
      scope: tokens.scope,
      refresh_token: tokens.refresh_token ? "given" : "none",
    })}`);
}

export function problemPage(title, sentence, detail) {
  return layout(title, html`
    <p class="problem" id="demo-error" role="alert">${sentence}</p>
    ${detail ? html`<p><code>${detail}</code></p>` : ""}
    <p><a href="/">Back to the demo</a></p>`);
}

function table(id, members) {
  const rows = Object.entries(members).filter(([, value]) => value !== undefined);
  return html`<table id="${id}"><tbody>${rows.map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td>${shown(name, value)}</td></tr>`,
  )}</tbody></table>`;
}

const TIMES = ["auth_time", "exp", "iat", "nbf", "updated_at"];

function shown(name, value) {
  if (TIMES.includes(name) && Number.isFinite(value)) return html`${value} <small>${new Date(value * 1000).toISOString()}</small>`;
  if (value !== null && typeof value === "object") return html`<pre>${JSON.stringify(value, null, 2)}</pre>`;
  return value;
}

function layout(title, body) {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} – demo relying party</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`.text;
}
