// A batch of SQL statements to D1, in one call from wasm and back: a crossing costs about as much as the work behind it.
// wasm-bindgen puts this file into build/index.js.

// The texts of SQL statements, by the numbers that the core speaks of them by.
let statements = [];

export function know(sql) {
  statements.push(sql);
}

export function forgetStatements() {
  statements = [];
}

// Sends a batch to D1, `[[number, parameters], …]` in JSON, and answers `[rows of each statement, bookmark]` in JSON, or null
// when that takes longer than so many milliseconds. With an anchor it is a batch of a session that begins there.
export async function batch(database, anchor, text, milliseconds) {
  const session = anchor === undefined ? undefined : database.withSession(anchor);
  const answers = await answered(session ?? database, text, milliseconds);
  if (answers === null) return null;
  return JSON.stringify([answers.map(({ results }) => columns(results ?? [])), session?.getBookmark() ?? null]);
}

const ROWS_AT_ONCE = 500;

// The same for whole tables, whose rows are too many to be there twice: answers a function that gives `[number of the statement in
// the batch, rows]` in JSON each time, and forgets these rows; undefined at the end.
export async function bulk(database, text, milliseconds) {
  const answers = await answered(database, text, milliseconds);
  if (answers === null) return null;
  const pieces = inPieces(answers);
  return () => pieces.next().value;
}

function* inPieces(answers) {
  for (const [index, { results }] of answers.entries()) {
    const rows = results ?? [];
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
      const text = JSON.stringify([index, columns(rows.slice(at, at + ROWS_AT_ONCE))]);
      rows.fill(null, at, at + ROWS_AT_ONCE);
      yield text;
    }
  }
}

// A row is the list of its columns in the order of the statement: JavaScript keeps the order in which D1 made an object's
// members, unless a name is a number or occurs twice, which `Row` (src/platform.rs) rules out.
function columns(rows) {
  return rows.map((row) => Object.values(row));
}

// How finely limits of time are counted, however late each tick comes: while this isolate computes for another request it hears
// of no answer, and that time must not end the wait for one.
const TICKS = 20;

// What D1 answers, or null when there is no answer in time; what was begun it may still finish.
async function answered(target, text, milliseconds) {
  const prepared = JSON.parse(text).map(([number, parameters]) => {
    const statement = target.prepare(statements[number]);
    return parameters.length === 0 ? statement : statement.bind(...parameters);
  });
  const answers = target.batch(prepared);
  for (let tick = 0; tick < TICKS; tick += 1) {
    const found = await orTick(answers, milliseconds / TICKS);
    if (found !== undefined) return found;
  }
  return null;
}

async function orTick(work, milliseconds) {
  let timer;
  const tick = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    return await Promise.race([work, tick]);
  } finally {
    clearTimeout(timer);
  }
}
