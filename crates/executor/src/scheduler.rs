//! The ready queue and the task list: what runs, one entry at a time.
//!
//! Knows neither time nor descriptors; the [turn](crate::event_loop) decides when a batch runs and when mail is
//! collected. It runs in `models.rs` under loom as it is here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use crate::birth::Birth;
use crate::dump::DumpedTask;
use crate::inbox::{Inbox, Message};
use crate::join_handle::JoinHandle;
use crate::panics::shield;
use crate::shared::{Entry, Home, Shared};
use crate::slow::{SlowCallback, Work};
use crate::sync::Arc;
use crate::task::TaskPtr;

/// Something to do when the entries that are queued now have run.
///
/// The hook of `squall-net`'s streams, which send in one go what a batch wrote.
#[doc(hidden)]
pub trait BatchEnd {
    /// Called once for each [`at_batch_end`](crate::at_batch_end).
    fn batch_ended(self: Rc<Self>);

    /// Called instead if the loop ends first.
    fn loop_ended(self: Rc<Self>);
}

pub(crate) struct Scheduler {
    home: Home,
    /// Every task that is not finished, or finished but still queued; its place is the task's key.
    tasks: RefCell<Slab<Listed>>,
    /// The names of tasks that have one, by key.
    names: RefCell<BTreeMap<usize, String>>,
    batch_ends: RefCell<Vec<Rc<dyn BatchEnd>>>,
    /// Who has had enough of this turn.
    next_turn: RefCell<Vec<Waker>>,
    closed: Cell<bool>,
    pub(crate) polls: Cell<u64>,
    pub(crate) callbacks: Cell<u64>,
    pub(crate) messages: Cell<u64>,
}

struct Listed {
    task: TaskPtr,
    birth: Birth,
}

impl Scheduler {
    pub(crate) fn new(inbox: Inbox) -> Scheduler {
        Scheduler {
            home: Home::new(inbox),
            tasks: RefCell::new(Slab::new()),
            names: RefCell::new(BTreeMap::new()),
            batch_ends: RefCell::new(Vec::new()),
            next_turn: RefCell::new(Vec::new()),
            closed: Cell::new(false),
            polls: Cell::new(0),
            callbacks: Cell::new(0),
            messages: Cell::new(0),
        }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.home.shared()
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.home.shared().inbox
    }

    /// Tells whether nothing will run any more: the loop is gone, or this is a forked copy of it.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get() || self.inbox().is_forked()
    }

    pub(crate) fn live_tasks(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Queues an entry; a closed loop drops it.
    pub(crate) fn push(&self, entry: Entry) {
        if self.closed.get() {
            shield("the destructor of a callback", || drop(entry));
        } else {
            self.home.here().push(entry);
        }
    }

    /// Takes an act for the end of the batch; a closed loop has none and says `false`.
    pub(crate) fn at_batch_end(&self, act: Rc<dyn BatchEnd>) -> bool {
        if !self.closed.get() {
            self.batch_ends.borrow_mut().push(act);
        }
        !self.closed.get()
    }

    /// Takes a waker for the next turn, when the kernel was asked; a closed loop has none and gives it back.
    pub(crate) fn wake_in_next_turn(&self, waker: Waker) -> Option<Waker> {
        if self.closed.get() {
            return Some(waker);
        }
        self.next_turn.borrow_mut().push(waker);
        None
    }

    /// Those who wait for the turn that begins now.
    pub(crate) fn take_next_turn(&self) -> Vec<Waker> {
        self.next_turn.take()
    }

    /// Makes a task and queues it for its first poll. A closed loop drops the future; the handle says cancelled.
    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        future: F,
        birth: Birth,
    ) -> JoinHandle<F::Output> {
        let task = TaskPtr::allocate(future, self.home.lend());
        if self.closed.get() {
            task.cancel();
            task.unlist();
        } else {
            task.set_key(self.tasks.borrow_mut().insert(Listed { task, birth }));
            task.queue(self.home.here());
        }
        JoinHandle::new(task)
    }

    /// Gives a name to a task that was just spawned.
    pub(crate) fn set_name<T>(&self, task: &JoinHandle<T>, name: String) {
        if !self.closed.get() {
            self.names.borrow_mut().insert(task.key(), name);
        }
    }

    /// Every task that is not finished; `since` turns a time of birth into an age.
    pub(crate) fn dump(&self, since: impl Fn(u64) -> Duration) -> Vec<DumpedTask> {
        let (tasks, names) = (self.tasks.borrow(), self.names.borrow());
        let living = tasks.iter().filter(|(_, listed)| !listed.task.is_done());
        living
            .map(|(key, Listed { task, birth })| DumpedTask {
                name: names.get(&key).cloned(),
                location: birth.location,
                age: since(birth.time),
                is_ready: task.is_queued(),
            })
            .collect()
    }

    /// Who will run next, for a report; the root future is the caller's, who says where it comes from.
    pub(crate) fn describe_next(
        &self,
        root: Option<&'static Location<'static>>,
    ) -> Option<SlowCallback> {
        self.home.here().peek(|entry| match entry {
            Entry::Task(task) => {
                let location = self.tasks.borrow()[task.key()].birth.location;
                let name = self.names.borrow().get(&task.key()).cloned();
                SlowCallback { name, ..SlowCallback::new(Work::Task, Some(location)) }
            }
            Entry::Root(_) => SlowCallback::new(Work::BlockOn, root),
            Entry::Callback(callback) => {
                SlowCallback::new(Work::Callback, Some(callback.location()))
            }
            Entry::Handler(handler) => {
                SlowCallback::new(Work::Handler, Some(handler.birth().location))
            }
            Entry::Wake(_) => SlowCallback::new(Work::Waker, None),
        })
    }

    /// Tells whether there is something to do without asking the kernel.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready_len() > 0
            || self.inbox().has_mail()
            || !self.batch_ends.borrow().is_empty()
            || !self.next_turn.borrow().is_empty()
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.home.here().ready_len()
    }

    /// Runs the entry at the head of the queue. The root future belongs to the caller.
    #[inline]
    pub(crate) fn run_next(&self, poll_root: &mut dyn FnMut(usize)) {
        match self.home.here().pop() {
            // By far the most frequent: a test, where a match of all kinds would be a jump through a table.
            Some(Entry::Task(task)) => {
                add_one(&self.polls);
                if task.run() {
                    self.unlist(task);
                }
            }
            Some(other) => self.run_other(other, poll_root),
            None => {}
        }
    }

    #[inline(never)]
    fn run_other(&self, entry: Entry, poll_root: &mut dyn FnMut(usize)) {
        match entry {
            Entry::Task(_) => unreachable!("run by the caller"),
            Entry::Root(number) => {
                add_one(&self.polls);
                poll_root(number);
            }
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

    /// Runs what waited for the end of the batch.
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
    pub(crate) fn collect_mail(&self, limit: usize) -> usize {
        let inbox = self.inbox();
        if !inbox.has_mail() {
            return 0;
        }
        let home = self.home.here();
        let count = inbox.collect(limit, |message| match message {
            Message::Wake(wake) => wake.deliver(home),
            Message::WakeRoot(number) => home.push(Entry::Root(number)),
            Message::Callback(callback) => home.push(Entry::Callback(callback.into_local())),
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

    /// Drops every entry and every task, each once, here. What their destructors queue or spawn is dropped too.
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
            while let Some(entry) = self.home.here().pop() {
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
                task.tell_joiner();
            }
            self.unlist(task);
        }
    }
}

#[inline]
fn add_one(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
