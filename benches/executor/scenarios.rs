//! The scenarios, once for all runtimes. Each does as many operations as it is told.
//!
//! `create`, `spawn_one`, `spawn_batch`, `spawn_many_local`, `spawn_recursively`, `yield_now` and
//! `channels` have the names and the shapes of async-executor's own bench, so that the figures can
//! be held beside its own. There the executor runs on a second thread; here all is on one.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::Runtime;

/// Tasks that live at once in [`spawn_recursively`], [`yield_now`] and [`channels`].
pub(crate) const TASKS: u32 = 300;
/// What each of them does.
pub(crate) const STEPS: u32 = 300;

/// Makes a runtime, runs one task on it and drops it.
pub(crate) fn create<R: Runtime>(_runtime: &mut R, count: u32) {
    for _ in 0..count {
        R::new().block_on(async { R::spawn(async {}).await });
    }
}

/// Spawns one and awaits it, again and again.
pub(crate) fn spawn_one<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        for n in 0..count {
            R::spawn(async move { n }).await;
        }
    });
}

/// Spawns all, then awaits all.
pub(crate) fn spawn_and_join<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        join_all((0..count).map(|n| R::spawn(async move { n })).collect()).await;
    });
}

/// Spawns all by the runtime's verb for it, if there is one; each is polled twice.
pub(crate) fn spawn_batch<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        join_all(R::spawn_many((0..count).map(|_| YieldNow::default()))).await;
    });
}

/// Tasks that spawn a task and await it, which does the same, [`STEPS`] deep.
pub(crate) fn spawn_recursively<R: Runtime>(runtime: &mut R, count: u32) {
    let length = count / TASKS;
    runtime.block_on(async {
        join_all((0..TASKS).map(|_| R::spawn(chain::<R>(length))).collect()).await;
    });
}

/// A link of a chain that has so many. Boxed, or its type would contain itself.
fn chain<R: Runtime>(length: u32) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        if length > 1 {
            R::spawn(chain::<R>(length - 1)).await;
        }
    })
}

/// A task that wakes itself and is polled again, alone.
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

/// Tasks that let each other pass.
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

/// Wakes itself and is pending once. Not the runtime's own, which may put the task elsewhere than a
/// wake-up does: tokio's waits until the drivers were asked.
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

/// Tasks in a row, a channel of one place between each two; a message goes through all of them
/// before the next one is sent. An operation is one task that takes it and hands it on.
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

/// Whose turn it is, and who waits for his.
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

/// Short sleeps, one after the other: what is over 50 µs a sleep is the runtime's and the kernel's error.
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

/// Tasks that sleep between 0 and 5 ms, all at once. To spawn and poll them takes longer than that,
/// so the work alone says how long a round takes. With sleeps of up to 50 ms no round could end
/// before those were over, and they were two thirds of it.
pub(crate) fn sleepers<R: Runtime>(runtime: &mut R, count: u32) {
    runtime.block_on(async {
        let task = async |n| {
            R::sleep(micros(n, 5_000)).await;
        };
        join_all((0..count).map(|n| R::spawn(task(n))).collect()).await;
    });
}

/// A duration below so many microseconds: scattered, but the same in every run.
fn micros(n: u32, limit: u32) -> Duration {
    Duration::from_micros(u64::from(n.wrapping_mul(2_654_435_761) % limit))
}

async fn join_all<T: Future>(tasks: Vec<T>) {
    for task in tasks {
        task.await;
    }
}
