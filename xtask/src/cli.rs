//! The command line: what may be typed, and what is said when it is not.

mod operator;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use vedette::tenant::Issuer;

pub use operator::{Access, BackupOptions, RestoreOptions, RootSecretOptions};

pub const DEFAULT_PORT: u16 = 8787;

/// More would only wait for each other on one machine.
const MOST_INSTANCES: u16 = 16;

const HELP: &str = "\
cargo xtask build [--host cloudflare|spin]   build the Worker and the Spin component (default: both)
cargo xtask dev [OPTIONS]                    build, prepare local storage and run the issuer
cargo xtask test [--install] [GROUP…]        run all tests, or the groups named (`cargo xtask test --help`)
cargo xtask bench [OPTIONS]                  measure both hosts
cargo xtask simulate [OPTIONS]               run the core in simulated worlds and check what must always hold
cargo xtask setup-link --issuer URL          mint a set-up link for a deployment from ROOT_SECRET
cargo xtask backup --issuer URL --out FILE   write a deployment's data to a sealed file
cargo xtask restore --issuer URL FILE        make it the data of an empty deployment
cargo xtask root-secret new|status|rewrap|replace-masters
                                             change the root secret, step by step

Each takes --help.
";

const BUILD_HELP: &str = "\
cargo xtask build [--host cloudflare|spin]

Builds build/index.js (the Worker) and target/wasm32-wasip2/release/vedette.wasm (the Spin component),
each only when its sources have changed. Without --host it builds both.
";

const DEV_HELP: &str = "\
cargo xtask dev [OPTIONS]

  --host cloudflare|spin  where the issuer runs: workerd (default), or `spin` from PATH, else tools/spin-host
  --port N                port on this machine (default 8787); the demo relying party takes the one above it
  --state DIR             where the databases and the root secret are kept (default .vedette)
  --demo                  set up by itself: user alice, demo clients, demo.json, a demo relying party
  --issuer URL            the issuer's URL behind a TLS proxy, such as https://op.test

For tests and measurements:
  --no-build              run what was built before
  --instances N           N instances on one state, on ports N, N+2, N+4, …
  --region NAME           the instances' region
  --regions A,B,…         an instance in each of these regions, all on one state, on ports N, N+2, N+4, …
  --clock-speed N         the hosts' clocks run N times as fast as this machine's
  --surface NAME          public, admin or all (default all)
  --demo-rp-url URL       the demo relying party's URL behind a proxy

Where there are several instances on Spin, one that ends is started again.

DIR/maintenance-secret is made with the root secret, and is what maintenance asks for:
  curl -X POST -H \"authorization: Bearer $(cat DIR/maintenance-secret)\" http://localhost:PORT/maintenance
";

const SETUP_LINK_HELP: &str = "\
cargo xtask setup-link --issuer URL [--state DIR]

Prints a link, valid for one hour and for one use, to the page that makes a deployment's first tenant.
The root secret is read from the environment variable ROOT_SECRET, or from DIR (as `cargo xtask dev` made it).
";

pub enum Command {
    Help(String),
    Build(BuildOptions),
    Dev(DevOptions),
    Test(TestOptions),
    Bench(BenchOptions),
    Simulate(Vec<String>),
    SetupLink(SetupLinkOptions),
    Backup(BackupOptions),
    Restore(RestoreOptions),
    RootSecret(RootSecretOptions),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    Cloudflare,
    Spin,
}

impl Host {
    pub const ALL: [Host; 2] = [Host::Cloudflare, Host::Spin];

    pub fn name(self) -> &'static str {
        match self {
            Host::Cloudflare => "cloudflare",
            Host::Spin => "spin",
        }
    }
}

pub struct BuildOptions {
    pub hosts: Vec<Host>,
}

#[derive(Clone)]
pub struct DevOptions {
    pub host: Host,
    pub port: u16,
    pub state: PathBuf,
    pub demo: bool,
    pub issuer: Option<String>,
    pub build: bool,
    pub instances: u16,
    pub region: String,
    pub regions: Vec<String>,
    pub clock_speed: u16,
    pub surface: String,
    pub demo_rp_url: Option<String>,
}

impl Default for DevOptions {
    fn default() -> Self {
        DevOptions {
            host: Host::Cloudflare,
            port: DEFAULT_PORT,
            state: PathBuf::from(".vedette"),
            demo: false,
            issuer: None,
            build: true,
            instances: 1,
            region: String::new(),
            regions: Vec::new(),
            clock_speed: 1,
            surface: "all".to_owned(),
            demo_rp_url: None,
        }
    }
}

impl DevOptions {
    /// The port of each instance. They lie two apart, so that the port above the first stays free for the demo relying party.
    pub fn ports(&self) -> impl Iterator<Item = u16> + '_ {
        (0..self.instances).map(|index| self.port + 2 * index)
    }

    /// The region of each instance, in the order of their ports.
    pub fn regions(&self) -> impl Iterator<Item = &str> + '_ {
        let one_for_all = std::iter::repeat(self.region.as_str());
        self.regions.iter().map(String::as_str).chain(one_for_all).take(self.instances.into())
    }

    pub fn demo_rp_port(&self) -> u16 {
        self.port + 1
    }
}

