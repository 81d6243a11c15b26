//! What runs: the manifest with every variable's value filled in, checked before anything starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::host::outbound::AllowedHosts;
use crate::manifest::{self, Manifest};
use crate::route::Route;

pub struct App {
    pub routes: Vec<Route>,
    pub components: BTreeMap<String, Component>,
}

pub struct Component {
    pub source: PathBuf,
    pub grants: Grants,
}

/// What the manifest lets one component see and reach.
pub struct Grants {
    pub environment: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
    pub key_value_stores: BTreeSet<String>,
    pub sqlite_databases: BTreeSet<String>,
    pub allowed_outbound_hosts: AllowedHosts,
}

impl App {
    /// Reads the manifest at `path`. `given` are the values of `--variable`; `environment` looks up an environment variable.
    pub fn load(
        path: &Path,
        given: &BTreeMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("the manifest {} cannot be read", path.display()))?;
        let manifest =
            Manifest::parse(&text).with_context(|| format!("the manifest {} is not usable", path.display()))?;
        let values = variable_values(&manifest, given, environment)?;
        let folder = path.parent().unwrap_or(Path::new(""));

        let mut routes = manifest
            .triggers()
            .iter()
            .map(|trigger| Route::parse(&trigger.route, &trigger.component))
            .collect::<Result<Vec<_>>>()?;
        Route::sort(&mut routes);

        let components = manifest
            .component
            .into_iter()
            .map(|(id, component)| {
                let loaded =
                    Component::load(component, folder, &values).with_context(|| format!("component {id:?}"))?;
                Ok((id, loaded))
            })
            .collect::<Result<_>>()?;
        Ok(Self { routes, components })
    }
}

impl Component {
    fn load(component: manifest::Component, folder: &Path, values: &BTreeMap<String, String>) -> Result<Self> {
        let source = folder.join(&component.source);
        ensure!(source.is_file(), "its file {} does not exist: build it first", source.display());
        for store in &component.key_value_stores {
            ensure!(store == "default", "the key-value store {store:?} is not here: this host has only \"default\"");
        }
        for database in &component.sqlite_databases {
            ensure!(database == "default", "the database {database:?} is not here: this host has only \"default\"");
        }
        let hosts = component
            .allowed_outbound_hosts
            .iter()
            .map(|template| manifest::fill(template, values))
            .collect::<Result<Vec<_>>>()?;
        let variables = component
            .variables
            .iter()
            .map(|(name, template)| Ok((name.clone(), manifest::fill(template, values)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            source,
            grants: Grants {
                environment: component.environment,
                variables,
                key_value_stores: component.key_value_stores.into_iter().collect(),
                sqlite_databases: component.sqlite_databases.into_iter().collect(),
                allowed_outbound_hosts: AllowedHosts::parse(&hosts)?,
            },
        })
    }
}

/// Each application variable's value: `--variable` first, then `SPIN_VARIABLE_NAME`, then the default.
fn variable_values(
    manifest: &Manifest,
    given: &BTreeMap<String, String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>> {
    for name in given.keys() {
        ensure!(manifest.variables.contains_key(name), "--variable {name}: the manifest has no such variable");
    }
    let mut values = BTreeMap::new();
    for (name, variable) in &manifest.variables {
        let environment_name = format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase());
        let value =
            given.get(name).cloned().or_else(|| environment(&environment_name)).or_else(|| variable.default.clone());
        let Some(value) = value else {
            bail!(
                "the required variable {name:?} has no value: set {environment_name} or pass --variable {name}=VALUE"
            );
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "app"
        [variables]
        secret = { required = true }
        mode = { default = "quiet" }
        [[trigger.http]]
        route = "/..."
        component = "app"
        [component.app]
        source = "app.wasm"
    "#;

    fn values(given: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<BTreeMap<String, String>> {
        let given = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let environment: BTreeMap<_, _> = environment.iter().copied().collect();
        let manifest = Manifest::parse(MANIFEST)?;
        variable_values(&manifest, &given, |name| environment.get(name).map(|v| v.to_string()))
    }

    #[test]
    fn a_missing_required_variable_is_named() {
        let refusal = values(&[], &[]).expect_err("no value").to_string();
        assert!(refusal.contains("\"secret\" has no value: set SPIN_VARIABLE_SECRET"), "{refusal}");
    }

    #[test]
    fn the_command_line_goes_before_the_environment_and_that_before_the_default() {
        let both = values(&[("secret", "line")], &[("SPIN_VARIABLE_SECRET", "env"), ("SPIN_VARIABLE_MODE", "loud")]);
        let both = both.expect("complete");
        assert_eq!(both["secret"], "line");
        assert_eq!(both["mode"], "loud");
        assert_eq!(values(&[("secret", "line")], &[]).expect("complete")["mode"], "quiet");
    }

    #[test]
    fn a_value_for_an_unknown_variable_is_refused() {
        assert!(values(&[("secret", "a"), ("sekret", "b")], &[]).is_err());
    }

    #[test]
    fn a_missing_component_file_stops_the_start() {
        let folder = std::env::temp_dir().join(format!("spin-host-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("temporary folder");
        let path = folder.join("spin.toml");
        std::fs::write(&path, MANIFEST).expect("writable");
        let given = BTreeMap::from([("secret".to_owned(), "a".to_owned())]);
        let refusal = App::load(&path, &given, |_| None).map(drop).expect_err("no file");
        std::fs::remove_dir_all(&folder).expect("removable");
        let refusal = format!("{refusal:#}");
        assert!(refusal.starts_with("component \"app\": its file"), "{refusal}");
    }
}
