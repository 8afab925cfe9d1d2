//! loom models: the scheduler, the tasks and the inbox as they are, every interleaving of a few threads.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p squall-executor --release --lib models`.

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

/// Two preemptions find every bug of this kind that is known, and keep the models to seconds.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(f);
}

/// A loop without a kernel: it runs what is ready, collects messages, and sleeps on loom's notifier.
struct Loop {
    scheduler: Scheduler,
    notifier: Notifier,
}

impl Loop {
    fn new() -> Loop {
        let notifier = Notifier::new();
        let scheduler = Scheduler::new(Inbox::new(notifier.clone()));
        scheduler.owner().enter();
        scheduler.inbox().wake_up();
        Loop { scheduler, notifier }
    }

    fn run_ready(&self) {
        while self.scheduler.ready_len() > 0 {
            self.scheduler.run_next();
        }
    }

    /// The turn of event_loop.rs, without time and descriptors, until `done`.
    fn run_until(&self, done: impl Fn() -> bool) {
        loop {
            self.run_ready();
            if done() {
                return;
            }
            if self.scheduler.inbox().prepare_to_sleep() {
                self.notifier.sleep();
                self.scheduler.inbox().wake_up();
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

/// Where a task leaves its waker for another thread.
type Mailbox = Arc<Mutex<Option<Waker>>>;

fn leave(mailbox: &Mailbox, cx: &Context<'_>) {
    let waker = cx.waker().clone();
    *mailbox.lock().unwrap() = Some(waker);
}

fn take(mailbox: &Mailbox) -> Option<Waker> {
    mailbox.lock().unwrap().take()
}

/// Counts its drops, which must happen once and while the model's loop is entered.
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
        let own = Loop::new();
        let count = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (shared, count) = (own.scheduler.shared().clone(), count.clone());
                thread::spawn(move || {
                    let callback = RemoteCallback::new(Location::caller(), move || {
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                    shared.inbox.send(Message::Callback(callback)).unwrap();
                })
            })
            .collect();
        own.run_until(|| count.load(Ordering::Relaxed) == 2); // loom reports a deadlock
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(own.scheduler.inbox().eventfd_writes() <= 2);
        own.close();
    });
}

// X3: a signal's handler on any thread notes its signal and rings; the loop takes its mail and then looks for notes
#[test]
fn a_signal_is_seen_by_a_sleeping_loop() {
    model(|| {
        let own = Loop::new();
        let pending = Arc::new(AtomicUsize::new(0));
        let handlers: Vec<_> = (0..2)
            .map(|signal| {
                let (shared, pending) = (own.scheduler.shared().clone(), pending.clone());
                thread::spawn(move || {
                    pending.fetch_or(1 << signal, Ordering::Release);
                    shared.inbox.notify();
                })
            })
            .collect();
        let mut seen = 0;
        while seen != 0b11 {
            if own.scheduler.inbox().prepare_to_sleep() {
                own.notifier.sleep(); // loom reports a deadlock
                own.scheduler.inbox().wake_up();
            }
            own.scheduler.collect_messages(8);
            seen |= pending.swap(0, Ordering::Acquire);
        }
        handlers.into_iter().for_each(|handler| handler.join().unwrap());
        own.close();
    });
}

// W2: what a waker wrote before its wake is seen by the poll that answers it
#[test]
fn a_poll_sees_what_was_written_before_the_wake() {
    model(|| {
        let own = Loop::new();
        let flags = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let mailbox = Mailbox::default();
        let done = Arc::new(AtomicUsize::new(0));
        let task = {
            let (flags, mailbox, done) = (flags.clone(), mailbox.clone(), done.clone());
            let mut first = true;
            poll_fn(move |cx| {
                if std::mem::take(&mut first) {
                    leave(&mailbox, cx);
                    return Poll::Pending;
                }
                // Relaxed on purpose, and no lock in sight: only the wakes can make them visible.
                if flags.iter().all(|flag| flag.load(Ordering::Relaxed) == 1) {
                    done.store(1, Ordering::Relaxed);
                    return Poll::Ready(());
                }
                Poll::Pending
            })
        };
        drop(own.scheduler.spawn(task, origin()));
        own.run_ready();
        let waker = take(&mailbox).unwrap();
        let threads = flags.map(|flag| {
            let waker = waker.clone();
            thread::spawn(move || {
                flag.store(1, Ordering::Relaxed);
                waker.wake_by_ref();
            })
        });
        own.run_until(|| done.load(Ordering::Relaxed) == 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // The first poll, and at most one for each wake.
        assert!(own.scheduler.polls.get() <= 3, "{} polls", own.scheduler.polls.get());
        own.close();
    });
}

// W10
#[test]
fn a_wake_during_the_last_poll_never_polls_again() {
    model(|| {
        let own = Loop::new();
        let mailbox = Mailbox::default();
        let polls = Arc::new(AtomicUsize::new(0));
        let task = {
            let (mailbox, polls) = (mailbox.clone(), polls.clone());
            poll_fn(move |cx| {
                if polls.fetch_add(1, Ordering::Relaxed) == 0 {
                    leave(&mailbox, cx);
                }
                Poll::Ready(())
            })
        };
        let mut handle = own.scheduler.spawn(task, origin());
        let waker = thread::spawn(move || {
            if let Some(waker) = take(&mailbox) {
                waker.wake();
            }
        });
        own.run_ready();
        waker.join().unwrap();
        own.scheduler.collect_messages(8);
        own.run_ready();
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut handle).poll(&mut cx), Poll::Ready(Ok(()))));
        drop(handle);
        own.close();
    });
}

