//! Running the issuer: Workers in workerd through tools/workerd/serve.mjs, the component in `spin` or tools/spin-host.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use url::Url;

use crate::cli::{DevOptions, Host};
use crate::http::Client;
use crate::process::{self, Output, Task};
use crate::state::State;
use crate::{paths, storage, tools};

/// How long a host may take until it answers. Spin's first run compiles the component to machine code.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The issuer, running. Dropping it stops it.
pub struct Running {
    pub issuer: String,
    pub tasks: Vec<Task>,
    ports: Vec<u16>,
}

impl Running {
    /// Starts the host that `options` name, on migrated storage, and waits until every instance answers.
    pub fn start(options: &DevOptions, state: &State, issuer: &str) -> Result<Running> {
        Self::start_logging_to(options, state, issuer, None)
    }

    /// For measurements: what the host prints goes to a file. The log lines of requests are written there by Spin and dropped
    /// behind workerd, whose Node tools would otherwise take as much CPU time as the Worker.
    pub fn start_logging_to(options: &DevOptions, state: &State, issuer: &str, log: Option<&Path>) -> Result<Running> {
        let variables = variables(options, state, issuer)?;
        let mut running = Running { issuer: issuer.to_owned(), tasks: Vec::new(), ports: options.ports().collect() };
        match options.host {
            Host::Cloudflare => running.tasks.push(workerd(options, state, &variables, log)?),
            Host::Spin => {
                for port in options.ports() {
                    running.tasks.push(spin(port, state, &variables, log)?);
                }
            }
        }
        running.wait_until_answering()?;
        Ok(running)
    }

    /// Where the issuer is reached on this machine, whatever its public URL is.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(self.base(self.ports.first().copied().context("no instance")?)?))
    }

    fn base(&self, port: u16) -> Result<String> {
        let issuer = Url::parse(&self.issuer).with_context(|| format!("the issuer {} is no URL", self.issuer))?;
        Ok(format!("http://127.0.0.1:{port}{}", issuer.path().trim_end_matches('/')))
    }

    pub fn check_running(&mut self) -> Result<()> {
        self.tasks.iter_mut().try_for_each(Task::check_running)
    }

    /// What the issuer says of its bindings: the status and the body of `/health`.
    pub fn health(&self) -> Result<(u16, Value)> {
        // At the root: it answers on any host name and path, before there is a tenant.
        let port = self.ports.first().copied().context("no instance")?;
        let answer = Client::new(format!("http://127.0.0.1:{port}")).get("/health")?;
        Ok((answer.status, answer.body))
    }

    fn wait_until_answering(&mut self) -> Result<()> {
        let until = Instant::now() + START_LIMIT;
        for port in self.ports.clone() {
            let client = Client::new(self.base(port)?);
            while let Err(error) = client.get("/health") {
                self.check_running()?;
                if Instant::now() > until {
                    return Err(
                        error.context(format!("nothing answers on port {port} after {} s", START_LIMIT.as_secs()))
                    );
                }
                process::pause(Duration::from_millis(40))?;
            }
        }
        Ok(())
    }
}

/// Fails with a sentence when somebody else listens on one of the ports.
pub fn check_ports(ports: impl Iterator<Item = u16>) -> Result<()> {
    for port in ports {
        let addresses: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        for address in addresses {
            match TcpListener::bind(address) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    bail!("port {port} is in use ({address}): stop what listens there, or choose another with --port")
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    bail!("port {port} needs more rights than this user has: choose one above 1023 with --port")
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The configuration that a deployment would take from secrets and variables.
fn variables(options: &DevOptions, state: &State, issuer: &str) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("ROOT_SECRET", state.root_secret()?),
        ("SURFACE", options.surface.clone()),
        ("REGION", options.region.clone()),
        ("HOST_ALIASES", host_aliases(issuer)?),
        ("DEMO", if options.demo { "1" } else { "" }.to_owned()),
    ])
}

/// The names that a request on this machine may carry in its Host header, for the one that the tenant has.
fn host_aliases(issuer: &str) -> Result<String> {
    let issuer = Url::parse(issuer)?;
    let host = issuer.host_str().context("the issuer has no host")?;
    let names = ["127.0.0.1", "localhost", "[::1]"];
    Ok(names.iter().filter(|name| **name != host).map(|name| format!("{name}={host}")).collect::<Vec<_>>().join(","))
}

fn workerd(
    options: &DevOptions,
    state: &State,
    variables: &[(&'static str, String)],
    log: Option<&Path>,
) -> Result<Task> {
    let bindings: serde_json::Map<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let configuration = json!({
        "config": paths::root().join("wrangler.toml"),
        "notes": paths::notes(),
        "persist": state.host_directory().join("v3"),
        "ports": options.ports().collect::<Vec<_>>(),
        "bindings": bindings,
        "dropLogLines": log.is_some(),
    });
    let mut node = Command::new(tools::node()?);
    node.arg(paths::root().join("tools/workerd/serve.mjs"));
    // In the environment and not among the arguments, which every user of the machine can read.
    node.env("VEDETTE_SERVE", configuration.to_string());
    storage::quiet_wrangler(&mut node, state.directory())?;
    Task::spawn("workerd", &node, log.map_or(Output::Inherit, Output::File))
}

fn spin(port: u16, state: &State, variables: &[(&'static str, String)], log: Option<&Path>) -> Result<Task> {
    let program = if process::on_path("spin") { "spin".into() } else { paths::spin_host() };
    let mut spin = Command::new(program);
    spin.arg("up").arg("-f").arg(paths::root().join("spin.toml"));
    spin.args(["--listen", &format!("127.0.0.1:{port}")]).arg("--state-dir").arg(state.host_directory());
    for (name, value) in variables {
        spin.env(format!("SPIN_VARIABLE_{name}"), value);
    }
    Task::spawn("the Spin host", &spin, log.map_or(Output::Inherit, Output::File))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_this_machine_reaches_the_issuers_tenant() -> Result<()> {
        assert_eq!(host_aliases("http://localhost:8787")?, "127.0.0.1=localhost,[::1]=localhost");
        assert_eq!(host_aliases("https://op.test/t/acme")?, "127.0.0.1=op.test,localhost=op.test,[::1]=op.test");
        Ok(())
    }

    #[test]
    fn a_port_in_use_is_named() -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let refusal = check_ports([port].into_iter()).map_err(|error| error.to_string());
        assert!(refusal.is_err_and(|text| text.contains(&format!("port {port} is in use"))));
        Ok(())
    }
}
