//! docs/consistency.md names what shows each of its rows; all of that has to be there.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn contract() -> String {
    std::fs::read_to_string(format!("{ROOT}/docs/consistency.md")).unwrap()
}

/// The file of `tokens/races` or `budgets`.
fn test_file(name: &str) -> PathBuf {
    let path = Path::new(ROOT).join("tests").join(format!("{name}.rs"));
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

#[test]
fn every_test_that_the_contract_names_is_there() {
    let contract = contract();
    let named = contract.split('`').filter(|text| text.contains("::") && *text != "file::test");
    let named: Vec<&str> = named.collect();
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        let (file, test) = name.split_once("::").unwrap();
        let source = std::fs::read_to_string(test_file(file)).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "{name}");
    }
}

#[test]
fn every_row_names_what_shows_it() {
    let contract = contract();
    let (_, tables) = contract.split_once("\n## Signing in and out").unwrap();
    let rows: Vec<&str> = tables
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| operation"))
        .collect();
    assert!(rows.len() > 20);
    for row in rows {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(shown_by.contains("::") || shown_by.contains("](operations/"), "{row}");
    }
}

#[test]
fn the_simulator_has_the_properties_that_the_contract_numbers() {
    let contract = contract();
    for (at, _) in contract.match_indices("simulator ") {
        let number = contract[at + "simulator ".len()..].chars().next().unwrap();
        assert!(('1'..='7').contains(&number), "simulator {number}");
    }
}

#[test]
fn its_links_lead_somewhere() {
    for target in contract().split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(Path::new(ROOT).join("docs").join(target).is_file(), "{target}");
    }
}

#[test]
fn its_seconds_are_those_of_the_code() {
    use vedette::keys::schedule::{JWKS_MAX_AGE, PUBLICATION_LEAD};
    use vedette::store::grants::GRACE;
    use vedette::tenants::COPY_BOUND;
    let contract = contract();
    for text in [
        format!("at most {COPY_BOUND} seconds after SQL was read"),
        format!("within {}; it signs {PUBLICATION_LEAD} seconds after", COPY_BOUND + JWKS_MAX_AGE),
        format!("the same successor for {GRACE} seconds"),
    ] {
        assert!(contract.contains(&text), "{text}");
    }
}
