//! `cargo xtask bench`.

use anyhow::{Result, bail};

use crate::cli::BenchOptions;

pub fn command(options: &BenchOptions) -> Result<()> {
    bail!("there is no `cargo xtask bench {}` yet", options.arguments.join(" "))
}
