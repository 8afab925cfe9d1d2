//! Owns the ready queue and the task list, and runs entries one at a time.
//!
//! It knows nothing about time or descriptors. The [turn](crate::event_loop) decides when a batch
//! runs and when messages are collected. The models of loom run this file unchanged.

use std::cell::{Cell, Ref, RefCell};
use std::future::{Future, pending};
use std::iter;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use crate::insight::dump::DumpedTask;
use crate::insight::observer::{ObservedEntry, Work};
use crate::insight::origin::Origin;
use crate::insight::panics::shield;
use crate::sync::Arc;
use crate::task::budget;
use crate::task::callback::RemoteCallback;
use crate::task::entry::{Entry, Message};
use crate::task::inbox::Inbox;
use crate::task::join_handle::JoinHandle;
use crate::task::shared_state::{SharedOwner, SharedState};
use crate::task::task::{Ran, TaskKey, TaskPtr};
use crate::task::waker::{is_task_waker, task_of_waker};

/// An action that runs after the entries that are queued now.
///
/// The streams of `squall-net` use it to send everything that a batch wrote in one system call.
#[doc(hidden)]
pub trait BatchEnd {
    /// Called once for each [`at_batch_end`](crate::at_batch_end).
    fn batch_ended(self: Rc<Self>);

    /// Called instead if the loop ends first.
    fn loop_ended(self: Rc<Self>);
}

/// The future of a task that starts rarely. Each type of future adds several kilobytes to a program,
/// for the task that holds it; boxed ones share them.
#[doc(hidden)]
pub type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) struct Scheduler {
    owner: SharedOwner,
    /// Every task that is not finished, or is finished but still queued. The index is the task's
    /// key.
    tasks: RefCell<Slab<Listed>>,
    /// The number of these tasks that represent the future of a `block_on`.
    roots: Cell<usize>,
    /// The names of the tasks, by key, up to the last task that has had one. Observers may send them
    /// to other threads.
    names: RefCell<Vec<Option<std::sync::Arc<str>>>>,
    batch_ends: RefCell<Vec<Rc<dyn BatchEnd>>>,
    /// The wakers of tasks that have used up their budget of this turn.
    next_turn: RefCell<Vec<Waker>>,
    closed: Cell<bool>,
    pub(crate) polls: Cell<u64>,
    pub(crate) callbacks: Cell<u64>,
    pub(crate) messages: Cell<u64>,
}

/// A round of wakes: looks tasks up by their keys, and runs no foreign code.
pub(crate) struct Wakes<'a> {
    scheduler: &'a Scheduler,
    tasks: Ref<'a, Slab<Listed>>,
}

