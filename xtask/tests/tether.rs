//! What xtask starts does not outlive it. (Each tether needs a process group of its own: it ends the whole group.)

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn a_tethered_command_and_its_children_end_when_the_tether_is_let_go() -> std::io::Result<()> {
    // A grandchild in the background and a child that would both run for an hour; their standard output is open as long as they live.
    let mut tether = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["tether", "sh", "-c", "sleep 3600 & echo started; sleep 3600"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut output = BufReader::new(tether.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    assert_eq!(line, "started\n");

    drop(tether.stdin.take());
    assert_eq!(output.read(&mut [0])?, 0, "somebody still holds the output");
    assert!(!tether.wait()?.success());
    Ok(())
}

#[test]
fn a_tether_passes_on_how_its_command_ended() -> std::io::Result<()> {
    let mut tether = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["tether", "sh", "-c", "exit 42"])
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()?;
    // Kept open: waiting would close it, and that ends everything.
    let _stdin = tether.stdin.take();
    assert_eq!(tether.wait()?.code(), Some(42));
    Ok(())
}
