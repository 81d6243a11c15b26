// What Cloudflare calls (`main` in wrangler.toml), in place of the class that worker-build exports: for every request that one
// makes an object and two proxies of it (docs/decisions/0011-own-entry.md).
//
// The class stays the way to what it wraps, and to its one duty: after a panic or a trap, the next event gets a fresh instance
// of the module. Crate `worker` says in `__worker_init_state` that one is due.

import Built from "../../build/index.js";

const state = globalThis.__worker_init_state;
const kept = Built.prototype.keptAnswers();

// Those that Rust exports.
const events = ["fetch", "scheduled"].filter((name) => name in Built.prototype);

export default Object.fromEntries(events.map((name) => [name, handler(name)]));

function handler(name) {
  const exported = Built.prototype[name];
  const shortcut = name === "fetch" ? kept.answer : () => undefined;
  return (event, env, ctx) => {
    if (state.criticalError) {
      // What broke may have been about to say that they are no longer right.
      kept.forget();
      // Making an object of the class replaces the broken instance.
      new Built(ctx, env);
    }
    const answer = shortcut(event);
    if (answer !== undefined) return answer;
    try {
      return exported.call({ env, ctx }, event);
    } catch (error) {
      // What traps later, in a task of its own, the class hears of by itself.
      if (error instanceof WebAssembly.RuntimeError) state.criticalError = true;
      throw error;
    }
  };
}
