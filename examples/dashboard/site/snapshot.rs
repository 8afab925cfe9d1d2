//! What the page shows, as JSON. `page.js` is its only reader.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_net::executor::{Dump, DumpedTask, DumpedTimer};
use squall_net::{ObservedEntry, Stats};

use crate::observed::gauges::Reading;
use crate::observed::histogram::{BOUNDED, bound};
use crate::observed::recorder::{Record, SlowEntry};
use crate::observed::sample::Sample;
use crate::observed::watched::{Condition, Known, Watched};

/// The most rows of a list that are shown.
const MAX_ROWS: usize = 100;

/// The state of all loops. `interval` is the time in which a loop has to answer.
pub(crate) fn of(loops: &[Arc<Watched>], interval: Duration) -> Value {
    let bounds: Vec<_> = (0..BOUNDED).filter_map(bound).map(|bound| bound.as_secs_f64()).collect();
    let loops: Vec<_> = loops.iter().map(|watched| of_loop(watched, interval)).collect();
    json!({ "interval": interval.as_secs_f64(), "bounds": bounds, "loops": loops })
}

fn of_loop(watched: &Watched, interval: Duration) -> Value {
    let (known, record) = (watched.known(), watched.recorder.record());
    let running = record.running.as_ref().map(|(entry, since)| {
        let mut running = entry_fields(entry);
        running["seconds"] = since.elapsed().as_secs_f64().into();
        running
    });
    let sample = known.sample.as_deref();
    json!({
        "name": watched.name,
        "state": match known.condition {
            Condition::Closed => "ended",
            Condition::Waits(_) if stuck_for(&known, &record, interval).is_some() => "stuck",
            Condition::Waits(_) | Condition::Answers => "answers",
        },
        "stuck": stuck_for(&known, &record, interval).map(|time| time.as_secs_f64()),
        "running": running,
        "lag": known.lag.as_secs_f64(),
        "taken": sample.map(|sample| (sample.taken - watched.since).as_secs_f64()),
        "stats": sample.map(|sample| stats(&sample.stats)),
        "gauges": sample.map(gauges),
        "unlisted": sample.is_some_and(|sample| sample.is_too_long),
        "tasks": known.dump().map(|dump| tasks(&dump.tasks)),
        "timers": known.dump().map(|dump| timers(&dump.timers)),
        "handlers": known.dump().map(handlers),
        "times": times(&record),
        "slow": record.slow.iter().map(slow).collect::<Vec<_>>(),
        "slow_total": record.slow_total,
    })
}

/// How long a loop has been stuck: it has not answered in time. The entry that runs may have begun
/// before the question.
fn stuck_for(known: &Known, record: &Record, interval: Duration) -> Option<Duration> {
    let Condition::Waits(asked) = known.condition else { return None };
    let running = record.running.as_ref().map(|(_, since)| since.elapsed());
    Some(asked.max(running.unwrap_or_default())).filter(|time| *time >= interval)
}

/// Counters since the loop was made, from which the page computes rates.
fn stats(stats: &Stats) -> Value {
    json!({
        "turns": stats.turns,
        "entries": stats.polls + stats.callbacks,
        "timers_fired": stats.timers_fired,
        "messages": stats.messages,
        "busy": stats.busy_time.as_secs_f64(),
        "idle": stats.idle_time.as_secs_f64(),
        "longest_turn": stats.longest_turn.as_secs_f64(),
        "live_tasks": stats.live_tasks,
        "live_timers": stats.live_timers,
        "live_descriptors": stats.live_sources,
        "live_handlers": stats.live_handlers,
    })
}

fn gauges(sample: &Sample) -> Vec<Value> {
    let gauge = |Reading { name, help, value }: &Reading| json!({ "name": name, "help": help, "value": value });
    sample.gauges.iter().map(gauge).collect()
}

fn entry_fields(entry: &ObservedEntry) -> Value {
    json!({
        "kind": entry.work.to_string(),
        "name": entry.name.as_deref(),
        "line": entry.location.map(line),
    })
}

fn slow(slow: &SlowEntry) -> Value {
    let mut fields = entry_fields(&slow.entry);
    fields["elapsed"] = slow.elapsed.as_secs_f64().into();
    fields["ago"] = Instant::now().saturating_duration_since(slow.ended).as_secs_f64().into();
    fields
}

fn times(record: &Record) -> Vec<Value> {
    let of_kind = record.times.iter().map(|(work, times)| {
        let sum = times.sum().as_secs_f64();
        json!({ "kind": work.to_string(), "sum": sum, "counts": times.counts() })
    });
    of_kind.collect()
}

/// A source line as the page shows it.
fn line(location: &Location<'_>) -> String {
    format!("{}:{}", location.file(), location.line())
}

/// Tasks with the same name and line are one row.
fn tasks(tasks: &[DumpedTask]) -> Value {
    let mut rows: BTreeMap<_, (u64, u64, Duration)> = BTreeMap::new();
    for task in tasks {
        let name = if task.is_root { Some("the future of block_on") } else { task.name.as_deref() };
        let row = rows.entry((name, task.location)).or_default();
        *row = (row.0 + 1, row.1 + u64::from(task.is_ready), row.2.max(task.age));
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, (count, _, oldest))| std::cmp::Reverse((*count, *oldest)));
    let row = |((name, location), (count, ready, oldest)): ((Option<&str>, _), _)| {
        let oldest: Duration = oldest;
        json!({ "name": name, "line": line(location), "count": count, "ready": ready,
                "oldest": oldest.as_secs_f64() })
    };
    limited(rows.into_iter().map(row).collect())
}

/// Timers of the same kind and line are one row.
fn timers(timers: &[DumpedTimer]) -> Value {
    let mut rows: BTreeMap<_, (u64, Duration)> = BTreeMap::new();
    for timer in timers {
        let row = rows.entry((timer.is_callback, timer.location)).or_insert((0, Duration::MAX));
        *row = (row.0 + 1, row.1.min(timer.due_in));
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, (_, due_in))| *due_in);
    let row = |((is_callback, location), (count, due_in)): ((bool, _), (u64, Duration))| {
        let due_in = (due_in != Duration::MAX).then_some(due_in.as_secs_f64());
        let kind = if is_callback { "callback" } else { "sleep" };
        json!({ "kind": kind, "line": line(location), "count": count, "due": due_in })
    };
    limited(rows.into_iter().map(row).collect())
}

/// Handlers of the same line are one row.
fn handlers(dump: &Dump) -> Value {
    let mut rows: BTreeMap<_, (u64, Duration)> = BTreeMap::new();
    for handler in &dump.handlers {
        let row = rows.entry(handler.location).or_default();
        *row = (row.0 + 1, row.1.max(handler.age));
    }
    let row = |(location, (count, oldest)): (_, (u64, Duration))| json!({ "line": line(location), "count": count, "oldest": oldest.as_secs_f64() });
    limited(rows.into_iter().map(row).collect())
}

/// The first rows, and how many more there are.
fn limited(mut rows: Vec<Value>) -> Value {
    let more = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    json!({ "rows": rows, "more": more })
}
