//! `/metrics`: the numbers of the loops for Prometheus.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use squall_net::Stats;
use tiny_http::Response;

use crate::observed::histogram::{Histogram, bound};
use crate::observed::recorder::Record;
use crate::observed::sample::Question;
use crate::observed::watched::{Condition, Known, Roster, Watched};
use crate::site::metrics_text::MetricsText;
use crate::site::viewers::Viewers;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// A loop, what it answered, and what was recorded.
struct Observed {
    watched: Arc<Watched>,
    known: Known,
    record: Record,
}

impl Observed {
    fn stats(&self) -> Option<&Stats> {
        Some(&self.known.sample.as_ref()?.stats)
    }
}

/// Asks the loops for their numbers, and waits for the answers, at most for `patience`. The numbers of
/// a loop that is stuck are those that it answered last.
pub(crate) async fn page(
    roster: &Arc<Roster>,
    viewers: &Rc<Viewers>,
    patience: Duration,
) -> Response {
    let loops = roster.loops();
    loops.iter().for_each(|watched| watched.ask(Question::Numbers));
    for watched in &loops {
        watched.is_answered_within(patience).await;
    }
    let observe = |watched: Arc<Watched>| {
        let (known, record) = (watched.known(), watched.recorder.record());
        Observed { watched, known, record }
    };
    let loops: Vec<_> = loops.into_iter().map(observe).collect();
    let mut text = MetricsText::default();
    add_conditions(&mut text, &loops);
    add_stats(&mut text, &loops);
    add_times(&mut text, &loops);
    add_gauges(&mut text, &loops);
    add_dashboard(&mut text, &loops, viewers);
    Response::new(Some(TEXT), text.into_text())
}

fn add_conditions(text: &mut MetricsText, loops: &[Observed]) {
    let name = "squall_loop_up";
    text.family(name, "gauge", "1 if the loop has answered in time, 0 if it is stuck or ended.");
    for observed in loops {
        let is_up = matches!(observed.known.condition, Condition::Answers);
        text.sample(name, &[("loop", &observed.watched.name)], u8::from(is_up));
    }
    let name = "squall_loop_unanswered_seconds";
    text.family(name, "gauge", "How long the loop has owed the answer to a question.");
    for observed in loops {
        let waits = match observed.known.condition {
            Condition::Waits(time) => time.as_secs_f64(),
            Condition::Answers | Condition::Closed => 0.0,
        };
        text.sample(name, &[("loop", &observed.watched.name)], waits);
    }
    let name = "squall_loop_lag_seconds";
    text.family(name, "gauge", "How long the last question waited for its turn on the loop.");
    for observed in loops {
        let lag = observed.known.lag.as_secs_f64();
        text.sample(name, &[("loop", &observed.watched.name)], lag);
    }
}