impl Wakes<'_> {
    /// Wakes the task with this key, if there is one.
    #[inline]
    pub(crate) fn wake_task(&self, key: TaskKey) {
        if let Some(listed) = self.tasks.get(key.index()) {
            listed.task.enqueue(self.scheduler.owner.queue());
        }
    }

    /// Wakes a task of this loop. Any other waker may run foreign code, also one of another loop
    /// that has just closed, so it is queued.
    pub(crate) fn wake(&self, waker: Waker) {
        match self.scheduler.key_of(&waker) {
            Some(key) => self.wake_task(key),
            None => self.scheduler.push_foreign_waker(waker),
        }
    }
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
            names: RefCell::new(Vec::new()),
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

    /// Whether nothing will run any more: the loop is closed, or this process is a fork of the
    /// loop's process.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get() || self.inbox().is_forked()
    }

    pub(crate) fn live_tasks(&self) -> usize {
        self.tasks.borrow().len() - self.roots.get()
    }

    /// Queues an entry. A closed loop drops it.
    pub(crate) fn push(&self, entry: Entry) {
        if self.closed.get() {
            shield("the destructor of a callback", || drop(entry));
        } else {
            self.owner.queue().push(entry);
        }
    }

    /// Wakes a waker. A squall waker is woken at once, because it only queues its task. Any other
    /// waker may run foreign code, so it is queued.
    pub(crate) fn wake(&self, waker: Waker) {
        if is_task_waker(&waker) {
            waker.wake();
        } else {
            self.push_foreign_waker(waker);
        }
    }

    /// As [`wake`](Self::wake), from code that may run at any time, such as a destructor. If the
    /// loop is not entered, a message makes its descriptor readable. If it is closed, the waker is
    /// woken at once.
    pub(crate) fn wake_at_any_time(&self, waker: Waker) {
        if is_task_waker(&waker) || self.closed.get() {
            shield("a waker", || waker.wake());
        } else if self.owner.is_entered() {
            self.push_foreign_waker(waker);
        } else {
            let wake = RemoteCallback::new(Location::caller(), || waker.wake());
            let _ = self.owner.shared().inbox.send(Message::Callback(wake)); // the loop is open
        }
    }

    /// Likewise wakes the task with this key, if there is one.
    pub(crate) fn wake_task_at_any_time(&self, key: TaskKey) {
        if let Some(listed) = self.tasks.borrow().get(key.index()) {
            listed.task.wake();
        }
    }

    /// The key of a waker's task, if it is a task of this loop.
    #[inline]
    pub(crate) fn key_of(&self, waker: &Waker) -> Option<TaskKey> {
        let task = task_of_waker(waker)?;
        task.is_at(Arc::as_ptr(self.owner.shared())).then(|| task.key())
    }

    /// Begins a round of wakes. Until it ends, the list of tasks must not change.
    pub(crate) fn wakes(&self) -> Wakes<'_> {
        Wakes { scheduler: self, tasks: self.tasks.borrow() }
    }

    #[cold]
    fn push_foreign_waker(&self, waker: Waker) {
        self.push(Entry::Wake(Box::new(waker)));
    }

    /// Registers an action for the end of the batch. Returns false if the loop is closed, because
    /// then no batch will end any more.
    #[inline]
    pub(crate) fn at_batch_end(&self, action: Rc<dyn BatchEnd>) -> bool {
        let is_open = !self.closed.get();
        if is_open {
            self.batch_ends.borrow_mut().push(action);
        }
        is_open
    }

    /// Keeps a waker until the next turn begins, which is after this turn has asked the kernel for
    /// events. A closed loop returns the waker.
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

    /// Makes a task and queues it for its first poll. A closed loop drops the future, and the
    /// handle returns a cancellation error.
    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        future: F,
        origin: Origin,
    ) -> JoinHandle<F::Output> {
        self.spawn_with(move || future, origin)
    }

    /// As [`spawn`](Self::spawn), of the future that `make` returns. It is built in the memory of the
    /// task. `make` must not panic.
    pub(crate) fn spawn_with<F: Future + 'static>(
        &self,
        make: impl FnOnce() -> F,
        origin: Origin,
    ) -> JoinHandle<F::Output> {
        JoinHandle::new(self.spawn_task(make, origin))
    }

    fn spawn_task<F: Future + 'static>(&self, make: impl FnOnce() -> F, origin: Origin) -> TaskPtr {
        let task = TaskPtr::allocate(make, self.owner.new_ref());
        if self.closed.get() {
            task.cancel();
            task.unlist();
        } else {
            let key = {
                let mut tasks = self.tasks.borrow_mut();
                let len = tasks.len();
                if len == tasks.capacity() {
                    tasks.reserve_exact(len / 8 + 16); // a list that doubles is half empty
                }
                tasks.insert(Listed { task, origin })
            };
            task.set_key(TaskKey::new(key));
            task.enqueue(self.owner.queue());
        }
        task
    }

    /// Spawns the task that represents the future of a `block_on`. It is not counted as a live
    /// task.
    pub(crate) fn spawn_root(&self, origin: Origin) -> JoinHandle<()> {
        let nothing: BoxedFuture = Box::pin(pending()); // without a size, so nothing is allocated
        let task = self.spawn_task(|| nothing, origin);
        if !task.is_done() {
            task.set_root();
            self.roots.set(self.roots.get() + 1);
        }
        JoinHandle::new(task)
    }

    /// Ends a root task at once. If it is queued, it stays in the task list until it is popped.
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

    /// Gives a name to a task that was just spawned. A task that this loop does not list gets none:
    /// its loop was closed, and its future's destructor may even have entered this one.
    pub(crate) fn set_name<T>(&self, handle: &JoinHandle<T>, name: String) {
        let key = handle.task().key().index();
        let is_task = |listed: &Listed| listed.task == handle.task();
        if self.tasks.borrow().get(key).is_some_and(is_task) {
            let mut names = self.names.borrow_mut();
            let missing = (key + 1).saturating_sub(names.len());
            names.extend(iter::repeat_n(None, missing));
            names[key] = Some(name.into());
        }
    }

    /// The number of wakers of tasks, without those that this file's tasks hold of each other: a
    /// task's that awaits another, and a root task's own.
    pub(crate) fn wakers_elsewhere(&self) -> usize {
        let tasks = self.tasks.borrow();
        let wakers: usize = tasks.iter().map(|(_, listed)| listed.task.wakers()).sum();
        let joiners = tasks.iter().filter(|(_, listed)| listed.task.has_joiner()).count();
        wakers.saturating_sub(joiners + self.roots.get())
    }

    /// Describes every unfinished task. `since` returns how much time has passed since the time of
    /// an origin.
    pub(crate) fn dump(&self, since: impl Fn(u64) -> Duration) -> Vec<DumpedTask> {
        let (tasks, names) = (self.tasks.borrow(), self.names.borrow());
        tasks
            .iter()
            .filter(|(_, listed)| !listed.task.is_done())
            .map(|(key, Listed { task, origin })| DumpedTask {
                name: names.get(key).and_then(Option::as_deref).map(str::to_owned),
                location: origin.location,
                age: since(origin.time),
                is_ready: task.is_queued(),
                is_root: task.is_root(),
            })
            .collect()
    }

    /// Describes the entry at the head of the queue, for the loop's observers.
    pub(crate) fn describe_next(&self) -> Option<ObservedEntry> {
        self.owner.queue().peek(|entry| match entry {
            Entry::Task(task) => {
                let location = Some(self.tasks.borrow()[task.key().index()].origin.location);
                if task.is_root() {
                    return ObservedEntry::new(Work::BlockOn, location);
                }
                let name = self.names.borrow().get(task.key().index()).cloned().flatten();
                ObservedEntry { name, ..ObservedEntry::new(Work::Task, location) }
            }
            Entry::Callback(callback) => {
                ObservedEntry::new(Work::Callback, Some(callback.location()))
            }
            Entry::Handler(handler) => {
                ObservedEntry::new(Work::Handler, Some(handler.origin().location))
            }
            Entry::Wake(_) => ObservedEntry::new(Work::Waker, None),
        })
    }

    /// Whether there is work that does not depend on the kernel.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready_len() > 0
            || self.inbox().has_messages()
            || !self.batch_ends.borrow().is_empty()
            || !self.next_turn.borrow().is_empty()
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.owner.queue().len()
    }

    /// Runs the entry at the head of the queue. Returns true if that was the stand-in of a root
    /// future.
    #[inline(always)]
    pub(crate) fn run_next(&self) -> bool {
        let Some(entry) = self.owner.queue().pop() else { return false };
        budget::renew();
        let task = match entry.into_task() {
            Ok(task) => task,
            Err(other) => {
                self.run_other(other);
                return false;
            }
        };
        add_one(&self.polls);
        match task.run() {
            Ran::Unfinished => {}
            Ran::StandIn => return true,
            Ran::Finished => self.unlist(task),
            Ran::Stale => self.unlist_stale(task),
        }
        false
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

    /// Runs the actions that were registered for the end of the batch.
    #[inline(always)]
    pub(crate) fn end_batch(&self) {
        if !self.batch_ends.borrow().is_empty() {
            self.run_batch_ends();
        }
    }

    fn run_batch_ends(&self) {
        let mut actions = self.batch_ends.take();
        for action in actions.drain(..) {
            budget::renew();
            shield("a stream's flush", || action.batch_ended());
        }
        // Keep the vector's memory for the next batch, unless the actions above have registered new
        // ones.
        let mut ends = self.batch_ends.borrow_mut();
        if ends.is_empty() {
            *ends = actions;
        }
    }

    /// Queues the work that other threads sent, at most `limit` messages, and returns how many.
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
        self.tasks.borrow_mut().remove(task.key().index());
        if let Some(name) = self.names.borrow_mut().get_mut(task.key().index()) {
            *name = None;
        }
        task.unlist();
    }

    /// Removes a task from the list that had finished before it was popped. Only such a task can be
    /// a root task.
    #[cold]
    fn unlist_stale(&self, task: TaskPtr) {
        if task.is_root() {
            self.roots.set(self.roots.get() - 1);
        }
        self.unlist(task);
    }

    /// Drops every entry and every task, each once, on this thread. Entries and tasks that their
    /// destructors queue or spawn are dropped too.
    pub(crate) fn close_tasks(&self) {
        self.closed.set(true);
        for action in self.batch_ends.take() {
            shield("the destructor of a stream", || action.loop_ended());
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
            // No task is queued now, so a task that is removed from the list leaves no entry
            // behind. A closed loop lists no new tasks, so one pass over the keys finds all of
            // them.
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
