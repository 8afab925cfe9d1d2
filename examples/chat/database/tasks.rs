//! What the worker has to do: written by the rooms and by the connection, read by the worker.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::room::submission::Submission;

/// What waits for the worker.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// Messages that are not safe yet. Bounded by [`Limits::unacknowledged`] for each client.
    ///
    /// [`Limits::unacknowledged`]: crate::Limits::unacknowledged
    submissions: RefCell<Vec<Submission>>,
    /// The rooms in which people of this process came or left.
    changed_rooms: RefCell<BTreeSet<Rc<str>>>,
    /// A process has stored messages that are not read yet.
    has_messages: Cell<bool>,
    /// The people of another process have changed.
    has_people: Cell<bool>,
    /// The connection is lost.
    is_lost: Cell<bool>,
    is_ending: Cell<bool>,
    notify: Notify,
}

impl Tasks {
    pub(crate) fn add_submission(&self, submission: Submission) {
        submission.sender.submitted();
        self.submissions.borrow_mut().push(submission);
        self.notify.notify_one();
    }

    pub(crate) fn take_submissions(&self) -> Vec<Submission> {
        self.submissions.take()
    }

    pub(crate) fn add_changed_room(&self, room: &Rc<str>) {
        self.changed_rooms.borrow_mut().insert(Rc::clone(room));
        self.notify.notify_one();
    }

    pub(crate) fn take_changed_rooms(&self) -> BTreeSet<Rc<str>> {
        self.changed_rooms.take()
    }

    pub(crate) fn set_has_messages(&self) {
        self.has_messages.set(true);
        self.notify.notify_one();
    }

    pub(crate) fn take_has_messages(&self) -> bool {
        self.has_messages.take()
    }

    pub(crate) fn set_has_people(&self) {
        self.has_people.set(true);
        self.notify.notify_one();
    }

    pub(crate) fn take_has_people(&self) -> bool {
        self.has_people.take()
    }

    pub(crate) fn set_lost(&self, is_lost: bool) {
        self.is_lost.set(is_lost);
        self.notify.notify_one();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.get()
    }

    pub(crate) fn end(&self) {
        self.is_ending.set(true);
        self.notify.notify_one();
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.get()
    }

    /// Waits until there is something to do. May return when there is nothing.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}
