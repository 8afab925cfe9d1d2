//! A logger that panics, for example because its terminal is closed. A process has one logger, so
//! this file has one test.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::{EventLoop, call_later, spawn_blocking, stop};

struct Bad;

impl log::Log for Bad {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        panic!("the terminal is closed");
    }

    fn flush(&self) {}
}

struct Guard(Rc<Cell<u32>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        panic!("on purpose");
    }
}

// P2, W12
#[test]
fn a_logger_that_panics_ends_neither_the_loop_nor_a_thread_and_drops_no_future_twice() {
    log::set_logger(&Bad).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let drops = Rc::new(Cell::new(0));
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    let guard = Guard(drops.clone());
    let task = event_loop.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    task.abort();
    event_loop.add_callback(|| panic!("on purpose"));
    event_loop.call_later(Duration::ZERO, || {
        call_later(Duration::ZERO, stop);
        panic!("on purpose");
    });
    event_loop.run().unwrap();
    assert_eq!(drops.get(), 1);
    let blocking = async {
        let unseen = spawn_blocking(|| panic!("on purpose"));
        drop(unseen);
        spawn_blocking(|| 7).await.unwrap() // on the same thread, which has survived
    };
    assert_eq!(event_loop.run_sync(blocking, Some(Duration::from_secs(10))).unwrap(), 7);
    drop(event_loop);
    drop(task);
    assert_eq!(drops.get(), 1);
}
