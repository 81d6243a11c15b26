//! What was built from what: a digest of sources, kept beside a product, says whether it has to be made again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// SHA-256 over the names and contents of files and folders (those that exist), and over what else matters.
pub fn of(paths: &[PathBuf], also: &[&str]) -> Result<String> {
    let mut digest = Sha256::new();
    for part in also {
        absorb(&mut digest, part.as_bytes());
    }
    for path in paths {
        if path.exists() {
            walk(path, &mut digest)?;
        }
    }
    Ok(hexadecimal(digest))
}

/// The same over contents only, for what does not depend on where the checkout is.
pub fn of_contents(files: &[&Path], also: &[&str]) -> Result<String> {
    let mut digest = Sha256::new();
    for part in also {
        absorb(&mut digest, part.as_bytes());
    }
    for path in files.iter().filter(|path| path.is_file()) {
        absorb(&mut digest, &fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(hexadecimal(digest))
}

fn walk(path: &Path, digest: &mut Sha256) -> Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("cannot list {}", path.display()))?;
        entries.sort();
        return entries.iter().try_for_each(|entry| walk(entry, digest));
    }
    let contents = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    absorb(digest, path.to_string_lossy().as_bytes());
    absorb(digest, &contents);
    Ok(())
}

/// Lengths go in too, so that moving a byte from one file's end to the next one's start shows.
fn absorb(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that holds the fingerprint of the last successful run.
pub struct Stamp(pub PathBuf);

impl Stamp {
    pub fn is(&self, fingerprint: &str) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|stamp| stamp == fingerprint)
    }

    pub fn set(&self, fingerprint: &str) -> Result<()> {
        if let Some(directory) = self.0.parent() {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        fs::write(&self.0, fingerprint).with_context(|| format!("cannot write {}", self.0.display()))
    }
}
