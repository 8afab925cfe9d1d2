//! The table of messages.
//!
//! All processes of a chat agree on one order: that of the numbers. A number is drawn when a row is
//! inserted, but others see the row when it is committed. Without a lock, 7 could become visible
//! after 8, and a process that has read up to 8 would never see 7. So each transaction that inserts
//! first takes the lock [`LOCK`], which ends with it: a number that can be seen has no gap before it
//! that will be filled later.

use std::rc::Rc;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Statement};

use crate::database::connection::{Failure, MESSAGES};
use crate::limits::Limits;
use crate::room::recent::{Recent, RecentMessage};
use crate::room::submission::Submission;
use crate::wire::protocol::{SentMessage, ToClient};

/// The advisory lock of all that must happen one after the other. The number has no meaning.
const LOCK: i64 = 0x7371_7561_6c6c;

/// The rows that are read at once.
const ROWS: i64 = 500;

const TABLES: &str = "
    CREATE SCHEMA IF NOT EXISTS squall_chat;
    CREATE TABLE IF NOT EXISTS squall_chat.history (name text NOT NULL);
    INSERT INTO squall_chat.history
        SELECT gen_random_uuid()::text WHERE NOT EXISTS (SELECT FROM squall_chat.history);
    CREATE TABLE IF NOT EXISTS squall_chat.messages (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        room text NOT NULL,
        tag text NOT NULL,
        id text NOT NULL,
        name text NOT NULL,
        text text NOT NULL,
        time timestamptz NOT NULL DEFAULT now(),
        UNIQUE (room, tag, id)
    );
    CREATE INDEX IF NOT EXISTS messages_of_room ON squall_chat.messages (room, number);
    CREATE UNLOGGED TABLE IF NOT EXISTS squall_chat.people (
        process text NOT NULL,
        room text NOT NULL,
        tag text NOT NULL,
        name text NOT NULL,
        seen timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (process, room, tag)
    );";

const INSERT: &str = "
    INSERT INTO squall_chat.messages (room, tag, id, name, text)
        SELECT room, tag, id, name, text
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
            WITH ORDINALITY AS submitted (room, tag, id, name, text, place)
            ORDER BY place
        ON CONFLICT DO NOTHING
        RETURNING number";

const AFTER: &str = "
    SELECT number, room, tag, id, name, text, (extract(epoch FROM time) * 1000)::bigint
        FROM squall_chat.messages WHERE number > $1 AND room = ANY ($2)
        ORDER BY number LIMIT $3";

const LAST: &str = "
    SELECT number, room, tag, id, name, text, (extract(epoch FROM time) * 1000)::bigint
        FROM squall_chat.messages WHERE number <= $1 AND room = $2
        ORDER BY number DESC LIMIT $3";

/// Makes the tables, if they are missing.
pub(crate) async fn create(client: &mut Client) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    // Two processes that make a table at the same time would disturb each other.
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute(TABLES).await?;
    Ok(transaction.commit().await?)
}

/// The prepared statements of a connection.
pub(crate) struct Messages {
    lock: Statement,
    insert: Statement,
    after: Statement,
    last: Statement,
}

impl Messages {
    pub(crate) async fn prepare(client: &Client) -> Result<Messages, Failure> {
        Ok(Messages {
            lock: client.prepare("SELECT pg_advisory_xact_lock($1)").await?,
            insert: client.prepare_typed(INSERT, &[const { Type::TEXT_ARRAY }; 5]).await?,
            after: client.prepare(AFTER).await?,
            last: client.prepare(LAST).await?,
        })
    }

    /// The name of the history, and the number of its newest message.
    pub(crate) async fn newest(&self, client: &Client) -> Result<(String, i64), Failure> {
        let query = "SELECT name, (SELECT coalesce(max(number), 0) FROM squall_chat.messages)
            FROM squall_chat.history";
        let row = client.query_one(query, &[]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Stores messages, except those that are stored already, and notifies all processes: in one
    /// transaction, so that a notification means that the messages are safe.
    pub(crate) async fn insert(
        &self,
        client: &mut Client,
        submissions: &[Submission],
    ) -> Result<(), Failure> {
        let column = |of: for<'a> fn(&'a Submission) -> &'a str| -> Vec<&str> {
            submissions.iter().map(of).collect()
        };
        let transaction = client.transaction().await?;
        transaction.execute(&self.lock, &[&LOCK]).await?;
        let rows = transaction
            .query(
                &self.insert,
                &[
                    &column(|submission| &submission.room.name),
                    &column(|submission| &submission.person.tag),
                    &column(|submission| &submission.id),
                    &column(|submission| &submission.person.name),
                    &column(|submission| &submission.text),
                ],
            )
            .await?;
        if let Some(row) = rows.last() {
            let number: i64 = row.try_get(0)?;
            // A payload has at most 8,000 bytes, so it is only the number.
            transaction
                .execute("SELECT pg_notify($1, $2)", &[&MESSAGES, &number.to_string()])
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The next messages of these rooms after the number `since`, in their order. Fewer than
    /// [`ROWS`] are all that there are.
    pub(crate) async fn after(
        &self,
        client: &Client,
        since: i64,
        rooms: &[Rc<str>],
    ) -> Result<Page, Failure> {
        let rooms: Vec<&str> = rooms.iter().map(|room| &**room).collect();
        let rows = client.query(&self.after, &[&since, &rooms, &ROWS]).await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|rows| rows < ROWS);
        Ok(Page { rows, is_last })
    }

    /// The newest messages of a room up to the number `newest`.
    pub(crate) async fn recent(
        &self,
        client: &Client,
        room: &str,
        newest: i64,
        limits: &Limits,
    ) -> Result<Recent, Failure> {
        let most = limits.recent_messages.max(limits.history);
        let rows = i64::try_from(most)?;
        let rows = client.query(&self.last, &[&newest, &room, &rows]).await?;
        let is_all = rows.len() < most;
        let forgotten = match rows.last() {
            Some(oldest) if !is_all => read(oldest)?.1.number - 1,
            _ => 0,
        };
        let mut recent = Recent::new(limits, forgotten);
        for row in rows.iter().rev() {
            let (_, message) = read(row)?;
            recent.push(RecentMessage {
                number: message.number,
                tag: message.tag.into(),
                id: message.id.into(),
                frame: ToClient::Message(message).frame(),
            });
        }
        Ok(recent)
    }
}

/// Rows of messages.
pub(crate) struct Page {
    rows: Vec<Row>,
    /// Whether no row follows.
    pub(crate) is_last: bool,
}

impl Page {
    /// The messages, each with the name of its room.
    pub(crate) fn messages(
        &self,
    ) -> impl Iterator<Item = Result<(&str, SentMessage<'_>), Failure>> {
        self.rows.iter().map(read)
    }
}

fn read(row: &Row) -> Result<(&str, SentMessage<'_>), Failure> {
    let message = SentMessage {
        number: u64::try_from(row.try_get::<_, i64>(0)?)?,
        tag: row.try_get(2)?,
        id: row.try_get(3)?,
        name: row.try_get(4)?,
        text: row.try_get(5)?,
        time: row.try_get(6)?,
    };
    Ok((row.try_get(1)?, message))
}
