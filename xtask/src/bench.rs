//! `cargo xtask bench`: how many requests a second each host serves and what they cost, beside a floor.
//!
//! The load is made here, by threads that write prepared requests to sockets and look at little of the answers: with two
//! cores, a generator that works as hard as the server would be what is measured. Vedette and the floor run all the time and
//! are driven in turns, so that whatever else the machine does falls on both.

mod bundle;
mod endpoint;
mod floor;
mod journey;
mod load;
mod machine;
mod options;
mod report;
mod statistics;
mod target;
mod usage;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::{BenchOptions, DevOptions, Host};
use crate::serve::Running;
use crate::state::State;
use crate::steps::Steps;
use crate::{builds, demo, paths, process, serve, storage, tools};

use endpoint::Endpoint;
use floor::Floor;
use load::Window;
use options::Options;
use report::{HostReport, Measured, Report};
use target::Target;

/// Before every series, so that both sides run compiled code on warm caches.
const WARM_UP: Duration = Duration::from_millis(500);

pub fn command(options: &BenchOptions) -> Result<()> {
    let options = match options::parse(&options.arguments)? {
        options::Parsed::Run(options) => options,
        options::Parsed::Help(text) => {
            print!("{text}");
            return Ok(());
        }
    };
    prepare(&options)?;
    let machine = machine::Machine::describe()?;
    let scratch = Scratch::new()?;
    let mut report =
        Report { machine, bundle: None, hosts: Vec::new(), seconds: options.seconds, rounds: options.rounds };
    for host in &options.hosts {
        report.hosts.push(measure(*host, &options, &scratch)?);
    }
    if options.hosts.contains(&Host::Cloudflare) && options.only.is_empty() {
        report.bundle = Some(bundle::uploaded_size(scratch.path())?);
    }
    print!("{}", report.to_markdown());
    if options.write {
        report.write(&paths::root().join("docs/benchmarks.md"))?;
    }
    Ok(())
}

fn prepare(options: &Options) -> Result<()> {
    if !options.build {
        return Ok(());
    }
    let builds: usize = options.hosts.iter().map(|host| builds::step_count(*host)).sum();
    let needs_spin_host = options.hosts.contains(&Host::Spin) && !process::on_path("spin");
    let mut steps = Steps::new(1 + builds + usize::from(needs_spin_host));
    builds::prerequisites(&mut steps, &options.hosts)?;
    for host in &options.hosts {
        builds::build(&mut steps, *host)?;
    }
    if needs_spin_host {
        steps.step("The Spin test host (five minutes the first time)", builds::spin_host)?;
    }
    Ok(())
}

/// One host: set up as the demo is, a person signed in, then one endpoint after the other.
fn measure(host: Host, options: &Options, scratch: &Scratch) -> Result<HostReport> {
    eprintln!("{}: starting", host.name());
    let directory = scratch.path().join(host.name());
    let dev = DevOptions {
        host,
        port: free_port()?,
        state: directory.clone(),
        demo: true,
        build: false,
        ..DevOptions::default()
    };
    let log = scratch.path().join(format!("{}.log", host.name()));
    serve::check_ports(dev.ports())?;
    let state = State::open(&dev.state, host)?;
    let issuer = state.settle_issuer(None, dev.port)?;
    if host == Host::Cloudflare {
        storage::migrate(&state)?;
    }
    let running = Running::start_logging_to(&dev, &state, &issuer, Some(&log)).map_err(|error| match tail(&log) {
        Some(said) => error.context(format!("{} said:\n{said}", host.name())),
        None => error,
    })?;
    demo::set_up(&dev, &state, &running)?;
    let vedette = Target::vedette(dev.port, &directory, options.connections)?;

    let floor = match host {
        Host::Cloudflare => Some(Floor::start(&vedette, &state.host_directory(), &scratch.path().join("floor"))?),
        Host::Spin => None,
    };
    let mut report = HostReport { host, endpoints: Vec::new() };
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| options.measures(*endpoint)) {
        let bare = floor.as_ref().map(Floor::target).filter(|_| endpoint.has_floor());
        let logged = floor.as_ref().map(Floor::logged).filter(|_| endpoint.is_document());
        let sides: Vec<&Target> = [Some(&vedette), bare, logged].into_iter().flatten().collect();
        let measured =
            series(endpoint, options, &sides).with_context(|| format!("{} on {}", endpoint.name(), host.name()))?;
        eprintln!("  {}", report::progress(&measured));
        report.endpoints.push(measured);
    }
    drop(running);
    Ok(report)
}

/// The rounds of one endpoint. Who is driven first changes from round to round.
fn series(endpoint: Endpoint, options: &Options, sides: &[&Target]) -> Result<Measured> {
    let length = Duration::from_secs_f64(options.seconds);
    let mut drivers = Vec::new();
    let mut rates = Vec::new();
    for target in sides {
        let mut driver = target.driver(endpoint)?;
        rates.push(driver.run(WARM_UP.min(length), None)?.rate());
        drivers.push(driver);
    }
    let mut windows: Vec<Vec<Window>> = vec![Vec::new(); sides.len()];
    let rounds = if endpoint.is_compared() { options.rounds } else { 1 };
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        order.rotate_left(round % sides.len());
        for side in order {
            process::check_interrupted()?;
            let (Some(driver), Some(rate), Some(windows)) =
                (drivers.get_mut(side), rates.get_mut(side), windows.get_mut(side))
            else {
                bail!("a side was lost");
            };
            let window = driver.run(length, Some(*rate))?;
            *rate = window.rate();
            windows.push(window);
        }
    }
    let mut windows = windows.into_iter();
    let vedette = windows.next().unwrap_or_default();
    Ok(Measured { endpoint, vedette, floor: windows.next(), logged: windows.next() })
}

/// A directory in memory for databases and logs: on disk, D1 falls to a tenth, and the disk would be what is measured.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch> {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            bail!("there is no /dev/shm on this machine to keep the databases in memory");
        }
        let path = memory.join(format!("vedette-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Scratch(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The last lines of a log, if there are any.
fn tail(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    (!lines.is_empty()).then(|| lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

/// wrangler's Node, for what is started beside the issuer.
fn node(script: &Path) -> Result<std::process::Command> {
    let mut node = std::process::Command::new(tools::node()?);
    node.arg(script);
    Ok(node)
}
