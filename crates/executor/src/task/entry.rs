//! The entries of the ready queue, and the messages from other threads, which become entries.

use std::rc::Rc;
use std::task::Waker;

use crate::io::handler::Handler;
use crate::task::callback::{Callback, RemoteCallback};
use crate::task::task::TaskPtr;
use crate::task::waker::ForeignWake;

/// An entry of the ready queue: a tag and one word, which travel in two registers.
pub(crate) enum Entry {
    /// A woken task. It is not counted as a reference, because a queued task stays in the task
    /// list.
    Task(TaskPtr),
    Callback(Callback),
    Handler(Rc<Handler>),
    /// A waker that is not squall's. Waking it may run foreign code, so it is queued.
    Wake(Box<Waker>),
}

const _: () = assert!(size_of::<Option<Entry>>() == 2 * size_of::<usize>());

impl Entry {
    /// The task, or the entry itself if it is no task. A task has no destructor, so nothing of its
    /// entry is kept on the stack for an unwind while the task runs.
    ///
    /// Tasks are by far the most frequent entries. Testing for them first is one comparison; a match
    /// over all variants would be a jump through a table.
    #[inline]
    pub(crate) fn into_task(self) -> Result<TaskPtr, Entry> {
        match self {
            Entry::Task(task) => Ok(task),
            other => Err(other),
        }
    }
}

/// A message from another thread to the loop.
pub(crate) enum Message {
    Wake(ForeignWake),
    Callback(RemoteCallback),
}
