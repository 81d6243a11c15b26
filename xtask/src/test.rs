//! `cargo xtask test`: every test there is, in groups, cheapest first.
//!
//! A group stops at its first failing command, and the run at the first failing group. What the runners print is passed on.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cli::{Host, TestOptions};
use crate::process::{self, Interrupted, Output};
use crate::steps::{Steps, seconds};
use crate::{builds, paths, simulate, storage, test_tools, tools};

struct Group {
    name: &'static str,
    what: &'static str,
    run: fn(&TestOptions) -> Result<()>,
}

const GROUPS: [Group; 8] = [
    Group { name: "fmt", what: "cargo fmt --check", run: fmt },
    Group { name: "lint", what: "cargo clippy, for this machine and for both hosts' targets", run: lint },
    Group { name: "native", what: "cargo test: units, flows, budgets, tools", run: native },
    Group { name: "simulate", what: "2,000 simulated worlds, and every planted bug found", run: simulated },
    Group { name: "hosts", what: "tests/hosts: one black-box suite on both hosts", run: hosts },
    Group { name: "clients", what: "tests/clients: relying-party libraries on both hosts", run: clients },
    Group { name: "browser", what: "tests/browser: headless Chromium signs in on both hosts", run: browser },
    Group { name: "deploy", what: "wrangler deploy --dry-run, and the Worker's weight", run: deploy },
];

pub fn help() -> String {
    let groups: String = GROUPS.iter().map(|group| format!("  {:<8} {}\n", group.name, group.what)).collect();
    format!(
        "cargo xtask test [--install] [GROUP…]\n\n{groups}\n\
         Without a GROUP all of them run, in this order. --install (or CI in the environment) lets it install what is missing\n\
         on the system with apt-get; otherwise it says the line to type.\n"
    )
}

