//! The standard library's clocks and hasher on the thread of a simulation.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use squall_net::sim::{Simulation, check};
use squall_net::{now, sleep};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn instants_and_dates_follow_the_simulated_time() {
    let outside = Instant::now();
    let simulation = Simulation::new(1);
    simulation.block_on(async {
        let (instant, date) = (Instant::now(), SystemTime::now());
        assert_eq!(instant, now());
        sleep(HOUR).await;
        assert_eq!(instant.elapsed(), HOUR);
        assert_eq!(date.elapsed().unwrap(), HOUR);
        assert_eq!(now(), Instant::now());
        let since_1970 = date.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since_1970, Duration::from_secs(946_684_800));
        let on_another_thread = thread::spawn(SystemTime::now).join().unwrap();
        assert!(on_another_thread > date + 10_000 * HOUR, "the system's date");
    });
    drop(simulation);
    assert!(outside.elapsed() < HOUR, "the thread has the system's clock again");
}

#[test]
fn two_simulations_of_one_thread_each_have_their_own_time() {
    let (first, second) = (Simulation::new(1), Simulation::new(2));
    let begin = first.block_on(async { Instant::now() });
    first.block_on(sleep(HOUR));
    assert_eq!(second.block_on(async { begin.elapsed() }), Duration::ZERO);
    drop(second);
    assert_eq!(first.block_on(async { begin.elapsed() }), HOUR);
}

#[test]
fn a_run_takes_no_more_real_time_than_before_however_the_clock_is_asked() {
    let simulation = Simulation::new(1);
    simulation.host("host", async || {
        let end = Instant::now() + 24 * HOUR;
        while Instant::now() < end {
            sleep(HOUR).await;
        }
        Ok(())
    });
    simulation.run(25 * HOUR).unwrap();
    assert_eq!(simulation.now(), 24 * HOUR);
}

/// The order of a map's keys, and a hash, on a fresh thread.
fn order_of_a_map(seed: u64) -> (Vec<u32>, u64) {
    let run = move || {
        Simulation::new(seed).block_on(async {
            let map: HashMap<u32, ()> = (0..20).map(|n| (n, ())).collect();
            (map.into_keys().collect(), RandomState::new().hash_one(7))
        })
    };
    thread::spawn(run).join().unwrap()
}

#[test]
fn a_hash_map_has_the_order_of_the_seed() {
    assert_eq!(order_of_a_map(1), order_of_a_map(1));
    assert_ne!(order_of_a_map(1), order_of_a_map(2));
}

#[test]
fn check_gives_every_seed_a_thread_of_its_own() {
    check(1..5, |simulation| {
        let order = simulation.block_on(async {
            (0..20).map(|n| (n, ())).collect::<HashMap<u32, ()>>().into_keys().collect::<Vec<_>>()
        });
        let seed = thread::current().name().unwrap().strip_prefix("seed ").unwrap().parse();
        assert_eq!(order, order_of_a_map(seed.unwrap()).0);
    });
}
