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
// when that takes longer than so many milliseconds; what was begun D1 may still finish. With an anchor it is a batch of a
// session that begins there.
//
// A row is the list of its columns in the order of the statement: JavaScript keeps the order in which D1 made an object's
// members, unless a name is a number or occurs twice, which `Row` (src/platform.rs) rules out.
export async function batch(database, anchor, text, milliseconds) {
  const session = anchor === undefined ? undefined : database.withSession(anchor);
  const target = session ?? database;
  const prepared = JSON.parse(text).map(([number, parameters]) => {
    const statement = target.prepare(statements[number]);
    return parameters.length === 0 ? statement : statement.bind(...parameters);
  });
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds, null);
  });
  try {
    const answers = await Promise.race([target.batch(prepared), late]);
    if (answers === null) return null;
    // Row by row: a backup's rows are too many to be there once more as lists.
    const rows = answers.map(({ results }) => `[${(results ?? []).map((row) => JSON.stringify(Object.values(row))).join()}]`);
    return `[[${rows.join()}],${JSON.stringify(session?.getBookmark() ?? null)}]`;
  } finally {
    clearTimeout(timer);
  }
}
