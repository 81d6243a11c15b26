//! `cargo xtask simulate`: the command line of the simulator.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use simulator::{Options, Summary, run, simulate};
use vedette::plant::Plant;

const HELP: &str = "\
cargo xtask simulate [OPTIONS]

Runs the core in worlds of virtual time and checks the properties of docs/simulator.md.
Exit status: 0 when all held, 1 when one was violated, 2 when the command line is wrong.

  --seeds N       how many worlds (default 2000)
  --seed S        only the world of this seed, or with --seeds N the first one
  --regions R     regions in each world, 1 to 8 (default: 1 to 4, by the seed)
  --plant NAME    with this bug planted; it should be found
  --list-plants   the names of the plants, one a line
  --every-plant   each plant in turn, until it is found; fails when one is not
  --history       with --seed: print the whole history of the world
";

/// What CI runs.
const BUDGET: u64 = 2000;

struct Arguments {
    options: Options,
    one: bool,
    history: bool,
    every_plant: bool,
}

fn main() -> ExitCode {
    match parse(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => command(&arguments),
        Ok(None) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

/// `None` when all that was asked for is printed.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, String> {
    let (mut seeds, mut seed, mut regions, mut plant) = (None, None, None, None);
    let (mut history, mut every_plant) = (false, false);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("seeds") => seeds = Some(number(&mut parser, "--seeds", 1, 1_000_000_000)?),
            Long("seed") => seed = Some(number(&mut parser, "--seed", 0, u64::MAX / 2)?),
            Long("regions") => regions = Some(number(&mut parser, "--regions", 1, 8)?),
            Long("plant") => plant = Some(planted(&mut parser)?),
            Long("history") => history = true,
            Long("every-plant") => every_plant = true,
            Long("list-plants") => {
                Plant::ALL.iter().for_each(|plant| println!("{}", plant.name()));
                return Ok(None);
            }
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            other => return Err(format!("{}; see `cargo xtask simulate --help`", other.unexpected())),
        }
    }
    let one = seed.is_some() && seeds.is_none();
    if every_plant && (plant.is_some() || seed.is_some()) {
        return Err("--every-plant goes without --plant and --seed".to_owned());
    }
    if history && !one {
        return Err("--history needs --seed, and not --seeds".to_owned());
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = Options {
        first_seed: seed.unwrap_or(1),
        seeds: seeds.unwrap_or(if one { 1 } else { BUDGET }),
        regions: regions.and_then(|regions| usize::try_from(regions).ok()),
        plant,
        threads,
    };
    Ok(Some(Arguments { options, one, history, every_plant }))
}

fn number(parser: &mut lexopt::Parser, flag: &str, least: u64, most: u64) -> Result<u64, String> {
    let value = value(parser, flag)?;
    match value.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{flag} takes a number from {least} to {most}, not `{value}`")),
    }
}

fn planted(parser: &mut lexopt::Parser) -> Result<Plant, String> {
    let name = value(parser, "--plant")?;
    Plant::from_name(&name).ok_or_else(|| format!("there is no plant `{name}`; --list-plants names them all"))
}

fn value(parser: &mut lexopt::Parser, flag: &str) -> Result<String, String> {
    let value = parser.value().map_err(|_| format!("{flag} needs a value"))?;
    value.string().map_err(|_| format!("the value of {flag} is not UTF-8"))
}

/// How long the machine has taken, which is no world's time.
#[expect(clippy::disallowed_methods, reason = "measures the simulator itself")]
fn stopwatch() -> impl Fn() -> Duration {
    let started = Instant::now();
    move || started.elapsed()
}

fn command(arguments: &Arguments) -> ExitCode {
    let options = &arguments.options;
    if arguments.every_plant {
        return each_plant(options);
    }
    if arguments.history {
        let outcome = simulate(options.first_seed, options.regions, options.plant);
        println!("{}", outcome.history.unwrap_or_default());
    }
    let elapsed = stopwatch();
    let Summary { seeds, requests, failure } = run(options);
    let seconds = elapsed().as_secs_f64();
    if let Some(failure) = &failure {
        println!("{}", failure.failure.as_deref().unwrap_or_default());
        let plant = options.plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
        let regions = options.regions.map(|regions| format!(" --regions {regions}")).unwrap_or_default();
        println!("again: cargo xtask simulate --seed {}{regions}{plant}", failure.seed);
    }
    let verdict = if failure.is_some() { "a property was violated" } else { "every property held" };
    let per_second = requests as f64 / seconds.max(0.001);
    println!("{verdict}: {seeds} seeds, {requests} simulated requests, {per_second:.0} requests/s, {seconds:.1} s");
    if arguments.one && failure.is_none() {
        println!("(one world only)");
    }
    if failure.is_some() { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

/// A plant that is not found is a defect of the simulator.
fn each_plant(options: &Options) -> ExitCode {
    let elapsed = stopwatch();
    let mut missed = 0;
    for plant in Plant::ALL {
        let for_this_one = stopwatch();
        let Summary { failure, .. } = run(&Options { plant: Some(*plant), ..*options });
        let seconds = for_this_one().as_secs_f64();
        match failure {
            Some(failure) => {
                let found = failure.seed - options.first_seed + 1;
                let property = failure.property.unwrap_or_default();
                println!("{:<26} found by seed {found:>4} in {seconds:>5.1} s: property {property}", plant.name());
            }
            None => {
                missed += 1;
                println!("{:<26} NOT FOUND in {} seeds", plant.name(), options.seeds);
            }
        }
    }
    println!("{} plants, {missed} not found, {:.1} s", Plant::ALL.len(), elapsed().as_secs_f64());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
