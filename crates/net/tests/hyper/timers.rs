//! hyper's deadlines on squall's clock, and sleeps that change their thread.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Sleep, Timer as _};
use hyper::service::service_fn;
use hyper::{Request, Response};
use squall_net::hyper::{Io, Timer};
use squall_net::{
    Clock, EventLoop, IoStream, JoinHandle, block_on, duplex, now, sleep, spawn, stats, timeout,
};

use crate::support::{WATCHDOG, run_on_manual_clock};

const LIMIT: Duration = Duration::from_secs(7);
const HOUR: Duration = Duration::from_secs(3600);

/// A server that cuts a connection off if the head of a request takes longer than `LIMIT`.
fn serve_with_limit(stream: IoStream<squall_net::DuplexStream>) -> JoinHandle<hyper::Result<()>> {
    let hello = async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
    };
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(Timer).header_read_timeout(LIMIT);
    spawn(http.serve_connection(Io::new(stream), service_fn(hello)))
}

fn run_on_auto_advancing_clock<F: Future<Output = ()>>(test: F) {
    let event_loop = EventLoop::builder().clock(Clock::auto_advancing()).build().unwrap();
    event_loop.block_on(test);
}

// H8
#[test]
fn clients_that_send_no_whole_request_are_cut_off_at_the_deadline() {
    run_on_auto_advancing_clock(async {
        for sent in ["", "GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let (client, server) = duplex(1024);
            let serving = serve_with_limit(IoStream::new(server));
            let mut client = IoStream::new(client);
            client.write(sent).unwrap();
            let begin = now();
            let end = timeout(WATCHDOG, client.read_until_close()).await;
            let answer = end.expect("the client stays").unwrap();
            assert_eq!(now() - begin, LIMIT, "after {sent:?}");
            assert_eq!(answer.ends_with(b"hello"), sent.ends_with("\r\n\r\n"), "{answer:?}");
            let _ = serving.await.unwrap(); // an error for the first two clients
            assert_eq!(stats().live_timers, 0, "after {sent:?}");
        }
    });
}

#[test]
fn each_request_moves_the_deadline_of_the_next() {
    run_on_auto_advancing_clock(async {
        let (client, server) = duplex(1024);
        let serving = serve_with_limit(IoStream::new(server));
        let mut client = IoStream::new(client);
        for _ in 0..5 {
            client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            client.read_until(b"hello").await.unwrap();
            assert_eq!(stats().live_timers, 1);
            sleep(LIMIT - Duration::from_secs(1)).await;
        }
        let last = now();
        client.read_until_close().await.unwrap();
        assert_eq!(now() - last, Duration::from_secs(1));
        assert!(serving.await.unwrap().unwrap_err().is_timeout());
    });
}

#[test]
fn a_sleep_that_is_reset_ends_at_its_new_deadline() {
    run_on_auto_advancing_clock(async {
        let begin = now();
        let mut later = Timer.sleep(HOUR);
        assert!(is_pending(&mut later));
        Timer.reset(&mut later, begin + 2 * HOUR);
        assert_eq!(stats().live_timers, 1);
        later.as_mut().await;
        assert_eq!(now() - begin, 2 * HOUR);

        Timer.reset(&mut later, begin + 3 * HOUR); // it has fired
        later.await;
        assert_eq!(now() - begin, 3 * HOUR);
        assert_eq!(stats().live_timers, 0);
    });
}

#[test]
fn the_longest_duration_never_ends_and_needs_no_timer() {
    block_on(async {
        let mut never = Timer.sleep(Duration::MAX);
        assert!(is_pending(&mut never));
        assert_eq!(stats().live_timers, 0);
    });
}

#[test]
fn a_sleep_that_is_dropped_leaves_no_timer() {
    block_on(async {
        let mut sleeps: Vec<_> = (0..10).map(|_| Timer.sleep(HOUR)).collect();
        assert!(sleeps.iter_mut().all(is_pending));
        assert_eq!(stats().live_timers, 10);
        drop(sleeps);
        assert_eq!(stats().live_timers, 0);
    });
}

#[test]
fn a_sleep_goes_on_on_another_thread() {
    let mut sleep = Timer.sleep(Duration::from_millis(1));
    block_on(async { assert!(is_pending(&mut sleep)) });
    let thread = thread::spawn(move || {
        block_on(async {
            timeout(WATCHDOG, sleep.as_mut()).await.expect("it ends");
            assert_eq!(stats().live_timers, 0);
        });
    });
    thread.join().unwrap();
}

#[test]
fn a_sleep_that_is_dropped_on_another_thread_gives_its_place_to_the_next() {
    run_on_manual_clock(async |_| {
        for _ in 0..10 {
            let mut sleep = Timer.sleep(HOUR);
            assert!(is_pending(&mut sleep));
            assert_eq!(stats().live_timers, 1);
            thread::spawn(move || drop(sleep)).join().unwrap();
        }
    });
}

#[test]
fn a_sleep_outlives_its_thread() {
    let polled = || {
        let mut sleep = Timer.sleep(HOUR);
        block_on(async { assert!(is_pending(&mut sleep)) });
        sleep
    };
    let mut sleep = thread::spawn(polled).join().unwrap();
    run_on_auto_advancing_clock(async move {
        let begin = now();
        Timer.reset(&mut sleep, begin + HOUR);
        sleep.await;
        assert_eq!(now() - begin, HOUR);
    });
}

/// A waker that owns a sleep of the same thread.
struct Owner {
    _sleep: Mutex<Pin<Box<dyn Sleep>>>, // only a mutex makes it `Sync`
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

// W13
#[test]
fn a_waker_may_drop_another_sleep_when_it_is_dropped() {
    block_on(async {
        let (mut owned, mut owner) = (Timer.sleep(HOUR), Timer.sleep(HOUR));
        assert!(is_pending(&mut owned));
        let waker = Waker::from(Arc::new(Owner { _sleep: Mutex::new(owned) }));
        let polled = owner.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker); // the timer of `owner` has the last clone
        assert_eq!(stats().live_timers, 2);
        assert!(is_pending(&mut owner)); // drops the waker and so `owned`
        assert_eq!(stats().live_timers, 1);
    });
}

#[test]
fn a_sleep_wakes_the_task_that_has_polled_it_last() {
    run_on_auto_advancing_clock(async {
        let mut sleep = Timer.sleep(HOUR);
        assert!(is_pending(&mut sleep));
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let task = spawn(async move {
            poll_fn(|cx| {
                counted.set(counted.get() + 1);
                sleep.as_mut().poll(cx)
            })
            .await;
        });
        task.await.unwrap();
        assert_eq!(polls.get(), 2);
    });
}

fn is_pending(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
    sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending
}
