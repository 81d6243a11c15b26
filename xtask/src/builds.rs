//! Building the Worker and the Spin component, and weighing the Worker.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};

use crate::cli::{BuildOptions, Host};
use crate::fingerprint::{self, Stamp};
use crate::process::{self, Output};
use crate::steps::Steps;
use crate::{paths, tools};

/// What the Worker may weigh, compressed, in bytes.
pub const BUNDLE_LIMIT: usize = 600_000;

pub fn command(options: &BuildOptions) -> Result<()> {
    let mut steps = Steps::new(1 + options.hosts.iter().map(|host| step_count(*host)).sum::<usize>());
    prerequisites(&mut steps, &options.hosts)?;
    for host in &options.hosts {
        build(&mut steps, *host)?;
    }
    eprintln!("built in {}", steps.elapsed());
    Ok(())
}

/// How many steps [`build`] shows.
pub fn step_count(host: Host) -> usize {
    match host {
        Host::Cloudflare => 3,
        Host::Spin => 1,
    }
}

/// One step: what cannot be built without.
pub fn prerequisites(steps: &mut Steps, hosts: &[Host]) -> Result<()> {
    steps.step("Prerequisites: Rust targets, C compiler, Node.js", || {
        hosts.iter().try_for_each(|host| tools::rust_target(*host))?;
        tools::c_compiler()?;
        let node = tools::system_node()?;
        Ok(format!("all there, Node.js {node}"))
    })
}

/// Builds one host's product, unless it is up to date.
pub fn build(steps: &mut Steps, host: Host) -> Result<()> {
    match host {
        Host::Cloudflare => {
            worker_prerequisites(steps)?;
            steps.step("The Worker: build/index.js", worker)
        }
        Host::Spin => steps.step("The Spin component: target/wasm32-wasip2/release/vedette.wasm", component),
    }
}

/// Two steps: what only the Worker's build needs.
pub fn worker_prerequisites(steps: &mut Steps) -> Result<()> {
    steps.step("npm packages: wrangler, workerd, esbuild, binaryen", tools::npm_packages)?;
    steps.step("Worker tools: worker-build, wasm-bindgen", tools::worker_tools)
}

fn worker() -> Result<String> {
    let product = paths::worker();
    let outcome = unless_up_to_date(Host::Cloudflare, &product, || {
        let mut command = Command::new(tools::worker_build()?);
        command.arg("--release").current_dir(paths::root());
        worker_build_environment(&mut command)?;
        process::run("worker-build", &command, Output::Stderr)
    })?;
    Ok(format!("{outcome}, {}", weigh()?))
}

/// The Worker's weight in words, or an error when it is too much.
pub fn weigh() -> Result<String> {
    let size = bundle_size()?;
    let (kilobytes, limit) = (size as f64 / 1000.0, BUNDLE_LIMIT / 1000);
    if size > BUNDLE_LIMIT {
        bail!("the Worker weighs {kilobytes:.1} KB gzipped and may weigh {limit} KB");
    }
    Ok(format!("{kilobytes:.1} KB gzipped of at most {limit} KB"))
}

/// worker-build would fetch these three programs by itself; npm and the cache have them already.
pub fn worker_build_environment(command: &mut Command) -> Result<()> {
    let bin = paths::node_modules().join(".bin");
    command
        .env("PATH", tools::path()?)
        .env("WASM_BINDGEN_BIN", tools::wasm_bindgen()?)
        .env("WASM_OPT_BIN", bin.join("wasm-opt"))
        .env("ESBUILD_BIN", bin.join("esbuild"))
        .env("CARGO_TARGET_DIR", paths::target());
    Ok(())
}

fn component() -> Result<String> {
    unless_up_to_date(Host::Spin, &paths::component(), || {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--package", "vedette", "--lib", "--target", "wasm32-wasip2", "--release"]);
        cargo.current_dir(paths::root()).env("CARGO_TARGET_DIR", paths::target());
        process::run("cargo build", &cargo, Output::Stderr)
    })
}

/// The Spin test host, for machines without Spin. Cargo itself finds out whether it is up to date.
pub fn spin_host() -> Result<String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", "tool", "--package", "spin-host"]);
    cargo.current_dir(paths::root()).env("CARGO_TARGET_DIR", paths::target());
    process::run("cargo build", &cargo, Output::Stderr)?;
    Ok("built".to_owned())
}

fn unless_up_to_date(host: Host, product: &Path, build: impl FnOnce() -> Result<()>) -> Result<String> {
    let _lock = tools::lock(&paths::notes().join(format!("{}.lock", host.name())))?;
    let fingerprint = sources(host)?;
    let stamp = Stamp(paths::notes().join(format!("{}.fingerprint", host.name())));
    if product.is_file() && stamp.is(&fingerprint) {
        return Ok("up to date".to_owned());
    }
    build()?;
    if !product.is_file() {
        bail!("the build succeeded without making {}", product.display());
    }
    stamp.set(&fingerprint)?;
    Ok("built".to_owned())
}

/// Everything that what is deployed is made of.
fn sources(host: Host) -> Result<String> {
    let root = paths::root();
    let names = [
        "src",
        "kv-schema",
        "templates",
        "assets",
        "askama.toml",
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
    ];
    let compiler = process::answer("rustc", &["-V"]).unwrap_or_default();
    let rustflags = std::env::var("RUSTFLAGS").unwrap_or_default();
    fingerprint::of(&names.map(|name| root.join(name)), &[host.name(), tools::WORKER_BUILD, &compiler, &rustflags])
}

/// The bytes of everything that wrangler uploads, compressed.
pub fn bundle_size() -> Result<usize> {
    let mut total = 0;
    for path in [paths::worker_main(), paths::worker(), paths::worker().with_file_name("index_bg.wasm")] {
        let contents = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&contents)?;
        total += encoder.finish()?.len();
    }
    Ok(total)
}
