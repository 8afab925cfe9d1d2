//! Misuse of the API: loops in thread-locals, destructors and wakers that call back, ids and
//! futures that outlive their loop. None of these may be unsound, hang, or break other tasks.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, pending, poll_fn};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use squall_executor::future::Future;
use squall_executor::{
    AsyncFd, BatchEnd, EventLoop, Handle, HandlerId, Interest, RunError, TimerId, add_callback,
    add_handler, at_batch_end, block_on, call_later, remove_handler, remove_timeout, sleep, spawn,
    stats, stop, timeout, yield_now,
};

const MS: Duration = Duration::from_millis(1);
/// Passes only if a wake-up is lost.
const WATCHDOG: Duration = Duration::from_secs(10);

thread_local! { static EL: RefCell<Option<Rc<EventLoop>>> = const { RefCell::new(None) }; }

struct RunsLoopOnDrop;
impl Wake for RunsLoopOnDrop {
    fn wake(self: Arc<Self>) {}
}
impl Drop for RunsLoopOnDrop {
    fn drop(&mut self) {
        let el = EL.with_borrow(|el| el.clone());
        if let Some(el) = el {
            el.run_once(Some(Duration::ZERO)).unwrap();
        }
    }
}

// Dropping the handle drops the joining waker, whose destructor runs the loop and so the task.
// After that, the handle does not touch the task.
#[test]
fn the_destructor_of_a_joining_waker_may_run_the_loop() {
    let el = Rc::new(EventLoop::new().unwrap());
    EL.set(Some(el.clone()));
    let mut h = el.spawn(async { 1 });
    {
        let w = Waker::from(Arc::new(RunsLoopOnDrop));
        assert!(Pin::new(&mut h).poll(&mut Context::from_waker(&w)).is_pending());
    }
    drop(h);
    EL.set(None);
}

#[test]
fn the_destructor_of_a_joining_waker_may_drop_the_loop() {
    struct DropsLoop;
    impl Wake for DropsLoop {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for DropsLoop {
        fn drop(&mut self) {
            drop(EL.take());
        }
    }
    let el = Rc::new(EventLoop::new().unwrap());
    let mut h = el.spawn(pending::<()>());
    EL.set(Some(el));
    let w = Waker::from(Arc::new(DropsLoop));
    assert!(Pin::new(&mut h).poll(&mut Context::from_waker(&w)).is_pending());
    drop(w);
    drop(h);
}

// The finished task is still in the ready queue.
#[test]
fn the_destructor_of_an_output_may_run_the_loop() {
    struct Out(Rc<EventLoop>);
    impl Drop for Out {
        fn drop(&mut self) {
            self.0.run_once(Some(Duration::ZERO)).unwrap();
        }
    }
    let el = Rc::new(EventLoop::new().unwrap());
    let mut out = Some(Out(el.clone()));
    let h = el.spawn(poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        stop();
        Poll::Ready(out.take().unwrap())
    }));
    el.run().unwrap();
    assert!(h.is_finished());
    drop(h);
}

#[test]
fn a_future_that_was_awaited_on_a_loop_that_is_gone_wakes_on_the_next() {
    let f: Future<u32> = Future::new();
    assert!(block_on(timeout(MS, f.clone())).is_err());
    let g = f.clone();
    block_on(async move {
        call_later(MS, move || g.set_result(1).unwrap());
        assert_eq!(timeout(WATCHDOG, f).await.unwrap(), Ok(1));
        assert_eq!(stats().timers_fired, 1, "only the watchdog woke it");
    });
}

#[test]
fn a_future_that_was_awaited_on_a_loop_that_is_gone_still_calls_back() {
    let f: Future<u32> = Future::new();
    assert!(block_on(timeout(MS, f.clone())).is_err());
    f.set_result(3).unwrap();
    let ran = Rc::new(Cell::new(false));
    let r = ran.clone();
    block_on(async move {
        f.add_done_callback(move |_| r.set(true));
        sleep(MS * 5).await;
    });
    assert!(ran.get(), "done callback silently dropped");
}

