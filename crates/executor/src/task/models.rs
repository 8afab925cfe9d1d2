//! loom models of the real scheduler, tasks and inbox: every interleaving of a few threads.
//!
//! Run them with `RUSTFLAGS="--cfg loom" cargo test -p squall-executor --release --lib models`.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::insight::origin::Origin;
use crate::sync::Notifier;
use crate::task::callback::RemoteCallback;
use crate::task::entry::Message;
use crate::task::inbox::Inbox;
use crate::task::scheduler::Scheduler;
use crate::task::shared_state::SharedOwner;
use crate::task::waker::task_of_waker;

/// Runs a model with at most two preemptions. These find every known bug of this kind, and a model
/// takes only seconds.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(f);
}

/// A loop without a kernel: runs ready entries, collects messages, and sleeps on loom's notifier.
struct Loop {
    scheduler: Scheduler,
    notifier: Notifier,
}

impl Loop {
    fn new() -> Loop {
        let notifier = Notifier::new();
        let scheduler = Scheduler::new(Inbox::new(notifier.clone()));
        scheduler.owner().enter();
        scheduler.inbox().mark_awake();
        Loop { scheduler, notifier }
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
            if self.scheduler.inbox().prepare_to_sleep() {
                self.notifier.sleep();
                self.scheduler.inbox().mark_awake();
            }
            self.scheduler.collect_messages(8);
        }
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

/// Counts its drops. A drop must happen once, on the thread of the model's loop.
struct CheckedDrop(Arc<AtomicUsize>, thread::ThreadId);

impl Drop for CheckedDrop {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.1, "a future was dropped on a foreign thread");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// W1
#[test]
fn no_message_is_left_behind_by_a_sleeping_loop() {
    model(|| {
        let event_loop = Loop::new();
        let count = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (shared, count) = (event_loop.scheduler.shared().clone(), count.clone());
                thread::spawn(move || {
                    let callback = RemoteCallback::new(Location::caller(), move || {
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                    shared.inbox.send(Message::Callback(callback)).unwrap();
                })
            })
            .collect();
        event_loop.run_until(|| count.load(Ordering::Relaxed) == 2); // loom reports a deadlock
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(event_loop.scheduler.inbox().eventfd_writes() <= 2);
        event_loop.close();
    });
}

// X3: a signal handler, on any thread, records its signal and notifies the inbox. The loop collects
// messages and then checks for recorded signals.
#[test]
fn a_signal_is_seen_by_a_sleeping_loop() {
    model(|| {
        let event_loop = Loop::new();
        let pending = Arc::new(AtomicUsize::new(0));
        let handlers: Vec<_> = (0..2)
            .map(|signal| {
                let (shared, pending) = (event_loop.scheduler.shared().clone(), pending.clone());
                thread::spawn(move || {
                    pending.fetch_or(1 << signal, Ordering::Release);
                    shared.inbox.notify();
                })
            })
            .collect();
        let mut seen = 0;
        while seen != 0b11 {
            if event_loop.scheduler.inbox().prepare_to_sleep() {
                event_loop.notifier.sleep(); // loom reports a deadlock
                event_loop.scheduler.inbox().mark_awake();
            }
            event_loop.scheduler.collect_messages(8);
            seen |= pending.swap(0, Ordering::Acquire);
        }
        handlers.into_iter().for_each(|handler| handler.join().unwrap());
        event_loop.close();
    });
}

// W2: a poll sees what the waking thread wrote before the wake that caused the poll
#[test]
fn a_poll_sees_what_was_written_before_the_wake() {
    model(|| {
        let event_loop = Loop::new();
        let flags = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let waker_slot = WakerSlot::default();
        let done = Arc::new(AtomicUsize::new(0));
        let task = {
            let (flags, waker_slot, done) = (flags.clone(), waker_slot.clone(), done.clone());
            let mut first = true;
            poll_fn(move |cx| {
                if std::mem::take(&mut first) {
                    store_waker(&waker_slot, cx);
                    return Poll::Pending;
                }
                // Relaxed on purpose, and without a lock: only the wakes can make the stores
                // visible.
                if flags.iter().all(|flag| flag.load(Ordering::Relaxed) == 1) {
                    done.store(1, Ordering::Relaxed);
                    return Poll::Ready(());
                }
                Poll::Pending
            })
        };
        drop(event_loop.scheduler.spawn(task, origin()));
        event_loop.run_ready();
        let waker = take_waker(&waker_slot).unwrap();
        let threads = flags.map(|flag| {
            let waker = waker.clone();
            thread::spawn(move || {
                flag.store(1, Ordering::Relaxed);
                waker.wake_by_ref();
            })
        });
        event_loop.run_until(|| done.load(Ordering::Relaxed) == 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // There is the first poll, and at most one poll for each wake.
        assert!(
            event_loop.scheduler.polls.get() <= 3,
            "{} polls",
            event_loop.scheduler.polls.get()
        );
        event_loop.close();
    });
}

// W10
#[test]
fn a_wake_during_the_last_poll_never_polls_again() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let polls = Arc::new(AtomicUsize::new(0));
        let task = {
            let (waker_slot, polls) = (waker_slot.clone(), polls.clone());
            poll_fn(move |cx| {
                if polls.fetch_add(1, Ordering::Relaxed) == 0 {
                    store_waker(&waker_slot, cx);
                }
                Poll::Ready(())
            })
        };
        let mut handle = event_loop.scheduler.spawn(task, origin());
        let waker = thread::spawn(move || {
            if let Some(waker) = take_waker(&waker_slot) {
                waker.wake();
            }
        });
        event_loop.run_ready();
        waker.join().unwrap();
        event_loop.scheduler.collect_messages(8);
        event_loop.run_ready();
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut handle).poll(&mut cx), Poll::Ready(Ok(()))));
        drop(handle);
        event_loop.close();
    });
}

