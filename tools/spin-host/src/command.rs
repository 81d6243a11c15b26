//! The command line, as much of `spin up`'s as the project uses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::clock::Clock;

pub const USAGE: &str = "\
Serves the HTTP components of a Spin application, for development and tests.

Usage: spin-host up [OPTIONS]

  -f, --from PATH            the manifest, or the folder it is in [default: spin.toml]
      --listen ADDRESS       where to listen; port 0 takes a free one [default: 127.0.0.1:3000]
      --state-dir FOLDER     where stores and databases are kept [default: .spin beside the manifest]
      --variable NAME=VALUE  an application variable's value, before SPIN_VARIABLE_NAME of the environment (repeatable)
      --reuse COUNT          how many requests one instance serves (not an option of Spin's) [default: 128]
  --clock STARTxSPEED        the components' clock runs SPEED times as fast as the machine's from START (milliseconds
                             since 1970) on (not an option of Spin's)
  -h, --help                 this text
";

#[derive(Debug, PartialEq)]
pub enum Command {
    Help,
    Up(Up),
}

#[derive(Debug, PartialEq)]
pub struct Up {
    pub manifest: PathBuf,
    pub listen: String,
    pub state_dir: PathBuf,
    pub variables: BTreeMap<String, String>,
    pub reuse: usize,
    pub clock: Option<Clock>,
}

impl Command {
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut arguments = arguments.into_iter();
        match arguments.next().as_deref() {
            Some("up") => Up::parse(arguments),
            Some("-h" | "--help" | "help") => Ok(Self::Help),
            Some(other) => bail!("{other:?} is not a command: it must be \"up\""),
            None => bail!("a command is missing: it must be \"up\""),
        }
    }
}

impl Up {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command> {
        let mut from = PathBuf::from("spin.toml");
        let mut listen = "127.0.0.1:3000".to_owned();
        let mut state_dir = None;
        let mut variables = BTreeMap::new();
        let mut reuse = 128;
        let mut clock = None;
        while let Some(argument) = arguments.next() {
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value =
                || inline.clone().or_else(|| arguments.next()).with_context(|| format!("{flag} needs a value"));
            match flag {
                "-h" | "--help" => return Ok(Command::Help),
                "-f" | "--from" => from = value()?.into(),
                "--listen" => listen = value()?,
                "--state-dir" => state_dir = Some(value()?.into()),
                "--variable" => {
                    let pair = value()?;
                    let (name, value) = pair.split_once('=').context("--variable needs the form NAME=VALUE")?;
                    variables.insert(name.to_owned(), value.to_owned());
                }
                "--reuse" => {
                    let count = value()?;
                    reuse =
                        count.parse().ok().filter(|count| *count > 0).with_context(|| {
                            format!("--reuse needs a number of at least 1, and {count:?} is not one")
                        })?;
                }
                "--clock" => clock = Some(value()?.parse()?),
                _ => bail!("{flag:?} is not an option of spin-host up"),
            }
        }
        let manifest = if from.is_dir() { from.join("spin.toml") } else { from };
        let state_dir = state_dir.unwrap_or_else(|| manifest.with_file_name(".spin"));
        Ok(Command::Up(Self { manifest, listen, state_dir, variables, reuse, clock }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    fn up(line: &str) -> Up {
        match parse(line).expect(line) {
            Command::Up(up) => up,
            Command::Help => panic!("{line} asked for help"),
        }
    }

    #[test]
    fn the_defaults_are_spins() {
        assert_eq!(
            up("up"),
            Up {
                manifest: "spin.toml".into(),
                listen: "127.0.0.1:3000".to_owned(),
                state_dir: ".spin".into(),
                variables: BTreeMap::new(),
                reuse: 128,
                clock: None,
            }
        );
    }

    #[test]
    fn options_come_in_both_forms() {
        let spaced = up("up -f app/my.toml --listen 127.0.0.1:0 --variable a=b=c --variable d= --reuse 1");
        assert_eq!(spaced.manifest, PathBuf::from("app/my.toml"));
        assert_eq!(spaced.state_dir, PathBuf::from("app/.spin"));
        assert_eq!(spaced.variables["a"], "b=c");
        assert_eq!(spaced.variables["d"], "");
        assert_eq!(spaced, up("up --from=app/my.toml --listen=127.0.0.1:0 --variable=a=b=c --variable=d= --reuse=1"));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("", "a command is missing"),
            ("down", "\"down\" is not a command"),
            ("up --quiet", "\"--quiet\" is not an option"),
            ("up spin.toml", "\"spin.toml\" is not an option"),
            ("up --listen", "--listen needs a value"),
            ("up --variable a", "NAME=VALUE"),
            ("up --reuse 0", "\"0\" is not one"),
            ("up --clock 10", "STARTxSPEED"),
            ("up --clock 10x0", "STARTxSPEED"),
        ] {
            let refusal = parse(line).expect_err(line).to_string();
            assert!(refusal.contains(part), "{line}: {refusal}");
        }
    }
}
