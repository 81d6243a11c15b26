//! What wrangler would upload, weighed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};

use crate::process::{self, Output};
use crate::{builds, paths, storage, tools};

pub const LIMIT: usize = builds::BUNDLE_LIMIT;

/// Compressed bytes of the files that `wrangler deploy` would send.
pub fn uploaded_size(scratch: &Path) -> Result<usize> {
    let outdir = scratch.join("upload");
    let mut wrangler = Command::new(tools::node()?);
    wrangler.arg(paths::node_modules().join("wrangler/bin/wrangler.js"));
    wrangler.args(["deploy", "--dry-run", "--config"]).arg(without_build(scratch)?);
    wrangler.arg("--outdir").arg(&outdir).current_dir(paths::root());
    storage::quiet_wrangler(&mut wrangler, scratch)?;
    process::run("wrangler deploy --dry-run", &wrangler, Output::File(&scratch.join("wrangler.log")))?;
    let mut total = 0;
    for entry in fs::read_dir(&outdir).with_context(|| format!("cannot list {}", outdir.display()))? {
        let path = entry?.path();
        let is_sent = path.extension().is_some_and(|extension| extension == "js" || extension == "wasm");
        if is_sent {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&fs::read(&path)?)?;
            total += encoder.finish()?.len();
        }
    }
    ensure!(total > 0, "wrangler wrote no Worker to {}", outdir.display());
    Ok(total)
}

/// wrangler.toml as it is, but for its `[build]`: what is weighed is what was measured.
fn without_build(scratch: &Path) -> Result<std::path::PathBuf> {
    let text = fs::read_to_string(paths::root().join("wrangler.toml")).context("cannot read wrangler.toml")?;
    let mut kept = String::new();
    let mut in_build = false;
    for line in text.lines() {
        if line.starts_with('[') {
            in_build = line.trim() == "[build]";
        }
        if line.starts_with("main = ") {
            kept.push_str(&format!("main = {:?}\n", paths::worker_main()));
        } else if !in_build {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let path = scratch.join("wrangler.toml");
    fs::write(&path, kept).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