pub struct TestOptions {
    pub groups: Vec<String>,
    pub install: bool,
}

pub struct BenchOptions {
    pub arguments: Vec<String>,
}

pub struct SetupLinkOptions {
    pub issuer: String,
    pub state: Option<PathBuf>,
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Command> {
    let Some(first) = parser.next()? else {
        return Ok(Command::Help(HELP.to_owned()));
    };
    let name = match first {
        Value(name) => name.string()?,
        Long("help") | Short('h') => return Ok(Command::Help(HELP.to_owned())),
        other => return Err(other.unexpected().into()),
    };
    match name.as_str() {
        "build" => build(parser),
        "dev" => dev(parser),
        "test" => test(parser),
        "bench" => bench(parser),
        "simulate" => simulate(parser),
        "setup-link" => setup_link(parser),
        "backup" => operator::backup(parser),
        "restore" => operator::restore(parser),
        "root-secret" => operator::root_secret(parser),
        "help" => Ok(Command::Help(HELP.to_owned())),
        _ => bail!(
            "there is no `cargo xtask {name}`; there are build, dev, test, bench, simulate, setup-link, backup, restore and root-secret"
        ),
    }
}

fn build(mut parser: lexopt::Parser) -> Result<Command> {
    let mut hosts = Host::ALL.to_vec();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => hosts = vec![host(&mut parser)?],
            Long("help") | Short('h') => return Ok(Command::Help(BUILD_HELP.to_owned())),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Build(BuildOptions { hosts }))
}

fn dev(mut parser: lexopt::Parser) -> Result<Command> {
    let mut options = DevOptions::default();
    let mut instances = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => options.host = host(&mut parser)?,
            Long("port") => options.port = number(&mut parser, "--port", 1, 65534)?,
            Long("state") => options.state = PathBuf::from(parser.value()?),
            Long("demo") => options.demo = true,
            Long("issuer") => options.issuer = Some(issuer(&mut parser)?),
            Long("no-build") => options.build = false,
            Long("instances") => instances = Some(number(&mut parser, "--instances", 1, MOST_INSTANCES)?),
            Long("region") => options.region = parser.value()?.string()?,
            Long("regions") => options.regions = regions(&mut parser)?,
            Long("clock-speed") => options.clock_speed = number(&mut parser, "--clock-speed", 1, 1000)?,
            Long("surface") => options.surface = surface(&mut parser)?,
            Long("demo-rp-url") => {
                options.demo_rp_url = Some(parser.value()?.string()?.trim_end_matches('/').to_owned())
            }
            Long("help") | Short('h') => return Ok(Command::Help(DEV_HELP.to_owned())),
            other => return Err(other.unexpected().into()),
        }
    }
    options.instances = match (u16::try_from(options.regions.len()), instances) {
        (Ok(0), instances) => instances.unwrap_or(1),
        (Ok(regions), None) if options.region.is_empty() => regions,
        _ => bail!("--regions makes an instance a region: leave --instances and --region out"),
    };
    if u32::from(options.port) + 2 * u32::from(options.instances - 1) > 65535 {
        bail!("--port {} leaves no room for {} instances: choose a lower one", options.port, options.instances);
    }
    Ok(Command::Dev(options))
}

fn test(mut parser: lexopt::Parser) -> Result<Command> {
    let mut options = TestOptions { groups: Vec::new(), install: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Value(group) => options.groups.push(crate::test::known_group(&group.string()?)?),
            Long("install") => options.install = true,
            Long("help") | Short('h') => return Ok(Command::Help(crate::test::help())),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Test(options))
}

/// The simulator reads its own arguments.
fn simulate(mut parser: lexopt::Parser) -> Result<Command> {
    Ok(Command::Simulate(parser.raw_args()?.map(ValueExt::string).collect::<Result<_, _>>()?))
}

/// `bench` reads its own arguments.
fn bench(mut parser: lexopt::Parser) -> Result<Command> {
    let arguments = parser.raw_args()?.map(ValueExt::string).collect::<Result<Vec<_>, _>>()?;
    Ok(Command::Bench(BenchOptions { arguments }))
}

fn setup_link(mut parser: lexopt::Parser) -> Result<Command> {
    let mut url = None;
    let mut state = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("issuer") => url = Some(issuer(&mut parser)?),
            Long("state") => state = Some(PathBuf::from(parser.value()?)),
            Long("help") | Short('h') => return Ok(Command::Help(SETUP_LINK_HELP.to_owned())),
            other => return Err(other.unexpected().into()),
        }
    }
    let issuer =
        url.context("say which issuer the link is for: cargo xtask setup-link --issuer https://id.example.com")?;
    Ok(Command::SetupLink(SetupLinkOptions { issuer, state }))
}

