//! Running the issuer: Workers in workerd through tools/workerd/serve.mjs, the component in `spin` or tools/spin-host.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
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
const START_LIMIT: Duration = Duration::from_secs(300);

/// An instance that ends sooner than this after its start would only end again.
const SETTLED: Duration = Duration::from_secs(2);

/// The issuer, running. Dropping it stops it.
pub struct Running {
    pub issuer: String,
    processes: Vec<Process>,
    ports: Vec<u16>,
    /// Whether the others go on when one process ends.
    heals: bool,
    /// The file that has the address of the Worker's scheduled event.
    scheduled_url: Option<PathBuf>,
}

struct Process {
    name: &'static str,
    command: Command,
    task: Task,
    started: Instant,
}

impl Process {
    fn start(name: &'static str, command: Command, output: Output<'_>) -> Result<Process> {
        let task = Task::spawn(name, &command, output)?;
        Ok(Process { name, command, task, started: Instant::now() })
    }

    fn start_again(&mut self) -> Result<()> {
        self.task = Task::spawn(self.name, &self.command, Output::Inherit)?;
        self.started = Instant::now();
        Ok(())
    }
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
        let output = || log.map_or(Output::Inherit, Output::File);
        let processes = match options.host {
            Host::Cloudflare => {
                vec![Process::start("workerd", workerd(options, state, &variables, log.is_some())?, output())?]
            }
            Host::Spin => options
                .ports()
                .zip(options.regions())
                .map(|(port, region)| {
                    let command = spin(options, state, port, region, &variables)?;
                    Process::start("the Spin host", command, output())
                })
                .collect::<Result<_>>()?,
        };
        let heals = log.is_none() && processes.len() > 1;
        let scheduled_url = (options.host == Host::Cloudflare).then(|| scheduled_url_file(state));
        let ports = options.ports().collect();
        let mut running = Running { issuer: issuer.to_owned(), processes, ports, heals, scheduled_url };
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
        for process in &mut self.processes {
            match process.task.check_running() {
                Err(error) if self.heals && process.started.elapsed() >= SETTLED => {
                    eprintln!("{error}: starting it again");
                    process.start_again()?;
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Asked for by GET, it has the Worker's scheduled event happen. Spin has no such thing.
    pub fn scheduled_url(&self) -> Result<Option<String>> {
        let Some(path) = &self.scheduled_url else { return Ok(None) };
        let until = Instant::now() + START_LIMIT;
        loop {
            match fs::read_to_string(path) {
                Ok(url) if !url.is_empty() => return Ok(Some(url)),
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
                _ if Instant::now() > until => bail!("workerd did not say where its scheduled event is asked for"),
                _ => process::pause(Duration::from_millis(20))?,
            }
        }
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

/// The configuration that a deployment would take from secrets and variables; each instance has its `REGION` besides.
fn variables(options: &DevOptions, state: &State, issuer: &str) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("ROOT_SECRET", state.root_secret()?),
        ("MAINTENANCE_SECRET", state.maintenance_secret()?),
        ("SURFACE", options.surface.clone()),
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
    drop_log_lines: bool,
) -> Result<Command> {
    let bindings: serde_json::Map<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let instances: Vec<_> = options
        .ports()
        .zip(options.regions())
        .map(|(port, region)| json!({"port": port, "bindings": {"REGION": region}}))
        .collect();
    let clock = match options.clock_speed {
        1 => None,
        speed => Some(json!({"start": state.clock_start()?, "speed": speed})),
    };
    let scheduled_url = scheduled_url_file(state);
    // That of the last run must not be taken for this one's.
    let _ = fs::remove_file(&scheduled_url);
    let configuration = json!({
        "config": paths::root().join("wrangler.toml"),
        "notes": paths::notes(),
        "persist": state.host_directory().join("v3"),
        "instances": instances,
        "bindings": bindings,
        "clock": clock,
        "scheduledUrl": scheduled_url,
        "dropLogLines": drop_log_lines,
    });
    let mut node = Command::new(tools::node()?);
    node.arg(paths::root().join("tools/workerd/serve.mjs"));
    // In the environment and not among the arguments, which every user of the machine can read.
    node.env("VEDETTE_SERVE", configuration.to_string());
    storage::quiet_wrangler(&mut node, state.directory())?;
    Ok(node)
}

/// Where tools/workerd/serve.mjs says what to ask for to have the Worker's scheduled event happen.
fn scheduled_url_file(state: &State) -> PathBuf {
    state.host_directory().join("scheduled-url")
}

fn spin(
    options: &DevOptions,
    state: &State,
    port: u16,
    region: &str,
    variables: &[(&'static str, String)],
) -> Result<Command> {
    let mut spin = Command::new(if runs_in_test_host(options) { paths::spin_host() } else { "spin".into() });
    spin.arg("up").arg("-f").arg(paths::root().join("spin.toml"));
    spin.args(["--listen", &format!("127.0.0.1:{port}")]).arg("--state-dir").arg(state.host_directory());
    if options.clock_speed != 1 {
        spin.args(["--clock", &format!("{}x{}", state.clock_start()?, options.clock_speed)]);
    }
    for (name, value) in variables {
        spin.env(format!("SPIN_VARIABLE_{name}"), value);
    }
    spin.env("SPIN_VARIABLE_REGION", region);
    Ok(spin)
}

/// Whether tools/spin-host takes the place of `spin`: where there is none, and where it has to do what no `spin` does.
pub fn runs_in_test_host(options: &DevOptions) -> bool {
    !process::on_path("spin") || options.clock_speed != 1
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