// W6, W7, W8
#[test]
fn a_wake_against_the_end_of_the_loop_is_lost_without_harm() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = CheckedDrop(drops.clone(), thread::current().id());
        let task = {
            let waker_slot = waker_slot.clone();
            poll_fn(move |cx| {
                let _guard = &guard;
                store_waker(&waker_slot, cx);
                Poll::<()>::Pending
            })
        };
        drop(event_loop.scheduler.spawn(task, origin()));
        event_loop.run_ready();
        let other_thread = thread::spawn(move || {
            if let Some(waker) = take_waker(&waker_slot) {
                waker.wake_by_ref();
                drop(waker.clone());
            }
        });
        event_loop.close();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        other_thread.join().unwrap(); // loom reports leaks
    });
}

// W8: the drop of the last waker frees memory and drops no user value
#[test]
fn the_last_waker_on_another_thread_frees_only_memory() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = CheckedDrop(drops.clone(), thread::current().id());
        let task = {
            let waker_slot = waker_slot.clone();
            poll_fn(move |cx| {
                let _guard = &guard;
                store_waker(&waker_slot, cx);
                Poll::Ready(())
            })
        };
        let handle = event_loop.scheduler.spawn(task, origin());
        event_loop.run_ready();
        let waker = take_waker(&waker_slot).unwrap();
        let other_thread = thread::spawn(move || drop(waker));
        drop(handle); // the local reference and the waker's are dropped at the same time
        other_thread.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        event_loop.close();
    });
}

// W6: two threads send while the loop closes. Each message is dropped once, by one side or the
// other.
#[test]
fn a_message_against_the_end_of_the_loop_is_dropped_once() {
    model(|| {
        let event_loop = Loop::new();
        let drops = Arc::new(AtomicUsize::new(0));
        struct CountsDrops(Arc<AtomicUsize>);
        impl Drop for CountsDrops {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (shared, guard) =
                    (event_loop.scheduler.shared().clone(), CountsDrops(drops.clone()));
                thread::spawn(move || {
                    let _ = shared.inbox.send(Message::Callback(RemoteCallback::new(
                        Location::caller(),
                        move || drop(guard),
                    )));
                })
            })
            .collect();
        event_loop.close();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

// A local wake and a foreign wake at the same time: no wake is lost, and no entry is queued twice
#[test]
fn a_local_wake_and_a_remote_wake_queue_the_task_once() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let is_set = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let task = {
            let (waker_slot, is_set, done) = (waker_slot.clone(), is_set.clone(), done.clone());
            let mut polls = 0;
            poll_fn(move |cx| {
                polls += 1;
                if polls == 1 {
                    store_waker(&waker_slot, cx);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if is_set.load(Ordering::Relaxed) == 0 {
                    return Poll::Pending;
                }
                done.store(1, Ordering::Relaxed);
                Poll::Ready(())
            })
        };
        drop(event_loop.scheduler.spawn(task, origin()));
        event_loop.scheduler.run_next();
        let other_thread = thread::spawn(move || {
            is_set.store(1, Ordering::Relaxed);
            if let Some(waker) = take_waker(&waker_slot) {
                waker.wake();
            }
        });
        event_loop.run_until(|| done.load(Ordering::Relaxed) == 1);
        other_thread.join().unwrap();
        event_loop.close();
    });
}

// A descriptor or a timer wakes by a key, which is no reference: at the same time as another thread
// that has the last waker, and again when the task is gone
#[test]
fn a_key_wakes_its_task_once_and_reaches_no_memory_after_its_end() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let key = Arc::new(Mutex::new(None));
        let polls = Arc::new(AtomicUsize::new(0));
        let task = {
            let (waker_slot, key, polls) = (waker_slot.clone(), key.clone(), polls.clone());
            let shared = event_loop.scheduler.shared().clone();
            poll_fn(move |cx| {
                if polls.fetch_add(1, Ordering::Relaxed) > 0 {
                    return Poll::Ready(());
                }
                store_waker(&waker_slot, cx);
                let task = task_of_waker(cx.waker()).unwrap();
                assert!(task.is_at(Arc::as_ptr(&shared)));
                *key.lock().unwrap() = Some(task.key());
                Poll::Pending
            })
        };
        drop(event_loop.scheduler.spawn(task, origin()));
        event_loop.run_ready();
        let other_thread = thread::spawn(move || take_waker(&waker_slot).unwrap().wake());
        let key = key.lock().unwrap().take().unwrap();
        event_loop.scheduler.wakes().wake_task(key);
        event_loop.run_ready();
        assert_eq!(polls.load(Ordering::Relaxed), 2);
        event_loop.scheduler.wakes().wake_task(key);
        event_loop.run_ready();
        other_thread.join().unwrap();
        event_loop.scheduler.collect_messages(8);
        event_loop.run_ready();
        assert_eq!(polls.load(Ordering::Relaxed), 2);
        event_loop.close();
    });
}
