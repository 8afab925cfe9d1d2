//! The cost of the executor's operations: `cargo bench`. `--features peers` adds other runtimes.
//!
//! Every scenario is written once, against the trait in `runtime.rs`. Each runtime implements only
//! what differs. Figures are per operation: criterion divides by the operations of a round.

#[cfg(feature = "peers")]
mod peers;
mod runtime;
mod scenarios;
mod squall;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};

use runtime::{Round, Runtime};
use scenarios::{STEPS, TASKS};
use squall::Squall;

/// A scenario: its name, its round (`None` on a runtime that cannot run the scenario), and the
/// number of operations in a round.
type Row<R> = (&'static str, Option<Round<R>>, u32);

#[rustfmt::skip] // one line for each row
fn table<R: Runtime>() -> [Row<R>; 16] {
    [
        ("create", Some(scenarios::create), 1),
        ("spawn_one", Some(scenarios::spawn_one), 1000),
        ("spawn_and_join_1000", Some(scenarios::spawn_and_join), 1000),
        ("spawn_many_local", Some(scenarios::spawn_and_join), 25_000),
        ("spawn_batch", Some(scenarios::spawn_batch), 250),
        ("spawn_recursively", Some(scenarios::spawn_recursively), TASKS * (STEPS + 1)),
        ("self_wake", Some(scenarios::self_wake), 1000),
        ("yield_now", Some(scenarios::yield_now), TASKS * STEPS),
        ("ping_pong", Some(scenarios::ping_pong), 1000),
        ("channels", Some(scenarios::channels), TASKS * STEPS),
        ("callback", R::CALLBACKS, 1000),
        ("closure_from_another_thread", R::REMOTE_CLOSURES, 100_000),
        ("timer_arm_and_cancel", Some(scenarios::timers), 1000),
        ("timers_1m_armed_then_cancelled", Some(scenarios::timers_at_once), 1_000_000),
        ("sleep_50us", Some(scenarios::sleep_50us), 20),
        ("sleepers_100k", Some(scenarios::sleepers), 100_000),
    ]
}

/// Runs one scenario after the other, each on all runtimes, so that compared figures are measured
/// one right after the other.
fn executor(criterion: &mut Criterion) {
    for (row, (name, _, count)) in table::<Squall>().into_iter().enumerate() {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(count.into()));
        if count > 1000 {
            group.sample_size(10);
        }
        measure::<Squall>(&mut group, row);
        #[cfg(feature = "peers")]
        {
            measure::<peers::Tokio>(&mut group, row);
            measure::<peers::TokioLocalSet>(&mut group, row);
            measure::<peers::AsyncExecutor>(&mut group, row);
            measure::<peers::Monoio>(&mut group, row);
            measure::<peers::Compio>(&mut group, row);
        }
        group.finish();
    }
}

fn measure<R: Runtime>(group: &mut BenchmarkGroup<'_, WallTime>, row: usize) {
    let (_, Some(round), count) = table::<R>()[row] else {
        return;
    };
    let mut runtime = R::new();
    group.bench_function(BenchmarkId::from_parameter(R::NAME), |bencher| {
        bencher.iter(|| round(&mut runtime, count));
    });
}

criterion_group!(benches, executor);
criterion_main!(benches);
