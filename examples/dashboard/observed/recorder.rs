//! The observer of a loop: what runs now, how long each entry took, and which entries were slow.
//!
//! The loop's thread writes, and the dashboard's thread reads at any time, also while the loop is
//! stuck. Both hold the lock for a moment only, and the writer finds it free nearly always.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use squall_net::{ObservedEntry, Observer, ObserverId, Work, add_observer, remove_observer};

use crate::observed::histogram::Histogram;

/// The number of slow entries that are kept.
const SLOW_ENTRIES: usize = 50;

/// What is known of the entries of a loop.
#[derive(Debug)]
pub(crate) struct Recorder {
    slow_entry: Duration,
    record: Mutex<Record>,
    /// Set while the loop calls this observer. Only the loop's thread changes it.
    observer: Mutex<Option<ObserverId>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The entry that runs now, and when it began.
    pub(crate) running: Option<(ObservedEntry, Instant)>,
    /// A histogram for each kind of work that was seen.
    pub(crate) times: Vec<(Work, Histogram)>,
    /// The last slow entries, the newest first.
    pub(crate) slow: VecDeque<SlowEntry>,
    /// How many entries were slow, also those that are not kept any more.
    pub(crate) slow_total: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct SlowEntry {
    pub(crate) entry: ObservedEntry,
    pub(crate) elapsed: Duration,
    pub(crate) ended: Instant,
}

impl Recorder {
    pub(crate) fn new(slow_entry: Duration) -> Arc<Recorder> {
        let (record, observer) = (Mutex::default(), Mutex::default());
        Arc::new(Recorder { slow_entry, record, observer })
    }

    /// A copy of what was recorded so far.
    pub(crate) fn record(&self) -> Record {
        self.lock().clone()
    }

    /// Begins to time the entries of this thread's loop.
    pub(crate) fn switch_on(self: &Arc<Self>) {
        let is_on = self.observer().is_some();
        if !is_on {
            let id = add_observer(Arc::clone(self));
            *self.observer() = Some(id);
        }
    }

    /// Undoes [`switch_on`](Self::switch_on), on the same thread.
    pub(crate) fn switch_off(&self) {
        let id = self.observer().take();
        if let Some(id) = id {
            remove_observer(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observer(&self) -> MutexGuard<'_, Option<ObserverId>> {
        self.observer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn times_of(&mut self, work: Work) -> &mut Histogram {
        let known = self.times.iter().position(|(known, _)| *known == work);
        let index = known.unwrap_or_else(|| {
            self.times.push((work, Histogram::default()));
            self.times.len() - 1
        });
        &mut self.times[index].1
    }
}

/// While it is switched on.
impl Observer for Recorder {
    fn begins(&self, entry: &ObservedEntry, now: Instant) {
        self.lock().running = Some((entry.clone(), now));
    }

    fn ended(&self, entry: &ObservedEntry, elapsed: Duration) {
        let mut record = self.lock();
        record.running = None;
        record.times_of(entry.work).record(elapsed);
        if elapsed >= self.slow_entry {
            record.slow_total += 1;
            record.slow.truncate(SLOW_ENTRIES - 1);
            let ended = Instant::now();
            record.slow.push_front(SlowEntry { entry: entry.clone(), elapsed, ended });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_net::{Clock, EventLoop};

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn entries_are_recorded_while_the_recorder_is_switched_on() {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
        let recorder = Recorder::new(Duration::from_millis(10));
        let hold = |millis| {
            let (clock, recorder) = (clock.clone(), Arc::clone(&recorder));
            move || {
                clock.advance(Duration::from_millis(millis));
                recorder.record().running.map(|(entry, _)| entry.work)
            }
        };
        let is_seen = |millis| {
            let (hold, seen) = (hold(millis), Arc::new(Mutex::new(None)));
            let set = Arc::clone(&seen);
            event_loop.add_callback(move || *set.lock().unwrap() = hold());
            event_loop.run_once(AT_ONCE).unwrap();
            seen.lock().unwrap().take()
        };
        assert_eq!(is_seen(20), None);
        let entered = event_loop.enter();
        recorder.switch_on();
        recorder.switch_on(); // changes nothing
        assert_eq!(is_seen(9), Some(Work::Callback));
        assert_eq!(is_seen(10), Some(Work::Callback));
        recorder.switch_off();
        assert_eq!(is_seen(30), None);
        drop(entered);
        let record = recorder.record();
        assert!(record.running.is_none());
        assert_eq!(record.slow_total, 1);
        assert_eq!(record.slow[0].elapsed, Duration::from_millis(10));
        let (work, times) = &record.times[0];
        assert_eq!((*work, times.counts().iter().sum::<u64>()), (Work::Callback, 2));
        assert_eq!(times.sum(), Duration::from_millis(19));
    }

    #[test]
    fn the_newest_slow_entries_are_kept_and_all_are_counted() {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
        let recorder = Recorder::new(Duration::from_millis(1));
        let entered = event_loop.enter();
        recorder.switch_on();
        drop(entered);
        for millis in 1..=60 {
            let clock = clock.clone();
            event_loop.add_callback(move || clock.advance(Duration::from_millis(millis)));
        }
        event_loop.run_once(AT_ONCE).unwrap();
        let record = recorder.record();
        let times: Vec<_> = record.slow.iter().map(|slow| slow.elapsed.as_millis()).collect();
        assert_eq!(times, (11..=60).rev().collect::<Vec<_>>());
        assert_eq!(record.slow_total, 60);
    }
}
