//! The ready queue and the task list: runs entries, one at a time.
//!
//! Knows neither time nor descriptors. The [turn](crate::event_loop) decides when a batch runs and when messages are collected.
//! `models.rs` runs this file under loom as it is here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use crate::insight::dump::DumpedTask;
use crate::insight::origin::Origin;
use crate::insight::panics::shield;
use crate::insight::slow_callback::{SlowCallback, Work};
use crate::sync::Arc;
use crate::task::entry::{Entry, Message};
use crate::task::inbox::Inbox;
use crate::task::join_handle::JoinHandle;
use crate::task::shared_state::{SharedOwner, SharedState};
use crate::task::task::{Ran, TaskPtr};
use crate::task::waker::is_task_waker;

/// Something to do when the entries that are queued now have run.
///
/// The hook of `squall-net`'s streams, which send in one system call what a batch wrote.
#[doc(hidden)]
pub trait BatchEnd {
    /// Called once for each [`at_batch_end`](crate::at_batch_end).
    fn batch_ended(self: Rc<Self>);

    /// Called instead if the loop ends first.
    fn loop_ended(self: Rc<Self>);
}

pub(crate) struct Scheduler {
    owner: SharedOwner,
    /// Every task that is not finished, or finished but still queued; its place is the task's key.
    tasks: RefCell<Slab<Listed>>,
    /// How many of these tasks stand for the future of a `block_on`.
    roots: Cell<usize>,
    /// The names of tasks that have one, by key.
    names: RefCell<BTreeMap<usize, String>>,
    batch_ends: RefCell<Vec<Rc<dyn BatchEnd>>>,
    /// The wakers of tasks that have used up their budget of this turn.
    next_turn: RefCell<Vec<Waker>>,
    closed: Cell<bool>,
    pub(crate) polls: Cell<u64>,
    pub(crate) callbacks: Cell<u64>,
    pub(crate) messages: Cell<u64>,
}

struct Listed {
    task: TaskPtr,
    origin: Origin,
}

impl Scheduler {
    pub(crate) fn new(inbox: Inbox<Message>) -> Scheduler {
        Scheduler {
            owner: SharedOwner::new(inbox),
            tasks: RefCell::new(Slab::new()),
            roots: Cell::new(0),
            names: RefCell::new(BTreeMap::new()),
            batch_ends: RefCell::new(Vec::new()),
            next_turn: RefCell::new(Vec::new()),
            closed: Cell::new(false),
            polls: Cell::new(0),
            callbacks: Cell::new(0),
            messages: Cell::new(0),
        }
    }

    pub(crate) fn owner(&self) -> &SharedOwner {
        &self.owner
    }

    pub(crate) fn shared(&self) -> &Arc<SharedState> {
        self.owner.shared()
    }

    pub(crate) fn inbox(&self) -> &Inbox<Message> {
        &self.owner.shared().inbox
    }

