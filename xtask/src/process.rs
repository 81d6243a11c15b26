//! Child processes: each in a process group of its own, none of which outlives xtask.
//!
//! A child is not started directly but through a *tether*: xtask itself, as the leader of a new process group, with a pipe
//! from xtask as its standard input. The pipe closes when xtask ends, however it ends, and the tether then kills its group.
//! So Ctrl-C, an error and SIGKILL all leave nothing behind, and nothing but what was started here is ever signalled.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The hidden subcommand that runs a child.
pub const TETHER: &str = "tether";

/// How long a child may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();

/// The user asked xtask to stop.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// To be called first. The executable's path is asked for now because `cargo test` may put a new file in its place.
pub fn prepare() -> Result<()> {
    let executable = std::env::current_exe().context("cannot find xtask's own executable")?;
    EXECUTABLE.get_or_init(|| executable);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)).context("cannot listen for signals")?;
    }
    Ok(())
}

pub fn executable() -> Result<&'static Path> {
    Ok(EXECUTABLE.get().context("xtask's own executable is not known")?)
}

pub fn check_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
}

/// Waits a little, and no longer than until the user wants to stop.
pub fn pause(duration: Duration) -> Result<()> {
    let until = Instant::now() + duration;
    while Instant::now() < until {
        check_interrupted()?;
        std::thread::sleep(POLL.min(duration));
    }
    check_interrupted()
}

/// Where a child's output goes. Its standard error is ours unless it goes to a file.
pub enum Output<'a> {
    Inherit,
    /// All to standard error, for tools whose chatter must not mix with what xtask itself prints.
    Stderr,
    /// All to a file, for tools whose chatter is of interest only when they fail.
    File(&'a Path),
}

/// A running child. Dropping it stops it.
pub struct Task {
    name: String,
    child: Child,
    ended: bool,
}

impl Task {
    /// Starts `command` (its program, arguments, environment and directory count; its streams do not).
    pub fn spawn(name: &str, command: &Command, output: Output<'_>) -> Result<Task> {
        let mut tethered = Command::new(executable()?);
        tethered.arg(TETHER).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => tethered.env(key, value),
                None => tethered.env_remove(key),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            tethered.current_dir(directory);
        }
        tethered.stdin(Stdio::piped()).process_group(0);
        match output {
            Output::Inherit => {}
            Output::Stderr => {
                tethered.stdout(std::io::stderr());
            }
            Output::File(path) => {
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                tethered.stdout(file.try_clone()?).stderr(file);
            }
        }
        let child = tethered.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Task { name: name.to_owned(), child, ended: false })
    }

    /// Fails when the child has ended by itself.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot wait for a child process")? {
            None => Ok(()),
            Some(status) => {
                self.ended = true;
                bail!("{} ended unexpectedly ({})", self.name, in_words(status))
            }
        }
    }

    /// Waits for the child's end.
    pub fn wait(mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for a child process")? {
                self.ended = true;
                return Ok(status);
            }
            pause(POLL)?;
        }
    }

    fn group(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    fn stop(&mut self) {
        if self.ended {
            return;
        }
        let Some(group) = self.group() else { return };
        let _ = kill_process_group(group, Signal::TERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command to its end and fails when it fails.
pub fn run(name: &str, command: &Command, output: Output<'_>) -> Result<()> {
    let log = if let Output::File(path) = output { Some(path) } else { None };
    let status = Task::spawn(name, command, output)?.wait()?;
    if !status.success() {
        if let Some(text) = log.and_then(|path| fs::read_to_string(path).ok()) {
            eprintln!("{text}");
        }
        bail!("{name} failed ({})", in_words(status));
    }
    Ok(())
}

/// What a short command prints on standard output, or nothing when it cannot be run or fails.
pub fn answer(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program of this name is on PATH.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// The other side of [`Task`]: leads a process group, runs the command in it, and takes the group down when xtask is gone.
pub fn tether(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = arguments.next() else { return ExitCode::from(2) };
    // A signal to the group is for the command; the tether stays to pass on how it ended.
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
    let mut child = match Command::new(&program).args(arguments).stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("error: cannot start {}: {error}", program.to_string_lossy());
            return ExitCode::from(127);
        }
    };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    });
    let status = child.wait();
    // What the command left running in the group ends with it; the tether itself ignores this signal.
    let _ = kill_process_group(getpgrp(), Signal::TERM);
    match status {
        Ok(status) => ExitCode::from(exit_code(status)),
        Err(_) => ExitCode::FAILURE,
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit status".to_owned(),
    }
}