#[test]
fn a_future_wakes_on_the_loop_that_runs() {
    let a = EventLoop::new().unwrap();
    let f: Future<u32> = Future::new();
    assert!(a.run_sync(f.clone(), Some(MS)).is_err());
    let g = f.clone();
    block_on(async move {
        call_later(MS, move || g.set_result(1).unwrap());
        assert_eq!(timeout(WATCHDOG, f).await.unwrap(), Ok(1));
        assert_eq!(stats().timers_fired, 1, "only the watchdog woke it");
    });
}

#[test]
fn the_root_future_keeps_its_place_among_the_waiters() {
    let order = Rc::new(RefCell::new(vec![]));
    let f: Future<()> = Future::new();
    block_on(async {
        let (o, g, h) = (order.clone(), f.clone(), f.clone());
        drop(spawn(async move {
            let _ = g.await;
            o.borrow_mut().push("task");
        }));
        call_later(MS, move || h.set_result(()).unwrap());
        f.clone().await.unwrap(); // polled before the task's first poll
        order.borrow_mut().push("root");
        sleep(MS).await;
    });
    assert_eq!(*order.borrow(), ["root", "task"]);
}

#[test]
fn a_timer_of_zero_waits_for_the_next_turn() {
    let el = EventLoop::new().unwrap();
    let fired = Rc::new(Cell::new(false));
    let f = fired.clone();
    el.add_callback(move || {
        call_later(Duration::ZERO, move || f.set(true));
    });
    el.run_once(Some(Duration::ZERO)).unwrap();
    assert_eq!(el.stats().turns, 1);
    assert!(!fired.get(), "fired in the turn that armed it, before the kernel was asked");
}

#[test]
fn the_id_of_a_handler_removes_no_handler_of_another_loop() {
    let (a1, _a2) = UnixStream::pair().unwrap();
    let (b1, _b2) = UnixStream::pair().unwrap();
    let a = EventLoop::new().unwrap();
    let id = a.add_handler(a1, Interest::READABLE, |_, _| ()).unwrap();
    drop(a);
    let b = EventLoop::new().unwrap();
    b.add_handler(b1, Interest::READABLE, |_, _| ()).unwrap();
    assert!(!b.remove_handler(id), "removed a handler of a later loop");
}

#[test]
fn the_id_of_a_handler_removes_no_descriptor_of_another_loop() {
    let (a1, _a2) = UnixStream::pair().unwrap();
    let (b1, mut b2) = UnixStream::pair().unwrap();
    let a = EventLoop::new().unwrap();
    let id = a.add_handler(a1, Interest::READABLE, |_, _| ()).unwrap();
    drop(a);
    block_on(async move {
        let fd = AsyncFd::new(b1).unwrap();
        call_later(MS, move || {
            assert!(!remove_handler(id));
            b2.write_all(b"x").unwrap();
            std::mem::forget(b2); // an end of the stream would wake the reader too
        });
        let readable = timeout(WATCHDOG, fd.readable()).await;
        readable.expect("it was silently deregistered").unwrap();
    });
}

// On each loop, the descriptor numbers its waiting calls anew, so the numbers repeat.
#[test]
fn a_wait_that_began_on_a_former_loop_disturbs_no_other_wait() {
    let (a1, mut a2) = UnixStream::pair().unwrap();
    let fd = Rc::new(AsyncFd::new(a1).unwrap());
    let fd1 = fd.clone();
    let mut old = Box::pin(async move { fd1.readable().await });
    assert!(block_on(timeout(MS, old.as_mut())).is_err());
    let woken = block_on(async {
        let fd2 = fd.clone();
        let h = spawn(async move {
            fd2.readable().await.unwrap();
        });
        yield_now().await;
        yield_now().await;
        drop(old);
        a2.write_all(b"x").unwrap();
        timeout(WATCHDOG, h).await
    });
    assert!(woken.is_ok(), "reader was never woken");
}

#[test]
fn a_message_whose_destructor_panics_does_not_hold_up_the_others() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb")
        }
    }
    let el = EventLoop::new().unwrap();
    let handle = el.handle();
    let bomb = Bomb;
    handle.add_callback(move || drop(bomb)).unwrap();
    let mut remote = handle.spawn(async || 1).unwrap();
    drop(el);
    assert!(handle.is_closed());
    let p = Pin::new(&mut remote).poll(&mut Context::from_waker(Waker::noop()));
    assert!(p.is_ready(), "RemoteJoinHandle hangs for ever: its message is still in the inbox");
}