    /// Whether nothing will run any more: the loop is gone, or this process is a fork of the loop's.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get() || self.inbox().is_forked()
    }

    pub(crate) fn live_tasks(&self) -> usize {
        self.tasks.borrow().len() - self.roots.get()
    }

    /// Queues an entry; a closed loop drops it.
    pub(crate) fn push(&self, entry: Entry) {
        if self.closed.get() {
            shield("the destructor of a callback", || drop(entry));
        } else {
            self.owner.queue().push(entry);
        }
    }

    /// Uses a waker. One of squall's only queues its task, so it is used at once; any other may run foreign code, and is queued.
    #[inline(always)]
    pub(crate) fn wake(&self, waker: Waker) {
        if is_task_waker(&waker) {
            waker.wake();
        } else {
            self.push_foreign_waker(waker);
        }
    }

    #[cold]
    fn push_foreign_waker(&self, waker: Waker) {
        self.push(Entry::Wake(Box::new(waker)));
    }

    /// Registers an act for the end of the batch. Returns false if the loop is closed, which ends no batch any more.
    pub(crate) fn at_batch_end(&self, act: Rc<dyn BatchEnd>) -> bool {
        if !self.closed.get() {
            self.batch_ends.borrow_mut().push(act);
        }
        !self.closed.get()
    }

    /// Keeps a waker for the next turn, after the kernel was asked. A closed loop gives it back.
    pub(crate) fn wake_in_next_turn(&self, waker: Waker) -> Option<Waker> {
        if self.closed.get() {
            return Some(waker);
        }
        self.next_turn.borrow_mut().push(waker);
        None
    }

    /// Wakes the tasks that wait for the turn that begins now.
    pub(crate) fn wake_for_next_turn(&self) {
        self.next_turn.take().into_iter().for_each(|waker| self.wake(waker));
    }

    /// Makes a task and queues it for its first poll. A closed loop drops the future, and the handle returns a cancellation.
    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        future: F,
        origin: Origin,
    ) -> JoinHandle<F::Output> {
        JoinHandle::new(self.spawn_task(future, origin))
    }

    fn spawn_task<F: Future + 'static>(&self, future: F, origin: Origin) -> TaskPtr {
        let task = TaskPtr::allocate(future, self.owner.new_ref());
        if self.closed.get() {
            task.cancel();
            task.unlist();
        } else {
            task.set_key(self.tasks.borrow_mut().insert(Listed { task, origin }));
            task.enqueue(self.owner.queue());
        }
        task
    }

    /// Spawns the task that stands for the future of a `block_on`. It is not counted as a live task.
    pub(crate) fn spawn_root(
        &self,
        future: impl Future<Output = ()> + 'static,
        origin: Origin,
    ) -> JoinHandle<()> {
        let task = self.spawn_task(future, origin);
        if !task.is_done() {
            task.set_root();
            self.roots.set(self.roots.get() + 1);
        }
        JoinHandle::new(task)
    }

    /// Ends such a task at once. If it is queued, it leaves the list when it is popped.
    pub(crate) fn end_root(&self, handle: &JoinHandle<()>) {
        let task = handle.task();
        if task.is_done() {
            return; // the loop has closed it
        }
        task.cancel();
        if !task.is_queued() {
            self.unlist_stale(task);
        }
    }

    /// Gives a name to a task that was just spawned.
    pub(crate) fn set_name<T>(&self, handle: &JoinHandle<T>, name: String) {
        if !self.closed.get() {
            self.names.borrow_mut().insert(handle.task().key(), name);
        }
    }

    /// Describes every unfinished task; `since` returns the time that has passed since an origin's.
    pub(crate) fn dump(&self, since: impl Fn(u64) -> Duration) -> Vec<DumpedTask> {
        let (tasks, names) = (self.tasks.borrow(), self.names.borrow());
        tasks
            .iter()
            .filter(|(_, listed)| !listed.task.is_done() && !listed.task.is_root())
            .map(|(key, Listed { task, origin })| DumpedTask {
                name: names.get(&key).cloned(),
                location: origin.location,
                age: since(origin.time),
                is_ready: task.is_queued(),
            })
            .collect()
    }

    /// Describes the entry at the head of the queue, for a report about slow callbacks.
    pub(crate) fn describe_next(&self) -> Option<SlowCallback> {
        self.owner.queue().peek(|entry| match entry {
            Entry::Task(task) => {
                let location = Some(self.tasks.borrow()[task.key()].origin.location);
                if task.is_root() {
                    return SlowCallback::new(Work::BlockOn, location);
                }
                let name = self.names.borrow().get(&task.key()).cloned();
                SlowCallback { name, ..SlowCallback::new(Work::Task, location) }
            }
            Entry::Callback(callback) => {
                SlowCallback::new(Work::Callback, Some(callback.location()))
            }
            Entry::Handler(handler) => {
                SlowCallback::new(Work::Handler, Some(handler.origin().location))
            }
            Entry::Wake(_) => SlowCallback::new(Work::Waker, None),
        })
    }

    /// Whether there is something to do without asking the kernel.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready_len() > 0
            || self.inbox().has_messages()
            || !self.batch_ends.borrow().is_empty()
            || !self.next_turn.borrow().is_empty()
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.owner.queue().len()
    }

    /// Runs the entry at the head of the queue.
    #[inline]
    pub(crate) fn run_next(&self) {
        match self.owner.queue().pop() {
            // By far the most frequent: a test, where a match of all kinds would be a jump through a table.
            Some(Entry::Task(task)) => {
                add_one(&self.polls);
                match task.run() {
                    Ran::Unfinished => {}
                    Ran::Finished => self.unlist(task),
                    Ran::Stale => self.unlist_stale(task),
                }
            }
            Some(other) => self.run_other(other),
            None => {}
        }
    }

    #[inline(never)]
    fn run_other(&self, entry: Entry) {
        match entry {
            Entry::Task(_) => unreachable!("run by the caller"),
            Entry::Callback(callback) => {
                add_one(&self.callbacks);
                shield("a callback", || callback.call());
            }
            Entry::Handler(handler) => {
                add_one(&self.callbacks);
                handler.run();
            }
            Entry::Wake(waker) => shield("a waker", || waker.wake()),
        }
    }

    /// Runs the acts that wait for the end of the batch.
    #[inline(always)]
    pub(crate) fn end_batch(&self) {
        if !self.batch_ends.borrow().is_empty() {
            self.run_batch_ends();
        }
    }

    fn run_batch_ends(&self) {
        let mut acts = self.batch_ends.take();
        for act in acts.drain(..) {
            shield("a stream's flush", || act.batch_ended());
        }
        // The vector is kept for the next batch, unless the acts above have begun a new one.
        let mut ends = self.batch_ends.borrow_mut();
        if ends.is_empty() {
            *ends = acts;
        }
    }

    /// Queues what other threads sent, at most `limit` messages.
    pub(crate) fn collect_messages(&self, limit: usize) -> usize {
        let inbox = self.inbox();
        if !inbox.has_messages() {
            return 0;
        }
        let queue = self.owner.queue();
        let count = inbox.collect(limit, |message| match message {
            Message::Wake(wake) => wake.deliver(queue),
            Message::Callback(callback) => queue.push(Entry::Callback(callback.into_local())),
        });
        self.messages.set(self.messages.get() + count as u64);
        count
    }

    fn unlist(&self, task: TaskPtr) {
        self.tasks.borrow_mut().remove(task.key());
        if !self.names.borrow().is_empty() {
            self.names.borrow_mut().remove(&task.key());
        }
        task.unlist();
    }

    /// Takes a task off the list that was finished before; only such a one can be a root's.
    #[cold]
    fn unlist_stale(&self, task: TaskPtr) {
        if task.is_root() {
            self.roots.set(self.roots.get() - 1);
        }
        self.unlist(task);
    }

    /// Drops every entry and every task, each once, on this thread. What their destructors queue or spawn is dropped too.
    pub(crate) fn close_tasks(&self) {
        self.closed.set(true);
        for act in self.batch_ends.take() {
            shield("the destructor of a stream", || act.loop_ended());
        }
        for waker in self.next_turn.take() {
            shield("a waker", || waker.wake());
        }
        let mut key = 0;
        loop {
            while let Some(entry) = self.owner.queue().pop() {
                match entry {
                    Entry::Task(task) => task.unqueue(),
                    other => shield("the destructor of a callback", || drop(other)),
                }
            }
            // No task is queued now, so the one that is taken off the list leaves no entry behind. A closed loop lists no
            // new ones: one walk over the keys meets them all.
            let task = {
                let tasks = self.tasks.borrow();
                while key < tasks.capacity() && !tasks.contains(key) {
                    key += 1;
                }
                match tasks.get(key) {
                    Some(listed) => listed.task,
                    None => return,
                }
            };
            if !task.is_done() {
                task.cancel();
                task.wake_joiner();
            }
            self.unlist_stale(task);
        }
    }
}

#[inline]
fn add_one(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
