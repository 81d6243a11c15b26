//! Local D1: migrated by wrangler, as a deployment's is.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::fingerprint::{self, Stamp};
use crate::process::{self, Output};
use crate::state::State;
use crate::steps::note;
use crate::{paths, tools};

/// Where wrangler and Miniflare keep D1, below the directory of `--persist-to`.
const D1: &str = "v3/d1";

/// Creates the local D1 database's tables with the very command that a deployment uses; skipped while nothing has changed.
///
/// A new database is copied from one that was migrated before with the same files: wrangler takes seconds to start, and tests
/// make many databases.
pub fn migrate(state: &State) -> Result<String> {
    let root = paths::root();
    let sources = ["kv-schema/sql", "wrangler.toml", "package-lock.json"].map(|name| root.join(name));
    let fingerprint = fingerprint::of(&sources, &[])?;
    let directory = state.host_directory();
    let stamp = Stamp(directory.join("migrated"));
    if stamp.is(&fingerprint) {
        return Ok("up to date".to_owned());
    }
    let is_new = !directory.join(D1).exists();
    let template = paths::notes().join(format!("d1-{}", fingerprint.get(..16).unwrap_or(&fingerprint)));
    let outcome = if is_new && template.exists() {
        copy_whole(&template, &directory.join(D1))?;
        "copied from a migrated one"
    } else {
        apply_migrations(state)?;
        if is_new {
            copy_whole(&directory.join(D1), &template)?;
        }
        "migrated"
    };
    stamp.set(&fingerprint)?;
    Ok(outcome.to_owned())
}

fn apply_migrations(state: &State) -> Result<()> {
    note("wrangler d1 migrations apply DB --local");
    let mut wrangler = Command::new(tools::node()?);
    wrangler.arg(paths::node_modules().join("wrangler/bin/wrangler.js"));
    wrangler.args(["d1", "migrations", "apply", "DB", "--local", "--persist-to"]).arg(state.host_directory());
    wrangler.current_dir(paths::root());
    quiet_wrangler(&mut wrangler, state.directory())?;
    let log = state.host_directory().join("migrations.log");
    process::run("wrangler d1 migrations apply", &wrangler, Output::File(&log))
}

/// Complete under its final name, or not there: others may be starting at the same time, and any of them may be stopped.
fn copy_whole(from: &Path, to: &Path) -> Result<()> {
    let draft = to.with_extension(std::process::id().to_string());
    copy(from, &draft)?;
    if fs::rename(&draft, to).is_err() {
        fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy(&entry.path(), &target).map_err(std::io::Error::other)?;
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    };
    attempt().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// wrangler and Miniflare shall ask nothing, report nothing and fetch nothing.
pub fn quiet_wrangler(command: &mut Command, logs: &Path) -> Result<()> {
    let logs = logs.join("wrangler-logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    command
        .env("PATH", tools::path()?)
        .env("CI", "1")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_SEND_ERROR_REPORTS", "false")
        .env("WRANGLER_LOG_PATH", logs)
        .env("WRANGLER_HIDE_BANNER", "true")
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
    Ok(())
}