/// A panic payload whose destructor panics.
struct Payload;
impl Drop for Payload {
    fn drop(&mut self) {
        panic!("payload")
    }
}

#[test]
fn a_panic_payload_whose_destructor_panics_does_not_leave_run() {
    let el = EventLoop::new().unwrap();
    el.add_callback(|| panic_any(Payload));
    el.add_callback(stop);
    let r = catch_unwind(AssertUnwindSafe(|| el.run()));
    assert!(r.is_ok(), "a callback's panic went through run()");
}

#[test]
fn a_detached_task_s_panic_payload_whose_destructor_panics_does_not_leave_run() {
    let el = EventLoop::new().unwrap();
    drop(el.spawn(async { panic_any(Payload) }));
    el.add_callback(stop);
    let r = catch_unwind(AssertUnwindSafe(|| el.run()));
    assert!(r.is_ok(), "a task's panic went through run()");
}

#[test]
fn timers_that_destructors_arm_at_the_end_are_dropped() {
    struct Chain(u32);
    impl Drop for Chain {
        fn drop(&mut self) {
            if self.0 > 0 {
                let c = Chain(self.0 - 1);
                call_later(MS, move || drop(c));
            }
        }
    }
    let el = EventLoop::new().unwrap();
    let c = Chain(3);
    el.call_later(MS, move || drop(c));
    let r = catch_unwind(AssertUnwindSafe(|| drop(el)));
    assert!(r.is_ok(), "dropping the loop panicked");
}

// The descriptor's next read drops what is left of the former loop, and with it the waker.
#[test]
fn a_descriptor_may_be_touched_while_its_former_loop_is_dropped() {
    thread_local! { static FD: RefCell<Option<Rc<AsyncFd<UnixStream>>>> = const { RefCell::new(None) }; }
    struct Touches;
    impl Wake for Touches {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Touches {
        fn drop(&mut self) {
            let fd = FD.with_borrow(|f| f.clone());
            if let Some(fd) = fd {
                fd.note_drained();
            }
        }
    }
    let (a1, _a2) = UnixStream::pair().unwrap();
    let fd = Rc::new(AsyncFd::new(a1).unwrap());
    FD.set(Some(fd.clone()));
    let el = EventLoop::new().unwrap();
    let read = |mut s: &UnixStream| std::io::Read::read(&mut s, &mut [0; 4]);
    {
        let _e = el.enter();
        let w = Waker::from(Arc::new(Touches));
        assert!(fd.poll_read_with(&mut Context::from_waker(&w), read).is_pending());
    }
    drop(el);
    let el = EventLoop::new().unwrap();
    let _e = el.enter();
    let r = catch_unwind(AssertUnwindSafe(|| {
        let _ = fd.poll_read_with(&mut Context::from_waker(Waker::noop()), read);
    }));
    FD.set(None);
    assert!(r.is_ok(), "BorrowError");
}

#[test]
fn a_waker_s_destructor_may_wait_for_the_same_descriptor() {
    type Fut = Pin<Box<dyn std::future::Future<Output = std::io::Result<()>>>>;
    thread_local! { static OTHER: RefCell<Option<(Fut, Waker)>> = const { RefCell::new(None) }; }
    struct PollsOther;
    impl Wake for PollsOther {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for PollsOther {
        fn drop(&mut self) {
            if let Some((mut f, w)) = OTHER.take() {
                assert!(f.as_mut().poll(&mut Context::from_waker(&w)).is_pending());
                OTHER.set(Some((f, w)));
            }
        }
    }
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (a1, mut a2) = UnixStream::pair().unwrap();
    let fd = Rc::new(AsyncFd::new(a1).unwrap());
    let el = EventLoop::new().unwrap();
    let _e = el.enter();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let (f1, f2) = (fd.clone(), fd.clone());
    let mut first: Fut = Box::pin(async move { f1.readable().await });
    OTHER.set(Some((Box::pin(async move { f2.readable().await }), Waker::from(count.clone()))));
    {
        let w = Waker::from(Arc::new(PollsOther));
        assert!(first.as_mut().poll(&mut Context::from_waker(&w)).is_pending());
    }
    drop(first); // drops the waker, whose destructor polls the other waiter
    a2.write_all(b"x").unwrap();
    for _ in 0..4 {
        el.run_once(Some(MS)).unwrap();
    }
    drop(OTHER.take());
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "the other waiter was forgotten");
}

#[test]
fn at_batch_end_works_outside_of_a_batch() {
    struct Act(Rc<Cell<bool>>);
    impl BatchEnd for Act {
        fn batch_ended(self: Rc<Self>) {
            self.0.set(true)
        }

        fn loop_ended(self: Rc<Self>) {}
    }
    let el = EventLoop::new().unwrap();
    let ran = Rc::new(Cell::new(false));
    {
        let _e = el.enter();
        at_batch_end(Rc::new(Act(ran.clone())));
    }
    for _ in 0..3 {
        el.run_once(Some(MS)).unwrap();
    }
    assert!(ran.get(), "never flushed");
}

#[test]
fn a_sleep_that_was_armed_on_another_loop_ends_on_this_one() {
    let a = EventLoop::new().unwrap();
    let mut s = sleep(MS * 5);
    a.block_on(poll_fn(|cx| {
        let _ = Pin::new(&mut s).poll(cx);
        Poll::Ready(())
    }));
    let b = EventLoop::new().unwrap();
    assert!(b.run_sync(s, Some(WATCHDOG)).is_ok(), "never ended in b");
}

#[test]
fn a_waker_that_panics_without_a_loop_does_not_hold_up_the_others() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("bad")
        }
    }
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let f: Future<u8> = Future::new();
    let (mut a, mut b) = (f.clone(), f.clone());
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let _ = Pin::new(&mut a).poll(&mut Context::from_waker(&Waker::from(Arc::new(Bad))));
    let _ = Pin::new(&mut b).poll(&mut Context::from_waker(&Waker::from(count.clone())));
    let _ = catch_unwind(AssertUnwindSafe(|| f.set_result(1)));
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
}