// W6, W7, W8
#[test]
fn a_wake_against_the_end_of_the_loop_is_lost_without_harm() {
    model(|| {
        let own = Loop::new();
        let mailbox = Mailbox::default();
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = CheckedDrop(drops.clone(), thread::current().id());
        let task = {
            let mailbox = mailbox.clone();
            poll_fn(move |cx| {
                let _guard = &guard;
                leave(&mailbox, cx);
                Poll::<()>::Pending
            })
        };
        drop(own.scheduler.spawn(task, origin()));
        own.run_ready();
        let stranger = thread::spawn(move || {
            if let Some(waker) = take(&mailbox) {
                waker.wake_by_ref();
                drop(waker.clone());
            }
        });
        own.close();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        stranger.join().unwrap(); // loom reports what is leaked
    });
}

// W8: whoever holds the last waker frees memory and nothing else
#[test]
fn the_last_waker_on_another_thread_frees_only_memory() {
    model(|| {
        let own = Loop::new();
        let mailbox = Mailbox::default();
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = CheckedDrop(drops.clone(), thread::current().id());
        let task = {
            let mailbox = mailbox.clone();
            poll_fn(move |cx| {
                let _guard = &guard;
                leave(&mailbox, cx);
                Poll::Ready(())
            })
        };
        let handle = own.scheduler.spawn(task, origin());
        own.run_ready();
        let waker = take(&mailbox).unwrap();
        let stranger = thread::spawn(move || drop(waker));
        drop(handle); // the home's hold and the waker's go at the same time
        stranger.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        own.close();
    });
}

// W6: two pushers against the close; each message is dropped once, by one side or the other
#[test]
fn a_message_against_the_end_of_the_loop_is_dropped_once() {
    model(|| {
        let own = Loop::new();
        let drops = Arc::new(AtomicUsize::new(0));
        struct CountsDrops(Arc<AtomicUsize>);
        impl Drop for CountsDrops {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (shared, guard) = (own.scheduler.shared().clone(), CountsDrops(drops.clone()));
                thread::spawn(move || {
                    let _ = shared.inbox.send(Message::Callback(RemoteCallback::new(
                        Location::caller(),
                        move || drop(guard),
                    )));
                })
            })
            .collect();
        own.close();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

// A wake at home and one from elsewhere at once: no wake is lost, no entry is doubled
#[test]
fn a_wake_at_home_and_one_from_elsewhere_meet() {
    model(|| {
        let own = Loop::new();
        let mailbox = Mailbox::default();
        let told = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let task = {
            let (mailbox, told, done) = (mailbox.clone(), told.clone(), done.clone());
            let mut polls = 0;
            poll_fn(move |cx| {
                polls += 1;
                if polls == 1 {
                    leave(&mailbox, cx);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if told.load(Ordering::Relaxed) == 0 {
                    return Poll::Pending;
                }
                done.store(1, Ordering::Relaxed);
                Poll::Ready(())
            })
        };
        drop(own.scheduler.spawn(task, origin()));
        own.scheduler.run_next();
        let stranger = thread::spawn(move || {
            told.store(1, Ordering::Relaxed);
            if let Some(waker) = take(&mailbox) {
                waker.wake();
            }
        });
        own.run_until(|| done.load(Ordering::Relaxed) == 1);
        stranger.join().unwrap();
        own.close();
    });
}
