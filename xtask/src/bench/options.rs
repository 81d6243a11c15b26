//! What may be typed after `cargo xtask bench`.

use anyhow::{Result, bail};
use lexopt::prelude::*;

use super::endpoint::Endpoint;
use crate::cli::Host;

pub struct Options {
    pub hosts: Vec<Host>,
    /// Length of a round.
    pub seconds: f64,
    pub rounds: usize,
    pub connections: usize,
    /// Empty: all of them.
    pub only: Vec<Endpoint>,
    pub write: bool,
    pub build: bool,
}

pub enum Parsed {
    Run(Options),
    Help(String),
}

/// The longest round: the codes for a round are minted before it and live a minute.
const LONGEST: f64 = 20.0;
/// The longest series of rounds: an access token lives ten minutes, and the floor has its rounds too.
const LONGEST_SERIES: f64 = 200.0;

impl Options {
    pub fn measures(&self, endpoint: Endpoint) -> bool {
        self.only.is_empty() || self.only.contains(&endpoint)
    }
}

pub fn parse(arguments: &[String]) -> Result<Parsed> {
    let mut options = Options {
        hosts: Host::ALL.to_vec(),
        seconds: 3.0,
        rounds: 5,
        connections: 16,
        only: Vec::new(),
        write: false,
        build: true,
    };
    let mut parser = lexopt::Parser::from_args(arguments.iter().cloned());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => options.hosts = vec![host(&parser.value()?.string()?)?],
            Long("seconds") => options.seconds = seconds(&parser.value()?.string()?)?,
            Long("rounds") => options.rounds = count(&parser.value()?.string()?, "--rounds")?,
            Long("connections") => options.connections = count(&parser.value()?.string()?, "--connections")?,
            Long("only") => options.only = endpoints(&parser.value()?.string()?)?,
            Long("write") => options.write = true,
            Long("no-build") => options.build = false,
            Long("help") | Short('h') => return Ok(Parsed::Help(help())),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.seconds * options.rounds as f64 > LONGEST_SERIES {
        bail!(
            "{} rounds of {} s are more than {LONGEST_SERIES} s: make them fewer or shorter",
            options.rounds,
            options.seconds
        );
    }
    if options.write && (options.hosts.len() < Host::ALL.len() || !options.only.is_empty()) {
        bail!("--write keeps whole runs: leave --host and --only out");
    }
    Ok(Parsed::Run(options))
}

fn help() -> String {
    let names: Vec<&str> = Endpoint::ALL.iter().map(|endpoint| endpoint.name()).collect();
    format!(
        "cargo xtask bench [OPTIONS]\n\n\
         Requests per second and CPU per request of both hosts, on workerd beside a floor: a Worker that does only the same\n\
         D1 batches and signatures. Run it on a machine that does nothing else.\n\n\
         \x20 --host cloudflare|spin  one host only\n\
         \x20 --only NAME,…           some endpoints only: {}\n\
         \x20 --seconds N             length of a round (default 3)\n\
         \x20 --rounds N              rounds of an endpoint (default 5)\n\
         \x20 --connections N         connections, each with one request at a time (default 16)\n\
         \x20 --write                 keep the tables in docs/benchmarks.md\n\
         \x20 --no-build              measure what was built before\n",
        names.join(" ")
    )
}

fn host(value: &str) -> Result<Host> {
    match Host::ALL.into_iter().find(|host| host.name() == value) {
        Some(host) => Ok(host),
        None => bail!("--host is cloudflare or spin, not `{value}`"),
    }
}

fn seconds(value: &str) -> Result<f64> {
    match value.parse::<f64>() {
        Ok(seconds) if (0.1..=LONGEST).contains(&seconds) => Ok(seconds),
        _ => bail!("--seconds takes a number from 0.1 to {LONGEST}, not `{value}`"),
    }
}

fn count(value: &str, flag: &str) -> Result<usize> {
    match value.parse::<usize>() {
        Ok(count) if (1..=200).contains(&count) => Ok(count),
        _ => bail!("{flag} takes a number from 1 to 200, not `{value}`"),
    }
}

fn endpoints(value: &str) -> Result<Vec<Endpoint>> {
    value
        .split(',')
        .map(|name| match Endpoint::ALL.into_iter().find(|endpoint| endpoint.name() == name) {
            Some(endpoint) => Ok(endpoint),
            None => bail!("--only takes names that `cargo xtask bench --help` lists, not `{name}`"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        match parse(&arguments) {
            Ok(_) => panic!("{arguments:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn only_a_whole_run_is_written_down() {
        assert!(refusal(&["--write", "--host", "spin"]).contains("whole runs"));
        assert!(refusal(&["--write", "--only", "jwks"]).contains("whole runs"));
    }

    #[test]
    fn a_round_is_shorter_than_the_life_of_its_codes() {
        assert!(refusal(&["--seconds", "60"]).contains("0.1 to 20"));
        assert!(refusal(&["--seconds", "20", "--rounds", "11"]).contains("fewer or shorter"));
        assert!(refusal(&["--only", "jwk"]).contains("jwk"));
    }
}