#[test]
fn the_kernel_is_asked_within_sixty_one_entries_across_batches() {
    let el = EventLoop::new().unwrap();
    let (quiet, _peer) = UnixStream::pair().unwrap();
    el.add_handler(quiet, Interest::READABLE, |_, _| {}).unwrap();
    let seen = Rc::new(RefCell::new(vec![]));
    for _ in 0..60 {
        let s = seen.clone();
        el.add_callback(move || {
            s.borrow_mut().push(stats().waits);
            for _ in 0..2 {
                let s = s.clone();
                add_callback(move || s.borrow_mut().push(stats().waits));
            }
        });
    }
    el.run_once(Some(Duration::ZERO)).unwrap();
    let first = seen.borrow()[0];
    let n = seen.borrow().iter().filter(|&&w| w == first).count();
    assert!(n <= 61, "{n} entries between two waits");
}

#[test]
fn handlers_whose_destructors_panic_are_all_dropped_with_their_loop() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb")
        }
    }
    let el = EventLoop::new().unwrap();
    for _ in 0..2 {
        let (a, _b) = UnixStream::pair().unwrap();
        let bomb = Bomb;
        el.add_handler(a, Interest::READABLE, move |_, _| {
            let _ = &bomb;
        })
        .unwrap();
    }
    drop(el);
}

// W9: thread-locals are destroyed in the opposite order of their first use
#[test]
fn a_loop_and_its_wakers_may_live_in_thread_locals() {
    thread_local! {
        static LOOP: EventLoop = EventLoop::new().unwrap();
        static WAKER: RefCell<Option<WakesInItsDrop>> = const { RefCell::new(None) };
    }
    struct WakesInItsDrop(Waker);
    impl Drop for WakesInItsDrop {
        fn drop(&mut self) {
            self.0.wake_by_ref();
        }
    }
    for is_loop_first in [true, false] {
        let thread = std::thread::spawn(move || {
            if !is_loop_first {
                WAKER.with(|_| {});
            }
            LOOP.with(|el| {
                el.block_on(async { yield_now().await });
                drop(el.spawn(poll_fn(|cx| {
                    WAKER.set(Some(WakesInItsDrop(cx.waker().clone())));
                    Poll::<()>::Pending
                })));
                el.run_once(Some(MS)).unwrap();
            });
        });
        thread.join().unwrap();
    }
}

