//! `spin.toml`, manifest version 2, as far as this host mirrors it.
//!
//! A member that would change how a component runs and is not mirrored is refused by its name, never skipped in silence.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "spin_manifest_version")]
    _version: IgnoredAny,
    #[serde(rename = "application")]
    _application: Application,
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    pub component: BTreeMap<String, Component>,
}

/// An application variable: either it has a default, or somebody must give its value at the start.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub default: Option<String>,
    #[serde(default)]
    required: bool,
    /// Accepted and not needed: this host prints no variable's value, secret or not.
    #[serde(rename = "secret")]
    _secret: Option<bool>,
    #[serde(rename = "description")]
    _description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    pub route: String,
    pub component: String,
    #[serde(rename = "id")]
    _id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The component's file, relative to the manifest.
    pub source: String,
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub key_value_stores: Vec<String>,
    #[serde(default)]
    pub sqlite_databases: Vec<String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What the component sees, each a template over the application's variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "build")]
    _build: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    _tool: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    #[serde(default)]
    http: Vec<HttpTrigger>,
}

/// Nothing in here changes how a component runs, so its other members are free.
#[derive(Debug, Deserialize)]
struct Application {
    #[serde(rename = "name")]
    _name: String,
}

impl Manifest {
    pub fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            spin_manifest_version: i64,
        }
        // First the version alone: what another version's members are called would only mislead.
        let Versioned { spin_manifest_version } = from_toml(text)?;
        ensure!(
            spin_manifest_version == 2,
            "spin_manifest_version is {spin_manifest_version}, and this host reads only 2"
        );
        let manifest: Self = from_toml(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    pub fn triggers(&self) -> &[HttpTrigger] {
        &self.trigger.http
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.trigger.http.is_empty(), "there is no [[trigger.http]]");
        for trigger in &self.trigger.http {
            ensure!(
                self.component.contains_key(&trigger.component),
                "the route {:?} names the component {:?}, which is not in the manifest",
                trigger.route,
                trigger.component
            );
        }
        for (name, variable) in &self.variables {
            check_variable_name(name)?;
            ensure!(
                variable.required || variable.default.is_some(),
                "the variable {name:?} needs either a default or required = true"
            );
        }
        for (id, component) in &self.component {
            for name in component.variables.keys() {
                check_variable_name(name).with_context(|| format!("component {id:?}"))?;
            }
        }
        Ok(())
    }
}

/// Spin's rule: lower-case letters, digits and single underscores between them, a letter first.
pub fn check_variable_name(name: &str) -> Result<()> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__")
        && !name.ends_with('_');
    ensure!(
        good,
        "{name:?} is not a variable name (lower-case letters, digits and single underscores, a letter first)"
    );
    Ok(())
}

/// Fills in a template's `{{ name }}` places.
pub fn fill(template: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, tail)) = after.split_once("}}") else {
            bail!("the template {template:?} has {{{{ without }}}}");
        };
        let name = name.trim();
        let Some(value) = values.get(name) else {
            bail!("the template {template:?} names the variable {name:?}, which is not in [variables]");
        };
        filled.push_str(before);
        filled.push_str(value);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// TOML's own errors span lines of source text; ours are one sentence with the line's number.
fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().replace('\n', ", ");
        match error.span().and_then(|span| text.get(..span.start)) {
            Some(before) => anyhow::anyhow!("line {}: {message}", before.matches('\n').count() + 1),
            None => anyhow::anyhow!("{message}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "vedette"
        version = "0.1.0"
        authors = ["somebody"]
        [variables]
        root_secret = { required = true, secret = true, description = "32 random bytes" }
        region = { default = "" }
        [[trigger.http]]
        route = "/..."
        component = "vedette"
        [component.vedette]
        source = "target/vedette.wasm"
        allowed_outbound_hosts = ["https://*:*"]
        key_value_stores = ["default"]
        sqlite_databases = ["default"]
        [component.vedette.variables]
        root_secret = "{{ root_secret }}"
        [component.vedette.build]
        command = "cargo build"
    "#;

    fn refusal(text: &str) -> String {
        Manifest::parse(text).map(drop).expect_err("should be refused").to_string()
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let manifest = Manifest::parse(WHOLE).expect("valid");
        assert_eq!(manifest.triggers()[0].route, "/...");
        let component = &manifest.component["vedette"];
        assert_eq!(component.source, "target/vedette.wasm");
        assert_eq!(component.key_value_stores, ["default"]);
        assert_eq!(component.variables["root_secret"], "{{ root_secret }}");
        assert_eq!(manifest.variables["region"].default.as_deref(), Some(""));
        assert_eq!(manifest.variables["root_secret"].default, None);
    }

    #[test]
    fn another_version_is_refused_by_its_number() {
        assert_eq!(
            refusal("spin_manifest_version = 1\nname = \"old\""),
            "spin_manifest_version is 1, and this host reads only 2"
        );
    }

    #[test]
    fn a_member_that_is_not_mirrored_is_refused_with_its_line() {
        let text = WHOLE.replace("sqlite_databases =", "ai_models =");
        let refusal = refusal(&text);
        assert!(refusal.starts_with("line 17: unknown field `ai_models`"), "{refusal}");
    }

    #[test]
    fn a_trigger_needs_its_component() {
        let text = WHOLE.replace("component = \"vedette\"", "component = \"other\"");
        assert!(refusal(&text).contains("\"other\", which is not in the manifest"));
    }

    #[test]
    fn a_variable_needs_a_default_or_required() {
        let text = WHOLE.replace("{ default = \"\" }", "{ secret = false }");
        assert!(refusal(&text).contains("\"region\" needs either a default or required"));
    }

    #[test]
    fn variable_names_follow_spins_rule() {
        for good in ["a", "root_secret", "a1_2"] {
            check_variable_name(good).expect(good);
        }
        for bad in ["", "Root", "1a", "_a", "a_", "a__b", "a-b"] {
            check_variable_name(bad).expect_err(bad);
        }
    }

    #[test]
    fn templates_are_filled_in() {
        let values = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "{{ a }}".to_owned())]);
        assert_eq!(fill("plain", &values).unwrap(), "plain");
        assert_eq!(fill("x{{ a }}y{{a}}", &values).unwrap(), "x1y1");
        assert_eq!(fill("{{ b }}", &values).unwrap(), "{{ a }}", "a value is not a template");
        assert!(fill("{{ c }}", &values).unwrap_err().to_string().contains("\"c\""));
        assert!(fill("{{ a", &values).is_err());
    }
}
