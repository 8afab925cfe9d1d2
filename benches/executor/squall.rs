//! squall.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::{EventLoop, stop};

use crate::runtime::{Round, Runtime};

pub(crate) struct Squall(EventLoop);

impl Runtime for Squall {
    const NAME: &'static str = "squall";
    const CALLBACKS: Option<Round<Squall>> = Some(Squall::callbacks);
    const REMOTE_CLOSURES: Option<Round<Squall>> = Some(Squall::remote_closures);

    fn new() -> Squall {
        Squall(EventLoop::new().expect("a loop"))
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let task = squall_executor::spawn(future);
        async { task.await.expect("no panic") }
    }

    fn sleep(duration: Duration) -> impl Future + 'static {
        squall_executor::sleep(duration)
    }
}

impl Squall {
    fn callbacks(&mut self, count: u32) {
        let sum = Rc::new(Cell::new(0));
        for n in 0..count {
            let sum = sum.clone();
            self.0.add_callback(move || sum.set(sum.get() ^ n));
        }
        self.0.add_callback(stop);
        self.0.run().expect("a run");
    }

    fn remote_closures(&mut self, count: u32) {
        let handle = self.0.handle();
        let sender = std::thread::spawn(move || {
            for n in 0..count {
                let closure = move || {
                    std::hint::black_box(n);
                };
                handle.add_callback(closure).expect("an open loop");
            }
            handle.stop();
        });
        self.0.run().expect("a run");
        sender.join().expect("no panic");
    }
}