pub fn known_group(name: &str) -> Result<String> {
    if GROUPS.iter().any(|group| group.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
    bail!("there is no group of tests `{name}`; there are {}", names.join(", "))
}

pub fn command(options: &TestOptions) -> Result<()> {
    let chosen = |group: &&Group| options.groups.is_empty() || options.groups.iter().any(|name| name == group.name);
    let mut summary = Vec::new();
    let mut failure = None;
    for group in GROUPS.iter().filter(chosen) {
        if failure.is_some() {
            summary.push(format!("{:<8} not run", group.name));
            continue;
        }
        eprintln!("\n== {}: {}", group.name, group.what);
        let started = Instant::now();
        let outcome = (group.run)(options);
        let verdict = if outcome.is_ok() { "passed" } else { "FAILED" };
        summary.push(format!("{:<8} {verdict} in {}", group.name, seconds(started.elapsed())));
        if let Err(error) = outcome {
            if error.is::<Interrupted>() {
                return Err(error);
            }
            failure = Some(error.context(format!("test group {}", group.name)));
        }
    }
    println!("\n{}", summary.join("\n"));
    failure.map_or(Ok(()), Err)
}

fn fmt(_: &TestOptions) -> Result<()> {
    cargo(&["fmt", "--all", "--check"])
}

fn lint(_: &TestOptions) -> Result<()> {
    Host::ALL.into_iter().try_for_each(tools::rust_target)?;
    cargo(&["clippy", "--workspace", "--exclude", "spin-host", "--all-targets", "--", "-D", "warnings"])?;
    // Not the Spin test host: checking its dependencies takes longer than everything else here.
    for target in ["wasm32-unknown-unknown", "wasm32-wasip2"] {
        cargo(&["clippy", "--package", "vedette", "--lib", "--target", target, "--", "-D", "warnings"])?;
    }
    Ok(())
}

fn native(_: &TestOptions) -> Result<()> {
    tools::c_compiler()?;
    // Here the property tests try the same every time, so that a failure comes of what changed; `cargo test` alone explores.
    cargo_with(&["test", "--workspace", "--exclude", "spin-host"], &[("PROPTEST_RNG_SEED", "20261127")])?;
    cargo(&["test", "--package", "spin-host", "--profile", "tool"])
}

fn simulated(_: &TestOptions) -> Result<()> {
    simulate::command(&[])?;
    simulate::command(&["--every-plant".to_owned()])
}

fn hosts(_: &TestOptions) -> Result<()> {
    node_tests("hosts", || Ok(Vec::new()))
}

fn clients(options: &TestOptions) -> Result<()> {
    node_tests("clients", || {
        Ok(vec![
            ("VEDETTE_PYTHON", test_tools::python(options.install)?),
            ("VEDETTE_OPENIDCONNECT_CLIENT", test_tools::openidconnect_client()?),
        ])
    })
}

fn browser(options: &TestOptions) -> Result<()> {
    node_tests("browser", || Ok(vec![("VEDETTE_CHROMIUM", test_tools::chromium(options.install)?)]))
}

/// What a user's `npx wrangler deploy` does, up to the upload: wrangler.toml's own `[build]` command runs.
fn deploy(_: &TestOptions) -> Result<()> {
    let mut steps = Steps::new(5);
    builds::prerequisites(&mut steps, &[Host::Cloudflare])?;
    builds::worker_prerequisites(&mut steps)?;
    let path = tools::path()?;
    steps.step("wrangler deploy --dry-run", || {
        wrangler_deploy("", &path)?;
        builds::weigh()
    })?;
    steps.step("wrangler deploy --dry-run --env admin", || {
        // It is the same Worker with other variables, and building it once more would take a minute for nothing.
        wrangler_deploy(
            "admin",
            &std::env::join_paths(std::iter::once(idle_worker_build()?).chain(std::env::split_paths(&path)))?,
        )?;
        Ok("accepted".to_owned())
    })
}

fn wrangler_deploy(environment: &str, path: &OsStr) -> Result<()> {
    let mut wrangler = Command::new(tools::node()?);
    wrangler.arg(paths::node_modules().join("wrangler/bin/wrangler.js"));
    wrangler.args(["deploy", "--dry-run", "--env", environment, "--outdir"]).arg(paths::notes().join("deploy"));
    wrangler.current_dir(paths::root());
    storage::quiet_wrangler(&mut wrangler, &paths::notes())?;
    builds::worker_build_environment(&mut wrangler)?;
    // `cargo install worker-build` finds it installed where the cache has it.
    wrangler.env("CARGO_INSTALL_ROOT", tools::worker_build_root()?).env("PATH", path);
    process::run("wrangler deploy --dry-run", &wrangler, Output::Inherit)
}

/// A folder with a `worker-build` that does nothing.
fn idle_worker_build() -> Result<PathBuf> {
    let folder = paths::notes().join("idle");
    let program = folder.join("worker-build");
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        fs::write(&program, "#!/bin/sh\n")?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("cannot write {}", program.display()))?;
    Ok(folder)
}

/// Both hosts' products and the Spin test host, for the tests that start hosts by themselves.
fn build_both() -> Result<()> {
    let mut steps = Steps::new(2 + Host::ALL.iter().map(|host| builds::step_count(*host)).sum::<usize>());
    builds::prerequisites(&mut steps, &Host::ALL)?;
    for host in Host::ALL {
        builds::build(&mut steps, host)?;
    }
    steps.step("The Spin test host", builds::spin_host)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(paths::root()).env("CARGO_TARGET_DIR", paths::target());
    cargo.envs(environment.iter().copied());
    process::run(&format!("cargo {}", arguments.join(" ")), &cargo, Output::Inherit)
}

/// Runs `tests/GROUP/*.test.mjs`, one file after the other: on two cores, several hosts at once would disturb each other.
fn node_tests(group: &str, environment: impl FnOnce() -> Result<Vec<(&'static str, PathBuf)>>) -> Result<()> {
    let directory = paths::root().join("tests").join(group);
    let files = test_files(&directory)?;
    if files.is_empty() {
        eprintln!("no tests in {}", directory.display());
        return Ok(());
    }
    let environment = environment()?;
    build_both()?;
    let mut node = Command::new(tools::node()?);
    node.args(["--test", "--test-concurrency=1", "--test-reporter=spec", "--test-timeout=2700000"]).args(files);
    node.current_dir(paths::root())
        .env("PATH", tools::path()?)
        .env("VEDETTE_XTASK", process::executable()?)
        .envs(environment);
    process::run(&format!("node --test tests/{group}"), &node, Output::Inherit)
}

fn test_files(directory: &PathBuf) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
