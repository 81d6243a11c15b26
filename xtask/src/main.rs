//! `cargo xtask …`: everything that builds, starts and stops Vedette on a developer's machine.
//!
//! In scope: preparing the tools, building both hosts, running the issuer locally, tests, measurements; and what an operator
//! does to a deployment from outside: set-up links, back-up, restore, another root secret.
//! Out of scope: deploying; what a deployment needs is in `wrangler.toml` and `spin.toml`.

mod backup;
mod bench;
mod builds;
mod cli;
mod demo;
mod dev;
mod fingerprint;
mod http;
mod operator;
mod paths;
mod process;
mod root_secret;
mod serve;
mod setup_link;
mod simulate;
mod state;
mod steps;
mod storage;
mod test;
mod test_tools;
mod tools;

use std::process::ExitCode;

use cli::Command;

fn main() -> ExitCode {
    // The tether runs before anything else is set up: it handles signals in its own way.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == process::TETHER) {
        return process::tether(arguments);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<process::Interrupted>() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) if error.is::<simulate::Ended>() => {
            // The simulator has said why.
            error.downcast_ref::<simulate::Ended>().map_or(ExitCode::FAILURE, |ended| ExitCode::from(ended.0))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    process::prepare()?;
    let command = cli::parse(lexopt::Parser::from_env())?;
    match command {
        Command::Help(text) => {
            print!("{text}");
            Ok(())
        }
        Command::Build(options) => builds::command(&options),
        Command::Dev(options) => dev::command(&options),
        Command::Test(options) => test::command(&options),
        Command::Bench(options) => bench::command(&options),
        Command::Simulate(arguments) => simulate::command(&arguments),
        Command::SetupLink(options) => setup_link::command(&options),
        Command::Backup(options) => backup::backup(options),
        Command::Restore(options) => backup::restore(&options),
        Command::RootSecret(options) => root_secret::command(options),
    }
}
