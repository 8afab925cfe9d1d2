//! The scenarios, written once for all runtimes. Each does `count` operations.
//!
//! `create`, `spawn_one`, `spawn_batch`, `spawn_many_local`, `spawn_recursively`, `yield_now` and
//! `channels` have the names and the shapes of async-executor's own benchmark, so that the figures
//! can be compared. There, the executor runs on a second thread; here, everything runs on one.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::Runtime;

/// Tasks that live at once in [`spawn_recursively`], [`yield_now`] and [`channels`].
pub(crate) const TASKS: u32 = 300;
/// The steps of each such task.
pub(crate) const STEPS: u32 = 300;

/// Makes a runtime, runs one task on it and drops it.
pub(crate) fn create<R: Runtime>(_runtime: &mut R, count: u32) {
    for _ in 0..count {
        R::new().block_on(async { R::spawn(async {}).await });
    }
}

/// Spawns a task and awaits it, again and again.
pub(crate) fn spawn_one<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        for n in 0..count {
            R::spawn(async move { n }).await;
        }
    });
}

/// Spawns all tasks, then awaits all.
pub(crate) fn spawn_and_join<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        join_all((0..count).map(|n| R::spawn(async move { n })).collect()).await;
    });
}

/// Spawns all tasks with the runtime's own function for this, if any. Each is polled twice.
pub(crate) fn spawn_batch<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        join_all(R::spawn_many((0..count).map(|_| YieldNow::default()))).await;
    });
}

/// Tasks that spawn a task and await it. The spawned task does the same, [`STEPS`] deep.
pub(crate) fn spawn_recursively<R: Runtime>(runtime: &mut R, count: u32) {
    let length = count / TASKS;
    runtime.block_on(async {
        join_all((0..TASKS).map(|_| R::spawn(chain::<R>(length))).collect()).await;
    });
}

/// A chain of `length` tasks. Boxed, because its type would contain itself.
fn chain<R: Runtime>(length: u32) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        if length > 1 {
            R::spawn(chain::<R>(length - 1)).await;
        }
    })
}

/// A single task that wakes itself and is polled again.
pub(crate) fn self_wake<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        let mut left = count;
        R::spawn(poll_fn(move |cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
        .await;
    });
}

/// Tasks that yield to each other.
pub(crate) fn yield_now<R: Runtime>(runtime: &mut R, count: u32) {
    let steps = count / TASKS;
    runtime.block_on(async {
        join_all((0..TASKS).map(|_| R::spawn(yield_times(steps))).collect()).await;
    });
}

async fn yield_times(steps: u32) {
    for _ in 0..steps {
        YieldNow::default().await;
    }
}

/// Wakes itself and is pending once. The runtime's own `yield_now` may queue the task elsewhere
/// than a wake-up does: in tokio, it waits until the drivers were asked.
#[derive(Default)]
struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Tasks in a row, with a channel of capacity 1 between each two. A message passes through all
/// tasks before the next is sent. An operation is one task that receives the message and sends it
/// on.
pub(crate) fn channels<R: Runtime>(runtime: &mut R, count: u32) {
    let steps = count / TASKS;
    runtime.block_on(async {
        let (first, mut last) = async_channel::bounded(1);
        let mut tasks = Vec::new();
        for _ in 0..TASKS {
            let (sender, next) = async_channel::bounded(1);
            let receiver = std::mem::replace(&mut last, next);
            tasks.push(R::spawn(async move {
                for _ in 0..steps {
                    receiver.recv().await.expect("a message");
                    sender.send(()).await.expect("a receiver");
                }
            }));
        }
        for _ in 0..steps {
            first.send(()).await.expect("a receiver");
            last.recv().await.expect("a message");
        }
        join_all(tasks).await;
    });
}

/// Two tasks that wake each other in turn.
pub(crate) fn ping_pong<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        let ball = Rc::new(Ball::default());
        let ping = R::spawn(ball.clone().play(0, count / 2));
        let pong = R::spawn(ball.play(1, count / 2));
        ping.await;
        pong.await;
    });
}

/// The side whose turn it is, and the waker of each side that has waited.
#[derive(Default)]
struct Ball {
    side: Cell<usize>,
    waiting: [RefCell<Option<Waker>>; 2],
}

impl Ball {
    async fn play(self: Rc<Self>, side: usize, strokes: u32) {
        for _ in 0..strokes {
            poll_fn(|cx| {
                if self.side.get() == side {
                    return Poll::Ready(());
                }
                let mut waiting = self.waiting[side].borrow_mut();
                match &mut *waiting {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waiting = Some(cx.waker().clone()),
                }
                Poll::Pending
            })
            .await;
            self.side.set(1 - side);
            if let Some(waker) = &*self.waiting[1 - side].borrow() {
                waker.wake_by_ref();
            }
        }
    }
}

/// A timer that is armed by a poll and dropped.
pub(crate) fn timers<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(poll_fn(|cx| {
        for _ in 0..count {
            let sleep = pin!(R::sleep(Duration::from_secs(60)));
            assert!(sleep.poll(cx).is_pending());
        }
        Poll::Ready(())
    }));
}

/// Short sleeps, one after the other. Time beyond 50 µs a sleep is the error of the runtime and the
/// kernel.
pub(crate) fn sleep_50us<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        for _ in 0..count {
            R::sleep(Duration::from_micros(50)).await;
        }
    });
}

/// Timers that are armed by a poll and dropped when all are armed, their deadlines spread over ten
/// seconds. Each is boxed, as a task would hold it, which adds one allocation to every runtime.
pub(crate) fn timers_at_once<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(poll_fn(|cx| {
        let armed: Vec<_> = (0..count)
            .map(|n| {
                let mut sleep = Box::pin(R::sleep(Duration::from_secs(55) + micros(n, 10_000_000)));
                assert!(sleep.as_mut().poll(cx).is_pending());
                sleep
            })
            .collect();
        drop(armed);
        Poll::Ready(())
    }));
}

/// Tasks that sleep between 0 and 5 ms, all at once. Spawning and polling them takes longer than
/// the sleeps, so only the work determines the length of a round. Sleeps of up to 50 ms, in
/// contrast, made up two thirds of a round.
pub(crate) fn sleepers<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        let task = async |n| {
            R::sleep(micros(n, 5_000)).await;
        };
        join_all((0..count).map(|n| R::spawn(task(n))).collect()).await;
    });
}

/// Returns a duration below `limit` microseconds, scattered, but the same in every run.
fn micros(n: u32, limit: u32) -> Duration {
    Duration::from_micros(u64::from(n.wrapping_mul(2_654_435_761) % limit))
}

async fn join_all<T: Future>(tasks: Vec<T>) {
    for task in tasks {
        task.await;
    }
}
