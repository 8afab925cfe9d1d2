//! The task that keeps the rooms of this process and the database in step.
//!
//! ```text
//!   ┌─▶ connect ─▶ make the tables, listen ─▶ read what was missed ─▶ clients: available
//!   │                                                                    │
//!   │                    ┌─ wait for work, or for the next heartbeat ◀───┴────────────┐
//!   │                    ▼                                                            │
//!   │                  insert and notify, acknowledge ─▶ read ─▶ publish ─▶ people ───┘
//!   │                    │ an error, or no answer in time
//!   └── pause ◀──────────┴─▶ clients: not available
//! ```
//!
//! A message is acknowledged after its transaction is committed, and published when it is read back
//! from the table, as those of all other processes. So all processes publish the same messages in
//! the same order. If a commit is not answered, it is unknown whether it has happened: the client
//! sends the message again, and the table refuses the id that it has.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use squall_net::{now, sleep, timeout, timeout_at};
use tokio_postgres::Config;

use crate::database::backoff::Backoff;
use crate::database::connection::{Connection, Failure, MESSAGES, PEOPLE};
use crate::database::messages::{self, Messages};
use crate::database::presence;
use crate::database::tasks::Tasks;
use crate::room::rooms::Rooms;
use crate::room::submission::Submission;
use crate::wire::ending::Ending;
use crate::wire::protocol::ToClient;

/// The time in which the database must do one round of work.
const ROUND_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two heartbeats, which renew the people of this process.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A connection that has lasted this long is followed by the next one without a long pause.
const STABLE: Duration = Duration::from_secs(5);
/// The most messages in one transaction.
const BATCH: usize = 200;

/// Keeps the rooms and the database in step, as long as it is polled.
pub(crate) struct Worker {
    config: Config,
    rooms: Rc<Rooms>,
    tasks: Rc<Tasks>,
    is_available: Rc<Cell<bool>>,
    /// The name of this process in the table of people.
    process: String,
    /// The history, and the number up to which its messages are published. `None` before the first
    /// connection.
    position: Option<Position>,
}

#[derive(Clone)]
struct Position {
    history: Rc<str>,
    number: i64,
}

/// A connection that is ready for work.
struct Link {
    connection: Connection,
    messages: Messages,
    next_heartbeat: Instant,
}

impl Worker {
    pub(crate) fn new(
        config: Config,
        rooms: Rc<Rooms>,
        tasks: Rc<Tasks>,
        is_available: Rc<Cell<bool>>,
    ) -> Worker {
        let process = format!("{:016x}", fastrand::u64(..));
        Worker { config, rooms, tasks, is_available, process, position: None }
    }

