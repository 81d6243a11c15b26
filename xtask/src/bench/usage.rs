//! CPU time, from Linux's /proc: of the process that serves a port, of the load generator (this process), of the machine.

use std::fs;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::process;

/// Who spends CPU time during a window.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Seconds that the serving process has used.
    pub server: f64,
    /// Seconds that this process has used.
    pub generator: f64,
    /// Seconds that all of the machine's processes have used.
    pub machine: f64,
}

impl Usage {
    pub fn now(server: u32) -> Result<Usage> {
        Ok(Usage { server: of_process(&server.to_string())?, generator: of_process("self")?, machine: of_machine()? })
    }

    pub fn since(self, before: Usage) -> Usage {
        Usage {
            server: self.server - before.server,
            generator: self.generator - before.generator,
            machine: self.machine - before.machine,
        }
    }
}

/// User and system time of a process and all its threads (proc_pid_stat(5): fields 14 and 15).
fn of_process(pid: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is the server gone?"))?;
    // The second field is the program's name in brackets and may hold anything, brackets too.
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / ticks_per_second()),
        _ => bail!("{path} is not as expected"),
    }
}

/// Everything but idling and waiting for devices (proc_stat(5)).
fn of_machine() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are counted in user already.
    let busy: f64 =
        fields.iter().take(8).enumerate().filter(|(index, _)| !matches!(index, 3 | 4)).map(|(_, v)| v).sum();
    Ok(busy / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| process::answer("getconf", &["CLK_TCK"]).and_then(|text| text.parse().ok()).unwrap_or(100.0))
}

/// The process that listens on a port of 127.0.0.1: under wrangler's tools and under `spin` it is not the one that was started.
pub fn listener(port: u16) -> Result<u32> {
    let sockets = fs::read_to_string("/proc/net/tcp").context("cannot read /proc/net/tcp")?;
    let inode = sockets.lines().skip(1).find_map(|line| listening_inode(line, port));
    let wanted = format!("socket:[{}]", inode.with_context(|| format!("nobody listens on port {port}"))?);
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Processes of others cannot be looked into, and any may end meanwhile.
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        if descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()))
        {
            return Ok(pid);
        }
    }
    bail!("cannot find the process that listens on port {port}")
}

/// The inode of a line of /proc/net/tcp, if it is a listening socket on this port.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.split_once(':')?;
    let is_it = fields.get(3) == Some(&LISTEN) && u16::from_str_radix(local_port, 16) == Ok(port);
    is_it.then(|| fields.get(9).copied()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_port_leads_to_its_process() -> Result<()> {
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        assert_eq!(listener(socket.local_addr()?.port())?, std::process::id());
        Ok(())
    }

    #[test]
    fn work_shows_in_the_process_and_in_the_machine() -> Result<()> {
        let before = Usage::now(std::process::id())?;
        let mut sum = 0_u64;
        while Usage::now(std::process::id())?.since(before).generator < 0.05 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let used = Usage::now(std::process::id())?.since(before);
        assert!(used.server >= 0.05 && used.machine > 0.0);
        Ok(())
    }
}
