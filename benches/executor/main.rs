//! What the executor's verbs cost: `cargo bench`, or beside its peers with `--features peers`.
//!
//! Every scenario is written once, against the trait of `runtime.rs`; each runtime fills in only
//! what differs. Figures are per operation: criterion is told how many a round has.

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

/// A scenario: its name, what a round of it runs (nothing on a runtime without such a thing), and
/// how many operations a round has.
type Row<R> = (&'static str, Option<Round<R>>, u32);

#[rustfmt::skip] // a row is a line
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

/// One scenario after the other, each on all runtimes: what is compared is measured side by side.
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