/// A number of `Stats`: its name after `squall_loop_`, its type, its help, and how it is read.
type Number = (&'static str, &'static str, &'static str, fn(&Stats) -> f64);

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

#[rustfmt::skip] // a table
const NUMBERS: [Number; 19] = [
    ("turns_total", COUNTER, "Turns of the loop.", |stats| float(stats.turns)),
    ("waits_total", COUNTER, "Calls that asked the kernel for events.", |stats| float(stats.waits)),
    ("empty_wakeups_total", COUNTER, "Sleeps that ended for nothing.", |stats| float(stats.empty_wakeups)),
    ("stale_events_total", COUNTER, "Events of descriptors that were removed meanwhile.", |stats| float(stats.stale_events)),
    ("callbacks_total", COUNTER, "Callbacks and handlers that ran.", |stats| float(stats.callbacks)),
    ("polls_total", COUNTER, "Polls of tasks.", |stats| float(stats.polls)),
    ("timers_fired_total", COUNTER, "Timers that fired.", |stats| float(stats.timers_fired)),
    ("messages_total", COUNTER, "Messages from other threads.", |stats| float(stats.messages)),
    ("wakeups_written_total", COUNTER, "Messages whose sender had to write the eventfd.", |stats| float(stats.wakeups_written)),
    ("wakeups_saved_total", COUNTER, "Messages that needed no write.", |stats| float(stats.wakeups_saved)),
    ("registrations_total", COUNTER, "Descriptors added to epoll.", |stats| float(stats.registrations)),
    ("deregistrations_total", COUNTER, "Descriptors removed from epoll.", |stats| float(stats.deregistrations)),
    ("tasks", GAUGE, "Tasks that are not finished.", |stats| float(stats.live_tasks)),
    ("timers", GAUGE, "Timers that are armed.", |stats| float(stats.live_timers)),
    ("descriptors", GAUGE, "Descriptors that are registered, handlers included.", |stats| float(stats.live_sources)),
    ("handlers", GAUGE, "Handlers that are registered.", |stats| float(stats.live_handlers)),
    ("busy_seconds_total", COUNTER, "Time that the loop worked.", |stats| stats.busy_time.as_secs_f64()),
    ("idle_seconds_total", COUNTER, "Time that the loop slept.", |stats| stats.idle_time.as_secs_f64()),
    ("longest_turn_seconds", GAUGE, "The longest time that the loop worked in one turn.", |stats| stats.longest_turn.as_secs_f64()),
];

/// Prometheus's numbers are floats, which are exact up to 2⁵³.
#[allow(clippy::cast_precision_loss, reason = "a counter that large is not read to its last digit")]
fn float(count: impl TryInto<u64>) -> f64 {
    count.try_into().map_or(f64::NAN, |count| count as f64)
}

fn add_stats(text: &mut MetricsText, loops: &[Observed]) {
    for (name, kind, help, read) in NUMBERS {
        let name = format!("squall_loop_{name}");
        text.family(&name, kind, help);
        for observed in loops {
            if let Some(stats) = observed.stats() {
                text.sample(&name, &[("loop", &observed.watched.name)], read(stats));
            }
        }
    }
}

fn add_times(text: &mut MetricsText, loops: &[Observed]) {
    let name = "squall_loop_entry_seconds";
    text.family(name, "histogram", "Times of calls and polls, while somebody looks.");
    for observed in loops {
        for (work, times) in &observed.record.times {
            let labels = [("loop", &*observed.watched.name), ("kind", &work.to_string())];
            add_histogram(text, name, labels, times);
        }
    }
    let name = "squall_loop_slow_entries_total";
    text.family(name, COUNTER, "Calls and polls that took longer than Options::slow_entry.");
    for observed in loops {
        let labels = [("loop", &*observed.watched.name)];
        text.sample(name, &labels, observed.record.slow_total);
    }
}

fn add_histogram(
    text: &mut MetricsText,
    name: &str,
    [of_loop, kind]: [(&str, &str); 2],
    times: &Histogram,
) {
    let mut total = 0;
    for (index, count) in times.counts().iter().enumerate() {
        total += count;
        let bound = bound(index).map_or("+Inf".to_owned(), |bound| bound.as_secs_f64().to_string());
        text.sample(&format!("{name}_bucket"), &[of_loop, kind, ("le", &bound)], total);
    }
    text.sample(&format!("{name}_sum"), &[of_loop, kind], times.sum().as_secs_f64());
    text.sample(&format!("{name}_count"), &[of_loop, kind], total);
}

/// The program's own gauges. Several loops may have one of the same name.
fn add_gauges(text: &mut MetricsText, loops: &[Observed]) {
    let mut families: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for observed in loops {
        let gauges = observed.known.sample.iter().flat_map(|sample| &sample.gauges);
        for gauge in gauges {
            families.entry(gauge.name).or_default().push((&observed.watched.name, gauge));
        }
    }
    for (name, samples) in families {
        text.family(name, GAUGE, samples[0].1.help);
        for (name_of_loop, gauge) in samples {
            text.sample(name, &[("loop", name_of_loop)], gauge.value);
        }
    }
}

/// What the dashboard itself does.
fn add_dashboard(text: &mut MetricsText, loops: &[Observed], viewers: &Viewers) {
    let name = "squall_dashboard_questions_total";
    text.family(name, COUNTER, "Messages that the dashboard has sent to the loop.");
    for observed in loops {
        let labels = [("loop", &*observed.watched.name)];
        text.sample(name, &labels, observed.known.questions);
    }
    let name = "squall_dashboard_viewers";
    text.family(name, GAUGE, "Pages that are open.");
    text.sample(name, &[], viewers.open());
    let name = "squall_dashboard_missed_snapshots_total";
    text.family(name, COUNTER, "Snapshots that a page has missed because it read too slowly.");
    text.sample(name, &[], viewers.missed());
}
