//! What the executor's verbs cost: `cargo bench`, or beside its peers `cargo bench --features peers`.
//!
//! Every scenario is written once, against the trait of `runtime.rs`; each runtime fills in only what differs. Figures are
//! per operation: criterion is told how many a round has.

#[cfg(feature = "peers")]
mod peers;
mod runtime;
mod scenarios;
mod squall;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};

use runtime::Runtime;
use squall::Squall;

/// Operations a round.
const ROUND: u32 = 1000;
/// Tasks that sleep at once.
const SLEEPERS: u32 = 100_000;

fn executor(criterion: &mut Criterion) {
    for (name, scenario, count) in [
        ("spawn_and_join_1000", Scenario::SpawnAndJoin, ROUND),
        ("spawn_one_and_await", Scenario::SpawnOne, ROUND),
        ("self_wake", Scenario::SelfWake, ROUND),
        ("ping_pong", Scenario::PingPong, ROUND),
        ("callback", Scenario::Callback, ROUND),
        ("timer_arm_and_cancel", Scenario::Timers, ROUND),
        ("closure_from_another_thread", Scenario::Remote, 100_000),
        ("sleepers_100k", Scenario::Sleepers, SLEEPERS),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(count.into()));
        if count > ROUND {
            group.sample_size(10);
        }
        measure::<Squall>(&mut group, scenario, count);
        #[cfg(feature = "peers")]
        {
            measure::<peers::Tokio>(&mut group, scenario, count);
            measure::<peers::AsyncExecutor>(&mut group, scenario, count);
            measure::<peers::Monoio>(&mut group, scenario, count);
        }
        group.finish();
    }
}

#[derive(Clone, Copy)]
enum Scenario {
    SpawnAndJoin,
    SpawnOne,
    SelfWake,
    PingPong,
    Callback,
    Timers,
    Remote,
    Sleepers,
}

fn measure<R: Runtime>(group: &mut BenchmarkGroup<'_, WallTime>, scenario: Scenario, count: u32) {
    let mut runtime = R::new();
    let round: fn(&mut R, u32) -> bool = match scenario {
        Scenario::SpawnAndJoin => scenarios::spawn_and_join,
        Scenario::SpawnOne => scenarios::spawn_one,
        Scenario::SelfWake => scenarios::self_wake,
        Scenario::PingPong => scenarios::ping_pong,
        Scenario::Callback => R::callbacks,
        Scenario::Timers => scenarios::timers,
        Scenario::Remote => R::remote_closures,
        Scenario::Sleepers => scenarios::sleepers,
    };
    if !round(&mut runtime, 1) {
        return; // the runtime has no such thing
    }
    group.bench_function(BenchmarkId::from_parameter(R::NAME), |bencher| {
        bencher.iter(|| round(&mut runtime, count));
    });
}

criterion_group!(benches, executor);
criterion_main!(benches);
