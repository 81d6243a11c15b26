//! `cargo xtask simulate`: builds the simulator, runs it, and ends as it ends.

use std::fmt;
use std::process::Command;

use anyhow::Result;

use crate::process::{self, Output, Task};
use crate::{paths, tools};

/// The simulator's exit status, when it is not 0.
#[derive(Debug)]
pub struct Ended(pub u8);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulator ended with exit status {}", self.0)
    }
}

impl std::error::Error for Ended {}

pub fn command(arguments: &[String]) -> Result<()> {
    tools::c_compiler()?;
    // Cargo itself finds out whether it is up to date. Only what the simulator says is on standard output.
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", "tool", "--package", "simulator"]);
    cargo.current_dir(paths::root()).env("CARGO_TARGET_DIR", paths::target());
    process::run("cargo build", &cargo, Output::Stderr)?;
    let mut simulator = Command::new(paths::simulator());
    simulator.args(arguments);
    let status = Task::spawn("the simulator", &simulator, Output::Inherit)?.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(Ended(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)).into())
}
