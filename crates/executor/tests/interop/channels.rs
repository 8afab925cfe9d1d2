//! The channels of `tokio::sync`: `mpsc`, `oneshot`, `broadcast` and `watch`. They need no runtime
//! of tokio's.

use std::rc::Rc;
use std::thread;

use futures_lite::future::zip;
use futures_util::future::join_all;
use squall_executor::{JoinHandle, spawn, stats, yield_now};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::support::{Log, settle, within_a_limit};

#[test]
fn a_full_channel_holds_its_senders_back_and_serves_them_in_order() {
    within_a_limit(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let senders: Vec<_> = (0..4)
            .map(|number| {
                let sender = sender.clone();
                spawn(async move { sender.send(number).await })
            })
            .collect();
        settle().await;
        assert_eq!(senders.iter().filter(|sender| sender.is_finished()).count(), 1);
        assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
        drop(sender);
        let mut received = Vec::new();
        while let Some(number) = receiver.recv().await {
            received.push(number);
            settle().await;
        }
        assert_eq!(received, [0, 1, 2, 3], "the end comes after the last message");
        assert!(senders.iter().all(JoinHandle::is_finished));
    });
}

#[test]
fn a_message_that_woke_an_aborted_receiver_stays_in_the_channel() {
    within_a_limit(async {
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Rc::new(tokio::sync::Mutex::new(receiver));
        let waiting = spawn({
            let receiver = receiver.clone();
            async move { receiver.lock().await.recv().await }
        });
        settle().await;
        assert!(sender.send("message").is_ok());
        waiting.abort();
        assert!(waiting.await.is_err());
        let mut receiver = receiver.lock().await;
        assert_eq!(receiver.recv().await, Some("message"));
        receiver.close();
        assert!(sender.send("late").is_err());
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn a_channel_carries_messages_between_the_loop_and_another_thread() {
    within_a_limit(async {
        let (to_thread, mut from_loop) = mpsc::channel(3);
        let (to_loop, mut from_thread) = mpsc::channel(3);
        let thread = thread::spawn(move || {
            while let Some(number) = from_loop.blocking_recv() {
                to_loop.blocking_send(number * 2).expect("the loop receives");
            }
        });
        let sending = async {
            for number in 0..20 {
                to_thread.send(number).await.expect("the thread receives");
            }
            drop(to_thread);
        };
        let receiving = async {
            let mut numbers = Vec::new();
            while let Some(number) = from_thread.recv().await {
                numbers.push(number);
            }
            numbers
        };
        let ((), numbers) = zip(sending, receiving).await;
        assert!(numbers.into_iter().eq((0..20).map(|number| number * 2)));
        thread.join().expect("no thread panics");
    });
}

// The channels of tokio count against the budgets of tokio's own tasks only.
#[test]
fn a_receiver_whose_channel_is_never_empty_yields_only_by_itself() {
    within_a_limit(async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        assert!((0..10_000).all(|number| sender.send(number).is_ok()));
        let polls = stats().polls;
        for number in 0..10_000 {
            assert_eq!(receiver.recv().await, Some(number));
        }
        assert_eq!(stats().polls, polls, "all of them in one poll");
        yield_now().await;
        assert_eq!(stats().polls, polls + 1);
    });
}

#[test]
fn a_oneshot_delivers_one_value_and_reports_an_end_that_was_dropped() {
    within_a_limit(async {
        let (sender, receiver) = oneshot::channel();
        let waiting = spawn(receiver);
        settle().await;
        assert_eq!(sender.send(42), Ok(()));
        assert_eq!(waiting.await.expect("no task panics"), Ok(42));

        let (sender, receiver) = oneshot::channel::<u32>();
        let waiting = spawn(receiver);
        settle().await;
        drop(sender);
        assert!(waiting.await.expect("no task panics").is_err());

        let (mut sender, receiver) = oneshot::channel();
        let waiting = spawn(async move {
            sender.closed().await;
            sender.send(42)
        });
        settle().await;
        assert!(!waiting.is_finished());
        drop(receiver);
        assert_eq!(waiting.await.expect("no task panics"), Err(42));
    });
}

#[test]
fn a_broadcast_reaches_every_receiver_and_reports_what_a_slow_one_has_missed() {
    within_a_limit(async {
        let (sender, slow) = broadcast::channel(2);
        let log = Log::new();
        let tasks = ["a", "b"].map(|name| {
            let (mut receiver, log) = (sender.subscribe(), log.clone());
            spawn(async move {
                while let Ok(number) = receiver.recv().await {
                    log.note((name, number));
                }
            })
        });
        settle().await;
        for number in 0..4 {
            assert_eq!(sender.send(number).ok(), Some(3), "receivers");
            settle().await;
        }
        assert_eq!(log.take().len(), 8);
        drop(sender);
        assert!(join_all(tasks).await.iter().all(Result::is_ok));

        let mut slow = slow;
        assert_eq!(slow.recv().await, Err(RecvError::Lagged(2)));
        assert_eq!((slow.recv().await, slow.recv().await), (Ok(2), Ok(3)));
        assert_eq!(slow.recv().await, Err(RecvError::Closed));
    });
}

#[test]
fn a_watch_wakes_every_receiver_and_shows_them_the_last_value_only() {
    within_a_limit(async {
        let (sender, receiver) = watch::channel(0);
        let log = Log::new();
        let tasks = ["a", "b"].map(|name| {
            let (mut receiver, log) = (receiver.clone(), log.clone());
            spawn(async move {
                while receiver.changed().await.is_ok() {
                    log.note((name, *receiver.borrow_and_update()));
                }
            })
        });
        let waiting = spawn({
            let mut receiver = receiver.clone();
            async move { receiver.wait_for(|number| *number > 2).await.map(|number| *number) }
        });
        settle().await;
        for number in [1, 2] {
            sender.send_replace(number);
        }
        settle().await;
        let mut seen = log.take();
        seen.sort_unstable();
        assert_eq!(seen, [("a", 2), ("b", 2)]);
        assert!(!waiting.is_finished());
        sender.send_modify(|number| *number += 1);
        assert_eq!(waiting.await.expect("no task panics").ok(), Some(3));
        drop(sender);
        assert!(join_all(tasks).await.iter().all(Result::is_ok));
        assert_eq!(*receiver.borrow(), 3, "the value outlives its sender");
    });
}