// W9
#[test]
fn a_handle_may_be_used_by_a_thread_local_s_destructor() {
    struct CallsHandle(Handle);
    impl Drop for CallsHandle {
        fn drop(&mut self) {
            let _ = self.0.add_callback(|| ());
        }
    }
    thread_local! { static T: RefCell<Option<CallsHandle>> = const { RefCell::new(None) }; }
    let el = EventLoop::new().unwrap();
    let h = el.handle();
    std::thread::spawn(move || {
        T.set(Some(CallsHandle(h.clone())));
        // Its system calls create the thread-local of the fault seam.
        let other = EventLoop::new().unwrap();
        drop(other);
    })
    .join()
    .unwrap();
    el.run_once(Some(MS)).unwrap();
}

thread_local! {
    /// Called by the next clone of a [`waker`].
    static ON_CLONE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    static WAKES: Cell<u32> = const { Cell::new(0) };
}

/// Returns a waker whose clone calls `ON_CLONE`.
#[allow(unsafe_code, reason = "only a hand-made waker has code in its clone")]
fn waker() -> Waker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            if let Some(act) = ON_CLONE.take() {
                act();
            }
            RawWaker::new(data, &TABLE)
        },
        |_| WAKES.set(WAKES.get() + 1),
        |_| WAKES.set(WAKES.get() + 1),
        |_| (),
    );
    // SAFETY: the functions ignore their data, and a waker of this test is used on its thread only.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
}

#[test]
fn a_waker_whose_clone_ends_the_task_loses_no_wake() {
    let el = Rc::new(EventLoop::new().unwrap());
    let mut h = el.spawn(async {});
    let e = el.clone();
    ON_CLONE.set(Some(Box::new(move || {
        e.run_once(Some(Duration::ZERO)).unwrap();
    })));
    let p = Pin::new(&mut h).poll(&mut Context::from_waker(&waker()));
    assert!(h.is_finished());
    assert!(p.is_ready() || WAKES.get() > 0, "Pending, finished, never woken");
}

#[test]
fn a_waker_whose_clone_sets_the_future_loses_no_wake() {
    let f: Future<u8> = Future::new();
    let (g, mut w) = (f.clone(), f.clone());
    ON_CLONE.set(Some(Box::new(move || g.set_result(1).unwrap())));
    let p = Pin::new(&mut w).poll(&mut Context::from_waker(&waker()));
    assert!(p.is_ready() || WAKES.get() > 0, "Pending, done, never woken");
}

#[test]
fn a_timer_that_never_comes_is_no_deadline() {
    let el = EventLoop::new().unwrap();
    el.call_later(Duration::MAX, || ());
    assert_eq!(el.next_deadline(), None);
}

#[test]
fn a_guard_that_is_kept_across_an_await_does_not_divert_the_loop() {
    let other = EventLoop::new().unwrap();
    let el = EventLoop::new().unwrap();
    let h = el.handle();
    drop(el.spawn(async move {
        let _guard = other.enter();
        yield_now().await;
        std::future::pending::<()>().await
    }));
    let t = std::thread::spawn(move || {
        h.stop();
    });
    let r = el.run_sync(std::future::pending::<()>(), Some(WATCHDOG));
    t.join().unwrap();
    assert!(matches!(r, Err(RunError::Stopped)), "{r:?}");
}

#[test]
fn a_hook_that_owns_a_future_does_not_keep_its_loop_alive() {
    let probe = Rc::new(());
    let (f, kept) = (Future::<()>::new(), probe.clone());
    let g = f.clone();
    let hook = move |_: &(dyn std::any::Any + Send)| {
        let _ = (&kept, g.set_result(()));
    };
    let el = EventLoop::builder().on_panic(hook).build().unwrap();
    el.call_later(MS, || panic!("on purpose"));
    el.block_on(f).unwrap();
    drop(el);
    assert_eq!(Rc::strong_count(&probe), 1);
}

// Closing a loop visits each place of the task list once.
#[test]
fn forty_thousand_tasks_are_dropped_with_their_loop() {
    let probe = Rc::new(());
    let el = EventLoop::new().unwrap();
    for _ in 0..40_000 {
        let kept = probe.clone();
        drop(el.spawn(async move {
            let _kept = kept;
            pending::<()>().await;
        }));
    }
    drop(el);
    assert_eq!(Rc::strong_count(&probe), 1);
}

