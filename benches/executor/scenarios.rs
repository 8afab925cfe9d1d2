//! The scenarios, once for all runtimes. Each returns `true`: it was run.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::Runtime;

/// Spawns all, then awaits all.
pub(crate) fn spawn_and_join<R: Runtime>(runtime: &mut R, count: u32) -> bool {
    runtime.block_on(async {
        let tasks: Vec<_> = (0..count).map(|n| R::spawn(async move { n })).collect();
        for task in tasks {
            task.await;
        }
    });
    true
}

/// Spawns one and awaits it, again and again.
pub(crate) fn spawn_one<R: Runtime>(runtime: &mut R, count: u32) -> bool {
    runtime.block_on(async {
        for n in 0..count {
            R::spawn(async move { n }).await;
        }
    });
    true
}

/// A task that wakes itself and is polled again.
pub(crate) fn self_wake<R: Runtime>(runtime: &mut R, count: u32) -> bool {
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
    true
}

/// Two tasks that wake each other in turn.
pub(crate) fn ping_pong<R: Runtime>(runtime: &mut R, count: u32) -> bool {
    runtime.block_on(async {
        let ball = Rc::new(Ball::default());
        let ping = R::spawn(ball.clone().play(0, count / 2));
        let pong = R::spawn(ball.play(1, count / 2));
        ping.await;
        pong.await;
    });
    true
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
pub(crate) fn timers<R: Runtime>(runtime: &mut R, count: u32) -> bool {
    runtime.block_on(async {
        poll_fn(|cx: &mut Context<'_>| {
            for _ in 0..count {
                let sleep = pin!(R::sleep(Duration::from_secs(60)));
                assert!(sleep.poll(cx).is_pending());
            }
            Poll::Ready(())
        })
        .await;
    });
    true
}

/// Tasks that sleep between 0 and 50 ms, all at once.
pub(crate) fn sleepers<R: Runtime>(runtime: &mut R, count: u32) -> bool {
    runtime.block_on(async {
        let tasks: Vec<_> = (0..count)
            .map(|n| {
                let micros = u64::from(n.wrapping_mul(2_654_435_761) % 50_000);
                R::spawn(async move {
                    R::sleep(Duration::from_micros(micros)).await;
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
    });
    true
}
