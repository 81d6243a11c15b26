//! The text of a migration as single statements, for hosts that run one at a time (Spin).

/// The statements of `text` in order, without their semicolons and the comments before them.
///
/// Knows SQLite's comments and its quotes for strings and names. Out of scope: `CREATE TRIGGER`, whose body has semicolons
/// of its own.
#[must_use]
pub fn statements_of(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut place = Place::Code;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, character)| *character);
        place = match (place, character) {
            (Place::Code, '-') if next == Some('-') => Place::LineComment,
            (Place::LineComment, '\n') => Place::Code,
            (Place::Code, '/') if next == Some('*') => {
                characters.next();
                Place::BlockComment
            }
            (Place::BlockComment, '*') if next == Some('/') => {
                characters.next();
                Place::Code
            }
            (Place::Code, ';') => {
                statements.extend(start.take().and_then(|start| text.get(start..at)));
                Place::Code
            }
            (Place::Code, character) if character.is_whitespace() => Place::Code,
            (Place::Code, character) => {
                start.get_or_insert(at);
                match character {
                    '\'' | '"' | '`' => Place::Quoted(character),
                    '[' => Place::Quoted(']'),
                    _ => Place::Code,
                }
            }
            // A doubled quote ends one and begins another: the same to us.
            (Place::Quoted(end), character) if character == end => Place::Code,
            (place, _) => place,
        };
    }
    statements.extend(start.and_then(|start| text.get(start..)));
    statements.into_iter().map(str::trim_end).collect()
}

#[derive(Clone, Copy)]
enum Place {
    Code,
    /// Up to this character.
    Quoted(char),
    LineComment,
    BlockComment,
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::MIGRATIONS;

    #[test]
    fn semicolons_end_statements_and_comments_before_one_are_left_out() {
        let text = "-- The first; not the second.\nCREATE TABLE a (b);\n\n/* ; */ INSERT INTO a VALUES (1 /* one; */, -- ;\n 2) ;\n";
        assert_eq!(statements_of(text), ["CREATE TABLE a (b)", "INSERT INTO a VALUES (1 /* one; */, -- ;\n 2)"]);
    }

    #[test]
    fn a_quoted_semicolon_or_comment_is_text() {
        for statement in ["SELECT 'it''s; -- é'", "SELECT \"a;\"\"b\"", "SELECT `;--`", "SELECT [/*;] - 1 / 2"] {
            assert_eq!(statements_of(&format!("{statement}; {statement}")), [statement; 2]);
        }
    }

    #[test]
    fn nothing_but_comments_and_semicolons_is_no_statement() {
        assert!(statements_of("").is_empty());
        assert!(statements_of(" ;; -- nothing\n; /* nothing **/ ; -- more").is_empty());
    }

    #[test]
    fn migrations_statement_by_statement_make_the_same_schema_as_their_whole_text() {
        let schema = |apply: fn(&Connection, &str)| {
            let database = Connection::open_in_memory().unwrap();
            for (_, text) in MIGRATIONS {
                apply(&database, text);
            }
            let mut names = database.prepare("SELECT sql FROM sqlite_schema ORDER BY rowid").unwrap();
            names.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<Option<String>>, _>>().unwrap()
        };
        let whole = schema(|database, text| database.execute_batch(text).unwrap());
        let single = schema(|database, text| {
            for statement in statements_of(text) {
                database.execute(statement, []).unwrap();
            }
        });
        assert!(whole.len() > 10);
        assert_eq!(single, whole);
    }
}