    /// Connects, works, and connects again, until it is told to end.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            match self.connect().await {
                Ok(mut link) => {
                    let begin = now();
                    let outcome = self.work(&mut link).await;
                    self.set_available(false);
                    // Otherwise a request that always fails would be tried again at once.
                    if now() - begin >= STABLE {
                        backoff = Backoff::new();
                    }
                    match outcome {
                        Ok(()) => return,
                        Err(failure) => log::warn!("the database is lost: {failure}"),
                    }
                }
                Err(failure) => log::warn!("the database cannot be used: {failure}"),
            }
            if self.tasks.is_ending() {
                return;
            }
            sleep(backoff.pause()).await;
        }
    }

    async fn connect(&mut self) -> Result<Link, Failure> {
        let connect = async {
            let mut connection = Connection::open(&self.config, &self.tasks).await?;
            messages::create(&mut connection.client).await?;
            let listen = format!("LISTEN {MESSAGES}; LISTEN {PEOPLE}");
            connection.client.batch_execute(&listen).await?;
            let messages = Messages::prepare(&connection.client).await?;
            let newest = messages.newest(&connection.client).await?;
            Ok((Link { connection, messages, next_heartbeat: now() }, newest))
        };
        let (link, (history, number)) = timed(connect).await?;
        self.set_position(&history, number);
        Ok(link)
    }

    /// Begins at the newest message, or goes on after the last one that was published.
    fn set_position(&mut self, history: &str, newest: i64) {
        if let Some(position) = &self.position {
            if *position.history == *history && position.number <= newest {
                return;
            }
            log::error!("the database has another history than before");
            self.rooms.all().iter().for_each(|room| {
                self.rooms.remove(room);
                room.end_all(Ending::Close(CloseCode::Restart, "the history was replaced"));
            });
        }
        self.position = Some(Position { history: history.into(), number: newest });
    }

    /// Works until an error, or until it is told to end.
    async fn work(&mut self, link: &mut Link) -> Result<(), Failure> {
        // Others may have written while this process was away, and its rows of people are those of
        // the time before.
        timed(presence::withdraw(&link.connection.client, &self.process)).await?;
        self.tasks.set_has_messages();
        self.rooms.all().iter().for_each(|room| self.tasks.add_changed_room(&room.name));
        loop {
            timed(self.round(link)).await?;
            if !self.is_available.get() {
                self.set_available(true);
            }
            if self.tasks.is_ending() {
                return timed(presence::withdraw(&link.connection.client, &self.process)).await;
            }
            // At the time of the heartbeat there is work too.
            let _ = timeout_at(link.next_heartbeat, self.tasks.wait()).await;
        }
    }

    /// Does all that there is to do.
    async fn round(&mut self, link: &mut Link) -> Result<(), Failure> {
        if self.tasks.is_lost() {
            return Err(Failure::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
        }
        self.load_histories(link).await?;
        self.store_submissions(link).await?;
        if self.tasks.take_has_messages() {
            self.publish_new(link).await?;
        }
        self.exchange_people(link).await
    }

    /// Reads what was said in the rooms that were opened since the last round.
    async fn load_histories(&self, link: &Link) -> Result<(), Failure> {
        let Some(position) = &self.position else { return Ok(()) };
        for room in self.rooms.all().iter().filter(|room| !room.has_history()) {
            let Link { connection, messages, .. } = link;
            let recent = messages
                .recent(&connection.client, &room.name, position.number, &self.rooms.limits)
                .await?;
            room.set_history(Rc::clone(&position.history), recent);
            // Others may have written into it while it was not among the rooms that are read.
            self.tasks.set_has_messages();
        }
        Ok(())
    }

    /// Stores what was submitted, and acknowledges it.
    async fn store_submissions(&self, link: &mut Link) -> Result<(), Failure> {
        let submissions = self.tasks.take_submissions();
        let submissions = Settling(submissions);
        for batch in submissions.0.chunks(BATCH) {
            link.messages.insert(&mut link.connection.client, batch).await?;
            batch.iter().for_each(Submission::acknowledge);
            self.tasks.set_has_messages(); // without waiting for the notification
        }
        Ok(())
    }

    /// Publishes the messages that are not published yet, in the order of their numbers.
    async fn publish_new(&mut self, link: &Link) -> Result<(), Failure> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let rooms: Vec<_> = self.rooms.all().iter().map(|room| Rc::clone(&room.name)).collect();
        loop {
            let Link { connection, messages, .. } = link;
            let page = messages.after(&connection.client, position.number, &rooms).await?;
            for message in page.messages() {
                let (room, message) = message?;
                position.number = i64::try_from(message.number)?;
                if let Some(room) = self.rooms.get(room) {
                    room.publish(&message);
                }
            }
            if page.is_last {
                return Ok(());
            }
        }
    }

    /// Writes who came and left here, and reads who is in the other processes.
    async fn exchange_people(&self, link: &mut Link) -> Result<(), Failure> {
        let client = &mut link.connection.client;
        let changed = self.tasks.take_changed_rooms();
        for name in &changed {
            let people = self.rooms.get(name).map(|room| room.people_here()).unwrap_or_default();
            presence::write(client, &self.process, name, &people).await?;
        }
        let is_due = now() >= link.next_heartbeat;
        if is_due {
            link.next_heartbeat = now() + HEARTBEAT;
            presence::renew(client, &self.process).await?;
        }
        if self.tasks.take_has_people() || is_due || !changed.is_empty() {
            let rooms = self.rooms.all();
            let names: Vec<_> = rooms.iter().map(|room| Rc::clone(&room.name)).collect();
            let mut people = presence::elsewhere(client, &self.process, &names).await?;
            for room in &rooms {
                room.set_people_elsewhere(people.remove(&*room.name).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Tells all clients whether messages can be stored. If not, forgets what was submitted: the
    /// clients send it again.
    fn set_available(&self, is_available: bool) {
        self.is_available.set(is_available);
        if !is_available {
            drop(Settling(self.tasks.take_submissions()));
        }
        self.rooms.broadcast(&ToClient::Storage { available: is_available }.frame());
    }
}

/// Submissions that are settled when they are dropped, whatever has become of them.
struct Settling(Vec<Submission>);

impl Drop for Settling {
    fn drop(&mut self) {
        self.0.iter().for_each(|submission| submission.sender.settled());
    }
}

/// Fails if `work` takes too long: a database that does not answer is lost.
async fn timed<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(ROUND_TIMEOUT, work).await?
}
