//! Models of the inbox: messages from other threads against the sleep and the end of a loop.

use std::panic::Location;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Count, CountedDrop, Loop, model};
use crate::task::callback::RemoteCallback;
use crate::task::entry::Message;

/// Starts two threads that each send a callback, which adds one to `count`.
fn two_senders(event_loop: &Loop, count: &Arc<AtomicUsize>) -> Vec<thread::JoinHandle<()>> {
    let sender = |_| {
        let (shared, count) = (event_loop.scheduler.shared().clone(), count.clone());
        thread::spawn(move || {
            let callback = RemoteCallback::new(Location::caller(), move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            shared.inbox.send(Message::Callback(callback)).unwrap();
        })
    };
    (0..2).map(sender).collect()
}

// W1
#[test]
fn no_message_is_left_behind_by_a_sleeping_loop() {
    model(|| {
        let event_loop = Loop::new();
        let count = Arc::new(AtomicUsize::new(0));
        let senders = two_senders(&event_loop, &count);
        event_loop.run_until(|| count.load(Ordering::Relaxed) == 2);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(event_loop.scheduler.inbox().eventfd_writes() <= 2);
        event_loop.close();
    });
}

// W1, S3
#[test]
fn a_message_that_exceeds_the_limit_of_a_turn_is_collected_in_the_next() {
    model(|| {
        let event_loop = Loop { messages_per_turn: 1, ..Loop::new() };
        let count = Arc::new(AtomicUsize::new(0));
        let senders = two_senders(&event_loop, &count);
        event_loop.run_until(|| count.load(Ordering::Relaxed) == 2);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        event_loop.close();
    });
}

// W6: each message is dropped once, by the thread that sends it or by the loop that closes
#[test]
fn a_message_against_the_end_of_the_loop_is_dropped_once() {
    model(|| {
        let event_loop = Loop::new();
        let drops = Count::default();
        let sender = |_| {
            let shared = event_loop.scheduler.shared().clone();
            let content = CountedDrop(drops.clone());
            thread::spawn(move || {
                let callback = RemoteCallback::new(Location::caller(), move || drop(content));
                let _ = shared.inbox.send(Message::Callback(callback));
            })
        };
        let senders: Vec<_> = (0..2).map(sender).collect();
        event_loop.close();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(drops.get(), 2);
    });
}
