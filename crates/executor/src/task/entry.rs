//! What can be queued: entries of the ready queue, and messages from other threads, which become entries.

use std::rc::Rc;
use std::task::Waker;

use crate::io::handler::Handler;
use crate::task::callback::{Callback, RemoteCallback};
use crate::task::task::TaskPtr;
use crate::task::waker::ForeignWake;

/// An entry of the ready queue: a tag and one word, which travel in two registers.
pub(crate) enum Entry {
    /// Not counted as a reference: a queued task stays in the task list.
    Task(TaskPtr),
    Callback(Callback),
    Handler(Rc<Handler>),
    /// A waker of another library. Using it may run foreign code, so it waits for its turn.
    Wake(Box<Waker>),
}

const _: () = assert!(size_of::<Option<Entry>>() == 2 * size_of::<usize>());

/// What another thread can ask of the loop.
pub(crate) enum Message {
    Wake(ForeignWake),
    Callback(RemoteCallback),
}
