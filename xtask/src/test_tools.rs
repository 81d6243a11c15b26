//! What only tests need: a browser, and Python with the libraries under test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::fingerprint::{self, Stamp};
use crate::process::{self, Output};
use crate::steps::note;
use crate::{paths, tools};

/// A Chromium: VEDETTE_CHROMIUM, or one on PATH, or Debian's, installed when that is allowed.
pub fn chromium(install: bool) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("VEDETTE_CHROMIUM") {
        return Ok(path.into());
    }
    if let Some(path) = find_browser() {
        return Ok(path);
    }
    system_package("Chromium, for the browser tests,", &["chromium"], install)?;
    find_browser().context("chromium was installed and is not on PATH")
}

fn find_browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .find_map(|name| std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file()))
}

/// The interpreter of a virtual environment with `tests/clients/requirements.txt`, made once per user for each state of that file.
pub fn python(install: bool) -> Result<PathBuf> {
    let requirements = paths::root().join("tests/clients/requirements.txt");
    let system = "python3";
    if process::answer(system, &["-c", "import venv, ensurepip"]).is_none() {
        system_package("Python 3 with venv, for the authlib tests,", &["python3", "python3-venv"], install)?;
    }
    let version = process::answer(system, &["--version"]).unwrap_or_default();
    let fingerprint = fingerprint::of_contents(&[requirements.as_path()], &[&version])?;
    let cache = paths::cache()?;
    let environment = cache.join(format!("python-{}", fingerprint.get(..16).unwrap_or(&fingerprint)));
    let interpreter = environment.join("bin/python");
    let stamp = Stamp(environment.join("complete"));
    if stamp.is(&fingerprint) {
        return Ok(interpreter);
    }
    let _lock = tools::lock(&cache.join("lock"))?;
    note(&format!("making a Python environment in {}", environment.display()));
    let mut venv = Command::new(system);
    venv.args(["-m", "venv", "--clear"]).arg(&environment);
    process::run("python3 -m venv", &venv, Output::Stderr)?;
    if requirements.is_file() {
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "10", "-r"])
            .arg(&requirements);
        process::run("pip install", &pip, Output::Stderr)?;
    }
    stamp.set(&fingerprint)?;
    Ok(interpreter)
}

/// The relying party that is built with the openidconnect crate.
pub fn openidconnect_client() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--package", "openidconnect-client"]);
    cargo.current_dir(paths::root()).env("CARGO_TARGET_DIR", paths::target());
    process::run("cargo build", &cargo, Output::Stderr)?;
    Ok(paths::target().join("debug/openidconnect-client"))
}

/// Installs Debian packages when the user said so (or in CI, where nobody can be asked); otherwise says the line to type.
fn system_package(what: &str, packages: &[&str], install: bool) -> Result<()> {
    let line = format!("apt-get install -y {}", packages.join(" "));
    if !(install || std::env::var_os("CI").is_some_and(|value| !value.is_empty())) {
        bail!("{what} is not on this machine: type `{line}`, or add --install");
    }
    if !process::on_path("apt-get") {
        bail!(
            "{what} is not on this machine, and there is no apt-get to install it with: install {} by other means",
            packages.join(", ")
        );
    }
    for arguments in [&["update"][..], &[&["install", "-y", "--no-install-recommends"], packages].concat()] {
        let mut apt = Command::new("apt-get");
        apt.args(["-o", "Acquire::Retries=5"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        process::run("apt-get", &apt, Output::Stderr)
            .with_context(|| format!("{what} could not be installed: type `{line}`"))?;
    }
    Ok(())
}
