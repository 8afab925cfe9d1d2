//! loom models: every interleaving of a few threads, over the code as it is.
//!
//! Run them with `RUSTFLAGS="--cfg loom" cargo test -p squall-executor --release --lib models`. loom
//! fails a model also for a deadlock, which is a lost wake-up, and for memory that is not freed.
//!
//! loom switches threads at its own types only. What just counts for the model is therefore kept in
//! atomics of std, which add no interleavings.

mod blocking_pool;
mod inbox;
mod output_channel;
mod signals;
mod tasks;

use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::insight::origin::Origin;
use crate::sync::Notifier;
use crate::task::inbox::Inbox;
use crate::task::scheduler::Scheduler;
use crate::task::shared_state::SharedOwner;

/// Runs a model with at most two preemptions, or as many as `LOOM_MAX_PREEMPTIONS` allows. Two find
/// every known bug of this kind, and a model takes only seconds.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(f);
}

/// A loop without a kernel: runs ready entries, collects messages, and sleeps on loom's notifier.
struct Loop {
    scheduler: Scheduler,
    notifier: Notifier,
    /// How many messages a turn collects.
    messages_per_turn: usize,
}

impl Loop {
    fn new() -> Loop {
        let notifier = Notifier::new();
        let scheduler = Scheduler::new(Inbox::new(notifier.clone()));
        scheduler.owner().enter();
        scheduler.inbox().mark_awake();
        Loop { scheduler, notifier, messages_per_turn: 8 }
    }

    fn run_ready(&self) {
        while self.scheduler.ready_len() > 0 {
            self.scheduler.run_next();
        }
    }

    /// Runs turns as `event_loop.rs` does, without timers and descriptors, until `done` returns
    /// true.
    fn run_until(&self, done: impl Fn() -> bool) {
        loop {
            self.run_ready();
            if done() {
                return;
            }
            self.sleep_and_collect();
        }
    }

    /// Ends a turn: sleeps unless there are messages, and collects them.
    fn sleep_and_collect(&self) {
        if self.scheduler.inbox().prepare_to_sleep() {
            self.notifier.sleep();
            self.scheduler.inbox().mark_awake();
        }
        self.scheduler.collect_messages(self.messages_per_turn);
    }

    fn close(self) {
        self.scheduler.close_tasks();
        self.scheduler.inbox().close();
        SharedOwner::leave();
    }
}

fn origin() -> Origin {
    Origin { location: Location::caller(), time: 0 }
}

/// The slot in which a task stores its waker for another thread.
type WakerSlot = Arc<Mutex<Option<Waker>>>;

fn store_waker(waker_slot: &WakerSlot, cx: &Context<'_>) {
    let waker = cx.waker().clone();
    *waker_slot.lock().unwrap() = Some(waker);
}

fn take_waker(waker_slot: &WakerSlot) -> Option<Waker> {
    waker_slot.lock().unwrap().take()
}

/// A counter of the model itself, which adds no interleavings.
#[derive(Clone, Default)]
struct Count(std::sync::Arc<AtomicUsize>);

impl Count {
    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts its drop.
struct CountedDrop(Count);

impl Drop for CountedDrop {
    fn drop(&mut self) {
        self.0.add_one();
    }
}

/// Counts its drop, which must happen on the thread that made it.
struct LocalDrop {
    count: Count,
    thread: thread::ThreadId,
}

impl LocalDrop {
    fn new(count: &Count) -> LocalDrop {
        LocalDrop { count: count.clone(), thread: thread::current().id() }
    }
}

impl Drop for LocalDrop {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.thread, "a future was dropped on a foreign thread");
        self.count.add_one();
    }
}

/// Something that a thread waits for until another thread tells it.
#[derive(Clone)]
struct Event(Notifier);

impl Event {
    fn new() -> Event {
        Event(Notifier::new())
    }

    fn happen(&self) {
        self.0.notify();
    }

    /// If the event never happens, loom reports a deadlock.
    fn wait(&self) {
        self.0.sleep();
    }

    /// A waker that makes the event happen.
    fn waker(&self) -> Waker {
        std::sync::Arc::new(EventWaker(self.clone())).into()
    }
}

struct EventWaker(Event);

impl Wake for EventWaker {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.happen();
    }
}
