//! Futures, callbacks and outputs of 512 KiB on a stack of 2 MiB, as every test's thread has, in a
//! build without optimisations.

use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use squall_executor::{
    EventLoop, add_callback, add_future, block_on, call_later, sleep, spawn, spawn_blocking,
    spawn_named, timeout, yield_now,
};

const SIZE: usize = 512 << 10;

/// A future that owns 512 KiB.
async fn large() -> u8 {
    let mut bytes = [1_u8; SIZE];
    black_box(&mut bytes);
    yield_now().await;
    bytes[black_box(SIZE - 1)]
}

/// Runs `test` on a thread with a stack of 2 MiB.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}

#[test]
fn block_on_takes_a_large_future() {
    on_a_small_stack(|| assert_eq!(block_on(large()), 1));
    on_a_small_stack(|| assert_eq!(EventLoop::new().unwrap().block_on(large()), 1));
}

#[test]
fn run_sync_takes_a_large_future() {
    on_a_small_stack(|| {
        let event_loop = EventLoop::new().unwrap();
        assert_eq!(event_loop.run_sync(large(), None).unwrap(), 1);
    });
    on_a_small_stack(|| {
        let event_loop = EventLoop::new().unwrap();
        let limit = Some(Duration::from_secs(60));
        assert_eq!(event_loop.run_sync(large(), limit).unwrap(), 1);
    });
}

#[test]
fn spawn_takes_a_large_future() {
    on_a_small_stack(|| assert_eq!(block_on(async { spawn(large()).await.unwrap() }), 1));
    on_a_small_stack(|| {
        assert_eq!(block_on(async { spawn_named("large", large()).await.unwrap() }), 1);
    });
    on_a_small_stack(|| {
        let event_loop = EventLoop::new().unwrap();
        let task = event_loop.spawn(large());
        assert_eq!(event_loop.block_on(task).unwrap(), 1);
    });
}

#[test]
fn add_future_takes_a_large_future() {
    on_a_small_stack(|| {
        block_on(async {
            let done = squall_executor::future::Future::new();
            let setter = done.clone();
            add_future(large(), move |n| setter.set_result(n).unwrap());
            assert_eq!(done.await, Ok(1));
        });
    });
}

#[test]
fn a_large_future_is_made_on_the_loop_of_a_handle() {
    on_a_small_stack(|| {
        let event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let task = handle.spawn(large).unwrap();
        assert_eq!(event_loop.block_on(task).unwrap(), 1);
    });
}

/// Passing a future of this size to `timeout` copies it twice in `timeout` and twice in its caller.
/// Only an optimised build avoids that.
#[test]
fn timeout_takes_a_future_of_384_kib() {
    struct Large([u8; 384 << 10]);
    impl Future for Large {
        type Output = u8;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
            Poll::Ready(black_box(&self.0)[7])
        }
    }
    const MINUTE: Duration = Duration::from_secs(60);
    on_a_small_stack(|| assert_eq!(block_on(timeout(MINUTE, Large([1; 384 << 10]))), Ok(1)));
    on_a_small_stack(|| {
        let task = async { spawn(timeout(MINUTE, Large([1; 384 << 10]))).await.unwrap() };
        assert_eq!(block_on(task), Ok(1));
    });
}

#[test]
fn callbacks_and_jobs_may_capture_much() {
    on_a_small_stack(|| {
        block_on(async {
            let bytes = [1_u8; SIZE];
            add_callback(move || assert_eq!(black_box(&bytes)[SIZE - 1], 1));
            yield_now().await;
        });
    });
    on_a_small_stack(|| {
        block_on(async {
            let bytes = [1_u8; SIZE];
            call_later(Duration::ZERO, move || assert_eq!(black_box(&bytes)[SIZE - 1], 1));
            sleep(Duration::ZERO).await;
        });
    });
    on_a_small_stack(|| {
        block_on(async {
            let bytes = [1_u8; SIZE / 2];
            let job = spawn_blocking(move || black_box(&bytes)[SIZE / 2 - 1]);
            assert_eq!(job.await.unwrap(), 1);
        });
    });
}

#[test]
fn a_task_may_return_a_large_output() {
    on_a_small_stack(|| {
        block_on(async {
            let task = spawn(async { Box::new([1_u8; 128 << 10]) });
            assert_eq!(task.await.unwrap()[0], 1);
        });
    });
    on_a_small_stack(|| {
        block_on(async {
            let output = spawn(async { [1_u8; 64 << 10] }).await.unwrap();
            assert_eq!(black_box(&output)[0], 1);
        });
    });
}