fn host(parser: &mut lexopt::Parser) -> Result<Host> {
    let value = parser.value()?.string()?;
    match value.as_str() {
        "cloudflare" => Ok(Host::Cloudflare),
        "spin" => Ok(Host::Spin),
        _ => bail!("--host is cloudflare or spin, not `{value}`"),
    }
}

fn surface(parser: &mut lexopt::Parser) -> Result<String> {
    let value = parser.value()?.string()?;
    match value.as_str() {
        "public" | "admin" | "all" => Ok(value),
        _ => bail!("--surface is public, admin or all, not `{value}`"),
    }
}

/// Each has a name, and none has another's; which names a tenant takes is for the core to say.
fn regions(parser: &mut lexopt::Parser) -> Result<Vec<String>> {
    let value = parser.value()?.string()?;
    let regions: Vec<String> = value.split(',').map(str::to_owned).collect();
    let is_odd =
        |(index, region): (usize, &String)| region.is_empty() || regions.iter().take(index).any(|it| it == region);
    if regions.len() > MOST_INSTANCES.into() || regions.iter().enumerate().any(is_odd) {
        bail!("--regions takes up to {MOST_INSTANCES} names, such as weur,enam,apac, not `{value}`");
    }
    Ok(regions)
}

fn number(parser: &mut lexopt::Parser, flag: &str, least: u16, most: u16) -> Result<u16> {
    let value = parser.value()?.string()?;
    match value.parse::<u16>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => bail!("{flag} takes a number from {least} to {most}, not `{value}`"),
    }
}

/// An issuer as the core takes it: what it would refuse at set-up is refused here, before anything is built.
fn issuer(parser: &mut lexopt::Parser) -> Result<String> {
    let value = parser.value()?.string()?;
    match Issuer::parse(&value) {
        Ok(issuer) => Ok(issuer.url),
        Err(why) => bail!("--issuer `{value}` {why}; a right one looks like https://op.test"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command> {
        parse(lexopt::Parser::from_args(arguments.iter().copied()))
    }

    fn refusal(arguments: &[&str]) -> String {
        match parsed(arguments) {
            Ok(_) => panic!("{arguments:?} was accepted"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn dev_has_the_documented_defaults() {
        let Ok(Command::Dev(options)) = parsed(&["dev"]) else { panic!("not dev") };
        assert_eq!((options.host, options.port), (Host::Cloudflare, 8787));
        assert_eq!(options.state, PathBuf::from(".vedette"));
        assert!(options.build && !options.demo && options.issuer.is_none());
    }

    #[test]
    fn instances_lie_two_ports_apart() {
        let options = DevOptions { port: 9000, instances: 3, ..DevOptions::default() };
        assert_eq!(options.ports().collect::<Vec<_>>(), [9000, 9002, 9004]);
        assert_eq!(options.demo_rp_port(), 9001);
    }

    #[test]
    fn each_region_has_an_instance() {
        let Ok(Command::Dev(options)) = parsed(&["dev", "--regions", "weur,enam", "--port", "9000"]) else {
            panic!("not dev")
        };
        let instances: Vec<_> = options.ports().zip(options.regions()).collect();
        assert_eq!(instances, [(9000, "weur"), (9002, "enam")]);
        let Ok(Command::Dev(options)) = parsed(&["dev", "--instances", "2", "--region", "apac"]) else {
            panic!("not dev")
        };
        assert_eq!(options.regions().collect::<Vec<_>>(), ["apac", "apac"]);
        for wrong in ["", "weur,", "weur,weur"] {
            assert!(refusal(&["dev", "--regions", wrong]).contains("such as weur,enam,apac"), "{wrong}");
        }
        assert!(refusal(&["dev", "--regions", "weur,enam", "--instances", "2"]).contains("leave --instances"));
        assert!(refusal(&["dev", "--region", "apac", "--regions", "weur"]).contains("and --region out"));
    }

    #[test]
    fn a_mistyped_value_is_refused_with_what_would_be_right() {
        assert!(refusal(&["dev", "--host", "lambda"]).contains("cloudflare or spin"));
        assert!(refusal(&["dev", "--port", "70000"]).contains("1 to 65534"));
        assert!(refusal(&["dev", "--prot", "1"]).contains("--prot"));
        assert!(refusal(&["devv"]).contains("devv"));
        assert!(refusal(&["setup-link"]).contains("--issuer"));
    }

    #[test]
    fn an_issuer_that_the_core_would_refuse_is_refused() {
        assert!(refusal(&["dev", "--issuer", "http://op.test"]).contains("https"));
        assert!(refusal(&["dev", "--issuer", "https://op.test/?a"]).contains("query"));
        assert!(refusal(&["dev", "--issuer", "op.test"]).contains("op.test"));
        let Ok(Command::Dev(options)) = parsed(&["dev", "--issuer", "https://op.test/t/acme/"]) else {
            panic!("not dev")
        };
        assert_eq!(options.issuer.as_deref(), Some("https://op.test/t/acme"));
    }
}
