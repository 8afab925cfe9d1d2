//! A transport in memory, whose every read a script decides.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use squall_net::AsyncRead;

/// What a transport will return from its reads.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) bytes: VecDeque<u8>,
    /// What follows the bytes. `None` while more may come.
    pub(crate) end: Option<End>,
    /// The most bytes that a read returns; at least 1.
    pub(crate) at_once: usize,
    /// The number of next reads that are pending although there are bytes, and are woken at once.
    pub(crate) hiccups: usize,
    /// The task that waits for bytes.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Orderly,
    Failed(io::ErrorKind),
}

impl Incoming {
    pub(crate) fn new() -> Rc<RefCell<Incoming>> {
        let (bytes, at_once) = (VecDeque::new(), usize::MAX);
        Rc::new(RefCell::new(Incoming { bytes, end: None, at_once, hiccups: 0, waker: None }))
    }

    /// The waiting task, to be woken while nothing is borrowed.
    pub(crate) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

#[derive(Debug)]
pub(crate) struct Transport(pub(crate) Rc<RefCell<Incoming>>);

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut incoming = self.0.borrow_mut();
        if incoming.hiccups > 0 {
            incoming.hiccups -= 1;
            drop(incoming);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n = into.len().min(incoming.bytes.len()).min(incoming.at_once);
        if n > 0 {
            return Poll::Ready(incoming.bytes.read(&mut into[..n]));
        }
        match incoming.end {
            Some(End::Orderly) => Poll::Ready(Ok(0)),
            Some(End::Failed(kind)) => Poll::Ready(Err(kind.into())),
            None => {
                let former = incoming.waker.replace(cx.waker().clone());
                drop(incoming);
                drop(former); // foreign code
                Poll::Pending
            }
        }
    }
}
