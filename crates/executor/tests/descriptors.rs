//! Handlers and `AsyncFd`: readiness, registration and its cost.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use squall_executor::fault::{self, Call};
use squall_executor::{
    AsyncFd, EventLoop, Interest, add_handler, block_on, remove_handler, sleep, spawn, stats,
    timeout, update_handler, yield_now,
};

const WATCHDOG: Duration = Duration::from_secs(10);

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

async fn read(fd: &AsyncFd<UnixStream>) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 64];
    let n = fd.read_with(|mut io| io.read(&mut bytes)).await?;
    Ok(bytes[..n].to_vec())
}

#[test]
fn a_descriptor_that_never_blocks_is_never_registered() {
    block_on(async {
        let (a, mut b) = pair();
        let a = AsyncFd::new(a).unwrap();
        b.write_all(b"there already").unwrap();
        assert_eq!(read(&a).await.unwrap(), b"there already");
        a.write_with(|mut io| io.write(b"x")).await.unwrap();
        drop(a);
        assert_eq!((stats().registrations, stats().deregistrations), (0, 0));
    });
}

#[test]
fn a_descriptor_that_blocks_often_is_registered_once() {
    block_on(async {
        let (a, b) = pair();
        let (a, b) = (AsyncFd::new(a).unwrap(), AsyncFd::new(b).unwrap());
        for n in 0..50_u8 {
            let reader = async { read(&a).await.unwrap() };
            let writer = async {
                yield_now().await;
                b.write_with(|mut io| io.write(&[n])).await.unwrap();
            };
            let (bytes, ()) = futures_lite::future::zip(reader, writer).await;
            assert_eq!(bytes, [n]);
        }
        drop(a);
        assert_eq!((stats().registrations, stats().deregistrations), (1, 1));
        assert_eq!(stats().live_sources, 0);
    });
}

// W3: a byte that comes between WouldBlock and the wait is seen
#[test]
fn readiness_that_comes_after_would_block_is_not_lost() {
    block_on(async {
        let (a, mut b) = pair();
        let a = AsyncFd::new(a).unwrap();
        for round in 0..1000 {
            let mut calls = 0;
            let read = a.read_with(|mut io| {
                let mut byte = [0];
                let outcome = io.read(&mut byte);
                calls += 1;
                if calls == 1 {
                    assert_eq!(outcome.as_ref().unwrap_err().kind(), io::ErrorKind::WouldBlock);
                    // After `WouldBlock`, and before the readiness bit is cleared.
                    b.write_all(b"x").unwrap();
                }
                outcome
            });
            assert_eq!(timeout(WATCHDOG, read).await.expect("lost").unwrap(), 1, "{round}");
        }
    });
}

