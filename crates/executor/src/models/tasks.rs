//! Models of tasks and their wakers, which other threads wake, clone and drop at any time.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::{Count, LocalDrop, Loop, WakerSlot, model, origin, store_waker, take_waker};
use crate::task::root_future::RootFuture;
use crate::task::waker::task_of_waker;

// W2: a poll sees what the waking thread wrote before the wake that caused the poll
#[test]
fn a_poll_sees_what_was_written_before_the_wake() {
    model(|| {
        let event_loop = Loop::new();
        let flags = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let waker_slot = WakerSlot::default();
        let done = Count::default();
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
                    done.add_one();
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
        event_loop.run_until(|| done.get() == 1);
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
        let polls = Count::default();
        let task = {
            let (waker_slot, polls) = (waker_slot.clone(), polls.clone());
            poll_fn(move |cx| {
                polls.add_one();
                if polls.get() == 1 {
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
        assert_eq!(polls.get(), 1);
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
        let drops = Count::default();
        let guard = LocalDrop::new(&drops);
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
        assert_eq!(drops.get(), 1);
        other_thread.join().unwrap();
    });
}

// W8: the drop of the last waker frees memory and drops no user value
#[test]
fn the_last_waker_on_another_thread_frees_only_memory() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let drops = Count::default();
        let guard = LocalDrop::new(&drops);
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
        assert_eq!(drops.get(), 1);
        event_loop.close();
    });
}

// A local wake and a foreign wake at the same time: no wake is lost, and no entry is queued twice
#[test]
fn a_local_wake_and_a_remote_wake_queue_the_task_once() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let is_set = Arc::new(AtomicUsize::new(0));
        let done = Count::default();
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
                done.add_one();
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
        event_loop.run_until(|| done.get() == 1);
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
        let polls = Count::default();
        let task = {
            let (waker_slot, key, polls) = (waker_slot.clone(), key.clone(), polls.clone());
            let shared = event_loop.scheduler.shared().clone();
            poll_fn(move |cx| {
                polls.add_one();
                if polls.get() > 1 {
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
        assert_eq!(polls.get(), 2);
        event_loop.scheduler.wakes().wake_task(key);
        event_loop.run_ready();
        other_thread.join().unwrap();
        event_loop.scheduler.collect_messages(8);
        event_loop.run_ready();
        assert_eq!(polls.get(), 2);
        event_loop.close();
    });
}

// W6, W8: the loop is dropped while two threads drop the last wakers of one of its tasks. The memory
// of the task and of the state that all threads share is freed, once
#[test]
fn the_last_wakers_may_be_dropped_on_two_threads_while_the_loop_ends() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let drops = Count::default();
        let guard = LocalDrop::new(&drops);
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
        let waker = take_waker(&waker_slot).unwrap();
        let threads = [waker.clone(), waker].map(|waker| thread::spawn(move || drop(waker)));
        event_loop.close();
        assert_eq!(drops.get(), 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

// W6, W8: an abort drops the future on the loop's thread, whatever another thread does with its waker
#[test]
fn an_abort_against_a_wake_drops_the_future_once() {
    model(|| {
        let event_loop = Loop::new();
        let waker_slot = WakerSlot::default();
        let drops = Count::default();
        let guard = LocalDrop::new(&drops);
        let task = {
            let waker_slot = waker_slot.clone();
            poll_fn(move |cx| {
                let _guard = &guard;
                store_waker(&waker_slot, cx);
                Poll::<()>::Pending
            })
        };
        let mut handle = event_loop.scheduler.spawn(task, origin());
        event_loop.run_ready();
        let waker = take_waker(&waker_slot).unwrap();
        let other_thread = thread::spawn(move || waker.wake());
        handle.abort();
        // The wake may be in the inbox already. Without this read-modify-write, loom would not try it.
        event_loop.scheduler.inbox().mark_awake();
        event_loop.scheduler.collect_messages(8);
        event_loop.run_until(|| handle.is_finished());
        assert_eq!(drops.get(), 1);
        let mut cx = Context::from_waker(Waker::noop());
        let outcome = Pin::new(&mut handle).poll(&mut cx);
        assert!(matches!(outcome, Poll::Ready(Err(error)) if error.is_cancelled()));
        drop(handle);
        other_thread.join().unwrap();
        event_loop.close();
    });
}

// A waker that another thread got from the future of a `block_on` is used during the next one
#[test]
fn a_stale_waker_never_polls_the_future_of_a_later_block_on() {
    model(|| {
        let event_loop = Loop::new();
        let (stale, current) = (WakerSlot::default(), WakerSlot::default());
        let mut store_stale = |cx: &mut Context<'_>| {
            store_waker(&stale, cx);
            Poll::Ready(())
        };
        block_on(&event_loop, &mut store_stale);
        let stale = take_waker(&stale).unwrap();
        let is_set = Arc::new(AtomicUsize::new(0));
        let other_thread = {
            let (current, is_set) = (current.clone(), is_set.clone());
            thread::spawn(move || {
                stale.wake();
                is_set.store(1, Ordering::Relaxed);
                if let Some(waker) = take_waker(&current) {
                    waker.wake();
                }
            })
        };
        let polls = Count::default();
        let mut wait_until_set = |cx: &mut Context<'_>| {
            polls.add_one();
            store_waker(&current, cx);
            if is_set.load(Ordering::Relaxed) == 1 { Poll::Ready(()) } else { Poll::Pending }
        };
        block_on(&event_loop, &mut wait_until_set);
        assert!(polls.get() <= 2, "{} polls", polls.get());
        drop(take_waker(&current));
        other_thread.join().unwrap();
        event_loop.close();
    });
}

/// Runs the loop until `poll` returns ready, as `EventLoop::block_on` does.
fn block_on(event_loop: &Loop, poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>) {
    let mut root = RootFuture::new(&event_loop.scheduler, origin(), poll);
    while !root.is_done() {
        while event_loop.scheduler.ready_len() > 0 && !root.is_done() {
            if event_loop.scheduler.run_next() {
                root.poll();
            }
        }
        if !root.is_done() {
            event_loop.sleep_and_collect();
        }
    }
}
