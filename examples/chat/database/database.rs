//! The rooms' side of the database.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use squall_net::{JoinHandle, spawn, timeout};
use tokio_postgres::Config;

use crate::database::tasks::Tasks;
use crate::database::worker::Worker;
use crate::room::room::Room;
use crate::room::rooms::Rooms;
use crate::room::submission::Submission;

/// A store that many processes share. Dropping it ends its worker.
pub(crate) struct Database {
    tasks: Rc<Tasks>,
    rooms: Rc<Rooms>,
    is_available: Rc<Cell<bool>>,
    worker: Cell<Option<JoinHandle<()>>>,
}

impl Database {
    pub(crate) fn start(config: Config, rooms: Rc<Rooms>) -> Database {
        let (tasks, is_available) = (Rc::<Tasks>::default(), Rc::new(Cell::new(false)));
        let worker =
            Worker::new(config, Rc::clone(&rooms), Rc::clone(&tasks), Rc::clone(&is_available));
        let worker = Cell::new(Some(spawn(worker.run())));
        Database { tasks, rooms, is_available, worker }
    }

    pub(crate) fn is_available(&self) -> bool {
        self.is_available.get()
    }

    /// Hands a message to the worker. Without a connection it is dropped: the client was told that
    /// messages cannot be stored, and sends it again when it is told that they can.
    pub(crate) fn submit(&self, submission: Submission) {
        if self.is_available() {
            self.tasks.add_submission(submission);
        }
    }

    /// Tells the other processes who is here. Forgets a room that is empty, because the database has
    /// its history.
    pub(crate) fn people_changed(&self, room: &Rc<Room>) {
        self.tasks.add_changed_room(&room.name);
        if room.clients() == 0 {
            self.rooms.remove(room);
        }
    }

    /// Stores what was submitted, tells the other processes that no client is here any more, and ends
    /// the worker.
    pub(crate) async fn shut_down(&self, limit: Duration) {
        self.tasks.end();
        if let Some(worker) = self.worker.take() {
            let _ = timeout(limit, worker.abort_on_drop()).await; // it has reported what went wrong
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.abort();
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("is_available", &self.is_available).finish_non_exhaustive()
    }
}