#[test]
fn several_tasks_may_wait_for_one_descriptor() {
    block_on(async {
        let (a, mut b) = pair();
        let a = Rc::new(AsyncFd::new(a).unwrap());
        let readers: Vec<_> = (0..5)
            .map(|_| {
                let a = a.clone();
                spawn(async move {
                    let mut byte = [0];
                    a.read_with(|mut io| io.read(&mut byte)).await.map(|_| byte[0])
                })
            })
            .collect();
        yield_now().await;
        b.write_all(&[1, 2, 3, 4, 5]).unwrap();
        let mut seen = Vec::new();
        for reader in readers {
            seen.push(timeout(WATCHDOG, reader).await.expect("lost").unwrap().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_read_that_is_dropped_leaves_no_waker_behind() {
    block_on(async {
        let (a, _b) = pair();
        let a = AsyncFd::new(a).unwrap();
        let marker = Rc::new(());
        let reader = spawn({
            let kept = marker.clone();
            async move {
                let _kept = kept;
                assert!(timeout(Duration::from_millis(1), read(&a)).await.is_err());
                a
            }
        });
        let a = reader.await.unwrap();
        assert_eq!(Rc::strong_count(&marker), 1);
        drop(a);
    });
}

#[test]
fn readable_is_right_although_the_owner_reads_through_get_ref() {
    block_on(async {
        let (a, mut b) = pair();
        let a = AsyncFd::new(a).unwrap();
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(1), a.readable()).await.is_err());
            b.write_all(b"xy").unwrap();
            timeout(WATCHDOG, a.readable()).await.expect("lost").unwrap();
            a.get_ref().read_exact(&mut [0; 1]).unwrap();
            timeout(WATCHDOG, a.readable()).await.expect("one byte is left").unwrap();
            a.get_ref().read_exact(&mut [0; 1]).unwrap();
        }
        a.writable().await.unwrap();
    });
}

// R12, NET-X2
#[test]
fn a_blocking_descriptor_is_made_non_blocking() {
    block_on(async {
        let (a, _b) = pair();
        let a = AsyncFd::new(a).unwrap();
        assert_eq!(a.get_ref().read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}

// R17
#[test]
fn a_regular_file_is_refused_by_handlers_and_reads_without_waiting() {
    block_on(async {
        let file = File::open("/proc/self/exe").unwrap();
        let error = add_handler(file, Interest::READABLE, |_, _| {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let file = AsyncFd::new(File::open("/proc/self/exe").unwrap()).unwrap();
        assert_eq!(file.read_with(|mut io| io.read(&mut [0; 4])).await.unwrap(), 4);
        assert_eq!(stats().live_sources, 0);
    });
}

// R3, R7
#[test]
fn a_refused_registration_is_an_error_of_that_call_only() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    block_on(async {
        let (a, mut b) = pair();
        let a = AsyncFd::new(a).unwrap();
        fault::inject(Call::EpollAdd, 0, 1, 28 /* ENOSPC */);
        assert_eq!(read(&a).await.unwrap_err().raw_os_error(), Some(28));
        assert_eq!(stats().live_sources, 0);
        b.write_all(b"later").unwrap();
        assert_eq!(read(&a).await.unwrap(), b"later");
    });
}

// P7
#[test]
fn a_descriptor_outlives_its_loop_and_moves_to_the_next() {
    let (a, mut b) = pair();
    let a = AsyncFd::new(a).unwrap();
    for _ in 0..2 {
        block_on(async {
            let (bytes, ()) = futures_lite::future::zip(read(&a), async {
                sleep(Duration::from_millis(1)).await;
                b.write_all(b"again").unwrap();
            })
            .await;
            assert_eq!(bytes.unwrap(), b"again");
        });
    }
    let outside = futures_lite::future::block_on(read(&a)).unwrap_err();
    assert!(outside.to_string().contains("no event loop on this thread"), "{outside}");
}

// IOL-10, IOL-17
#[test]
fn a_handler_gets_its_own_object_and_only_the_events_of_its_interest() {
    let event_loop = EventLoop::new().unwrap();
    let (a, mut b) = pair();
    let events = Rc::new(RefCell::new(Vec::new()));
    let recorded = events.clone();
    event_loop
        .add_handler(a, Interest::READABLE, move |mut a, event| {
            let mut byte = [0];
            a.read_exact(&mut byte).unwrap();
            recorded.borrow_mut().push((byte[0], event.is_readable(), event.is_writable()));
        })
        .unwrap();
    for _ in 0..3 {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    assert!(events.borrow().is_empty(), "an always writable socket must not call a reader");
    b.write_all(&[7]).unwrap();
    event_loop.run_once(Some(WATCHDOG)).unwrap();
    event_loop.run_once(Some(Duration::ZERO)).unwrap();
    assert_eq!(*events.borrow(), [(7, true, false)]);
}

// IOL-05, IOL-06, IOL-18, IOL-X15
#[test]
fn handlers_are_unique_and_removed_once() {
    let event_loop = EventLoop::new().unwrap();
    let _entered = event_loop.enter();
    let (a, _b) = pair();
    let a = Rc::new(a);
    let first = add_handler(a.clone(), Interest::READABLE, |_, _| {}).unwrap();
    let again = add_handler(a.clone(), Interest::WRITABLE, |_, _| {}).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    update_handler(first, Interest::WRITABLE).unwrap();
    assert!(remove_handler(first));
    assert!(!remove_handler(first));
    assert_eq!(
        update_handler(first, Interest::READABLE).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    assert_eq!(Rc::strong_count(&a), 1, "removing the handler drops its reference");
}

// IOL-X9
#[test]
fn a_handler_that_panics_stays_registered() {
    let event_loop = EventLoop::new().unwrap();
    let (a, mut b) = pair();
    b.write_all(b"xx").unwrap();
    let calls = Rc::new(Cell::new(0));
    let counted = calls.clone();
    event_loop
        .add_handler(a, Interest::READABLE, move |mut a, _| {
            a.read_exact(&mut [0]).unwrap();
            counted.set(counted.get() + 1);
            panic!("on purpose");
        })
        .unwrap();
    for _ in 0..4 {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(calls.get(), 2);
}

// R5, P3; TORNADO 2.1.14
#[test]
fn a_handler_may_remove_itself_and_another_that_is_ready_in_the_same_batch() {
    let event_loop = EventLoop::new().unwrap();
    let _entered = event_loop.enter();
    let ids: Rc<RefCell<Vec<_>>> = Rc::default();
    let calls = Rc::new(Cell::new(0));
    let mut peers = Vec::new();
    for _ in 0..2 {
        let (a, mut b) = pair();
        b.write_all(b"x").unwrap();
        peers.push(b);
        let (ids_seen, calls) = (ids.clone(), calls.clone());
        let id = add_handler(a, Interest::READABLE, move |_, _| {
            calls.set(calls.get() + 1);
            for id in ids_seen.take() {
                assert!(remove_handler(id));
            }
        });
        ids.borrow_mut().push(id.unwrap());
    }
    for _ in 0..3 {
        event_loop.run_once(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!((calls.get(), event_loop.stats().live_sources), (1, 0));
    let mut end = [0];
    for mut peer in peers {
        let outcome = peer.read(&mut end);
        assert!(!matches!(outcome, Ok(1)), "the loop closed its end: {outcome:?}");
    }
}
