//! Worlds as a whole: that a seed decides everything, that nothing is violated where nothing is planted, and that plants are.

use simulator::{Options, run, simulate};
use vedette::plant::Plant;

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [1, 2, 3] {
        let (first, again) = (simulate(seed, None, None), simulate(seed, None, None));
        assert_eq!((first.hash, first.requests), (again.hash, again.requests), "seed {seed}");
    }
    assert_ne!(simulate(1, None, None).hash, simulate(2, None, None).hash);
}

#[test]
fn a_failure_is_told_with_its_seed_and_comes_again() {
    let plant = Some(Plant::ReplayLeavesGrant);
    let options = Options { first_seed: 1, seeds: 200, regions: Some(2), plant, threads: 2 };
    let failure = run(&options).failure.expect("a plant that every other seed finds");
    let told = failure.failure.expect("a history");
    assert!(
        told.starts_with(&format!("seed {} (2 regions, plant replay-leaves-grant): property 1", failure.seed)),
        "{told}"
    );
    assert_eq!(simulate(failure.seed, Some(2), plant).failure, Some(told));
    assert_eq!(simulate(failure.seed, Some(2), None).failure, None);
}

#[test]
fn a_few_worlds_hold() {
    let options = Options { first_seed: 1, seeds: 8, regions: None, plant: None, threads: 2 };
    let summary = run(&options);
    assert_eq!(summary.failure.and_then(|outcome| outcome.failure), None);
    assert_eq!(summary.seeds, 8);
}