#[test]
#[should_panic(expected = "polled after it had completed")]
fn a_remote_handle_that_is_polled_after_completion_panics_with_a_reason() {
    let el = EventLoop::new().unwrap();
    let mut remote = el.handle().spawn(async || 1).unwrap();
    while !format!("{remote:?}").contains("true") {
        el.run_once(Some(Duration::ZERO)).unwrap();
    }
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut remote).poll(&mut cx).is_ready());
    let _ = Pin::new(&mut remote).poll(&mut cx);
}

// T4: the loop is late. The callback of a timer postpones a sleep that is due in the same turn.
#[test]
fn a_sleep_that_is_reset_while_it_is_due_still_wakes_its_task() {
    let clock = squall_executor::Clock::manual();
    let el = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let nap = Rc::new(RefCell::new(squall_executor::sleep_until(clock.now() + MS * 20)));
    let (watched, again) = (nap.clone(), clock.now() + MS * 60);
    el.call_at(clock.now() + MS * 19, move || watched.borrow_mut().reset(again));
    let task = el.spawn(poll_fn(move |cx| Pin::new(&mut *nap.borrow_mut()).poll(cx)));
    let turns = |n| (0..n).for_each(|_| assert!(el.run_once(Some(Duration::ZERO)).is_ok()));
    turns(1);
    clock.advance(MS * 30); // both are due now
    turns(3);
    assert!(!task.is_finished());
    clock.advance(MS * 30);
    turns(3);
    assert!(task.is_finished(), "its waker was lost");
}

/// Removes a timer and a handler when it is dropped.
struct CleansUp(Option<(TimerId, HandlerId)>);

impl Drop for CleansUp {
    fn drop(&mut self) {
        if let Some((timer, handler)) = self.0 {
            remove_timeout(timer);
            remove_handler(handler);
            assert!(Handle::try_current().is_none());
        }
    }
}

#[test]
fn a_destructor_may_remove_timers_and_handlers_after_the_loop_and_during_a_panic() {
    let leaves_one_behind = || {
        let event_loop = EventLoop::new().unwrap();
        let (here, _there) = UnixStream::pair().unwrap();
        event_loop.block_on(async {
            let timer = call_later(Duration::from_secs(60), || ());
            let handler = add_handler(here, Interest::READABLE, |_, _| ()).unwrap();
            assert!(Handle::try_current().is_some());
            CleansUp(Some((timer, handler)))
        })
    };
    drop(leaves_one_behind());
    // A second panic during the unwinding would abort the process.
    let unwound = catch_unwind(|| {
        let _guard = leaves_one_behind();
        panic!("on purpose");
    });
    assert!(unwound.is_err());
    // On another loop, both are unknown.
    let mut left = leaves_one_behind();
    let (timer, handler) = left.0.take().unwrap();
    block_on(async {
        assert_eq!((remove_timeout(timer), remove_handler(handler)), (false, false))
    });
}

#[test]
fn a_timer_guard_removes_its_timer_wherever_it_is_dropped() {
    let event_loop = EventLoop::new().unwrap();
    let fired = Rc::new(Cell::new(0));
    let count = || {
        let fired = fired.clone();
        move || fired.set(fired.get() + 1)
    };
    let millisecond = Duration::from_millis(1);
    let on_the_loop =
        event_loop.block_on(async { call_later(millisecond, count()).cancel_on_drop() });
    let detached = event_loop.block_on(async { call_later(millisecond, count()).cancel_on_drop() });
    let kept = event_loop.call_later(millisecond, count()).cancel_on_drop();
    drop(event_loop.call_later(millisecond, count()).cancel_on_drop()); // no loop is entered here
    detached.detach();
    // Another loop runs on this thread.
    block_on(async move { drop(on_the_loop) });
    event_loop.block_on(sleep(5 * millisecond));
    assert_eq!(fired.get(), 2, "the detached timer and the kept one");
    assert!(!event_loop.remove_timeout(kept.id()), "it has fired");
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = event_loop.call_later(millisecond, count()).cancel_on_drop();
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    let after_the_loop = {
        let event_loop = EventLoop::new().unwrap();
        event_loop.block_on(async { call_later(millisecond, || ()).cancel_on_drop() })
    };
    drop(after_the_loop);
}
