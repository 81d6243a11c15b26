//! `spin-host up` stands in for `spin up` where no Spin binary can be had: development and tests.
//!
//! [`command`] is the command line, [`clock`] a clock for tests, [`manifest`] and [`app`] say what runs, [`host`] is what a component may import,
//! [`instance`] makes and reuses instances, [`serve`] and [`route`] are the HTTP side.

mod app;
mod clock;
mod command;
mod host;
mod instance;
mod manifest;
mod route;
mod serve;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use app::App;
use command::{Command, USAGE, Up};
use host::State;
use instance::Compiler;
use serve::Server;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match Command::parse(arguments) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Command::Up(up)) => match run(up) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(up: Up) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve_until_signal(up));
    // A statement may still wait for a lock; nobody waits for its answer.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

async fn serve_until_signal(up: Up) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let app = App::load(&up.manifest, &up.variables, |name| std::env::var(name).ok())?;
    // The port is taken before the compiler's seconds, so that a port in use is told at once.
    let listener = listen(&up.listen).await?;
    let address = listener.local_addr()?;

    let start = async {
        let server = tokio::task::spawn_blocking(move || {
            let compiler = Compiler::new(State::open(up.state_dir)?.with_clock(up.clock), up.reuse)?;
            let handlers = app
                .components
                .into_iter()
                .map(|(id, component)| Ok((id.clone(), compiler.compile(&id, component)?)))
                .collect::<Result<_>>()?;
            anyhow::Ok(Server { routes: app.routes, handlers })
        })
        .await??;
        println!("Serving http://{address}");
        server.run(listener).await;
        Ok(())
    };
    tokio::select! {
        outcome = start => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!("cannot listen on {address}: the port is in use"),
        _ => anyhow!("cannot listen on {address}: {error}"),
    })
}
