//! Where things are: the checkout, what is built in it, and the user's cache of tools.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The checkout that this xtask was built from.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Cargo's target directory for everything that xtask builds. It is always the checkout's own, whatever
/// CARGO_TARGET_DIR says, because spin.toml names the component inside it.
pub fn target() -> PathBuf {
    root().join("target")
}

/// Stamps, locks and other notes of xtask itself.
pub fn notes() -> PathBuf {
    target().join("xtask")
}

/// The user's cache, shared by all checkouts: tools that take minutes to compile.
pub fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache")
        }
    };
    Ok(base.join("vedette"))
}

/// What `main` of wrangler.toml names: it imports the build.
pub fn worker_main() -> PathBuf {
    root().join("src/cloudflare/main.mjs")
}

pub fn worker() -> PathBuf {
    root().join("build/index.js")
}

pub fn component() -> PathBuf {
    target().join("wasm32-wasip2/release/vedette.wasm")
}

pub fn simulator() -> PathBuf {
    target().join("tool/simulator")
}

pub fn spin_host() -> PathBuf {
    target().join("tool/spin-host")
}

pub fn node_modules() -> PathBuf {
    root().join("node_modules")
}
