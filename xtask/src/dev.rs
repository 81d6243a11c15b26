//! `cargo xtask dev`: build, prepare storage, run the issuer, and say how to use it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::{DevOptions, Host};
use crate::process::{self, Output, Task};
use crate::serve::{self, Running};
use crate::state::{MAINTENANCE_SECRET, State};
use crate::steps::Steps;
use crate::{builds, demo, paths, setup_link, storage, tools};

pub fn command(options: &DevOptions) -> Result<()> {
    let state = State::open(&options.state, options.host)?;
    let issuer = state.settle_issuer(options.issuer.as_deref(), options.port)?;
    let demo_rp_port = options.demo.then(|| options.demo_rp_port());
    serve::check_ports(options.ports().chain(demo_rp_port))?;

    let mut steps = Steps::new(step_count(options));
    prepare(&mut steps, options)?;
    let mut running = start(&mut steps, options, &state, &issuer)?;
    state.remember_issuer(&issuer)?;

    let mut relying_party = None;
    let mut set_up = None;
    if options.demo {
        steps.step("Demo: tenant, alice, two clients, a relying party", || {
            let made = demo::set_up(options, &state, &running)?;
            relying_party = Some(demo_relying_party(options, &state, &issuer)?);
            set_up = Some(made);
            Ok("ready".to_owned())
        })?;
    }

    let (status, health) = running.health()?;
    if status != 200 {
        eprintln!("warning: the issuer is running and not well; /health says {health}");
    }
    match set_up {
        Some(made) => print!("{}", made.summary(options)),
        None if health.get("tenants").and_then(serde_json::Value::as_str) == Some("none") => {
            println!("Nobody has set this issuer up yet. This link does, once, within the hour:");
            println!("  {}", setup_link::link(&state.root_secret()?, &issuer)?);
        }
        None => {}
    }
    for (port, region) in options.ports().zip(&options.regions) {
        println!("region {region:<12} http://localhost:{port}");
    }
    let here = format!("http://localhost:{}", options.port);
    if issuer != here {
        println!("listens at          {here}, for {issuer}");
    }
    let secret = options.state.join(MAINTENANCE_SECRET);
    println!("maintenance         POST {here}/maintenance, bearer token in {}", secret.display());
    if let Some(url) = running.scheduled_url()? {
        println!("scheduled event     {url}");
    }
    println!("ready {issuer}");

    // Ctrl-C is how a server is meant to end: from here on it is no failure.
    while process::pause(Duration::from_millis(200)).is_ok() {
        running.check_running()?;
        if let Some(task) = &mut relying_party {
            task.check_running()?;
        }
    }
    drop((relying_party, running));
    eprintln!("stopped");
    Ok(())
}

fn step_count(options: &DevOptions) -> usize {
    let building = match (options.build, options.host) {
        (false, _) => 0,
        (true, Host::Cloudflare) => 1 + builds::step_count(Host::Cloudflare),
        (true, Host::Spin) => {
            1 + builds::step_count(Host::Spin)
                + usize::from(options.demo)
                + usize::from(serve::runs_in_test_host(options))
        }
    };
    let migration = usize::from(options.host == Host::Cloudflare);
    building + migration + 1 + usize::from(options.demo)
}

/// Builds what `options` need, or, without building, sees that it is there.
fn prepare(steps: &mut Steps, options: &DevOptions) -> Result<()> {
    if !options.build {
        return check_built(options);
    }
    builds::prerequisites(steps, &[options.host])?;
    builds::build(steps, options.host)?;
    if options.host == Host::Spin {
        if serve::runs_in_test_host(options) {
            steps.step(
                "The Spin test host (there is no `spin` on PATH; five minutes the first time)",
                builds::spin_host,
            )?;
        }
        if options.demo {
            steps.step("npm packages: openid-client for the demo relying party", tools::npm_packages)?;
        }
    }
    Ok(())
}

fn check_built(options: &DevOptions) -> Result<()> {
    let host = options.host;
    let product = match host {
        Host::Cloudflare => paths::worker(),
        Host::Spin => paths::component(),
    };
    if !product.is_file() {
        bail!(
            "{} is not built: run `cargo xtask build --host {}`, or leave --no-build out",
            product.display(),
            host.name()
        );
    }
    if host == Host::Spin && serve::runs_in_test_host(options) && !paths::spin_host().is_file() {
        bail!(
            "the Spin test host is not built: run `cargo build --profile tool -p spin-host`, or leave --no-build out"
        );
    }
    Ok(())
}

fn start(steps: &mut Steps, options: &DevOptions, state: &State, issuer: &str) -> Result<Running> {
    let mut running = None;
    let title = match options.host {
        Host::Cloudflare => {
            steps.step("Local D1 and KV", || storage::migrate(state))?;
            "workerd"
        }
        Host::Spin if serve::runs_in_test_host(options) => "The Spin test host",
        Host::Spin => "spin up",
    };
    steps.step(title, || {
        running = Some(Running::start(options, state, issuer)?);
        Ok("answering".to_owned())
    })?;
    match running {
        Some(running) => Ok(running),
        None => bail!("the issuer did not start"),
    }
}

fn demo_relying_party(options: &DevOptions, state: &State, issuer: &str) -> Result<Task> {
    let mut node = Command::new(tools::node()?);
    node.arg(paths::root().join("tools/demo-rp/server.mjs"));
    node.env("DEMO_JSON", state.directory().join("demo.json"))
        .env("DEMO_RP_PORT", options.demo_rp_port().to_string())
        .env("DEMO_RP_URL", demo::relying_party_url(options))
        .env("DEMO_ISSUER", issuer)
        .env("DEMO_ISSUER_PORT", options.port.to_string());
    let mut task = Task::spawn("the demo relying party", &node, Output::Inherit)?;
    demo::wait_for_relying_party(options.demo_rp_port(), &mut task)?;
    Ok(task)
}
