//! `cargo xtask bench`.

use anyhow::{Result, bail};

use crate::cli::BenchOptions;

pub fn command(_options: &BenchOptions) -> Result<()> {
    bail!("cargo xtask bench: not yet")
}
