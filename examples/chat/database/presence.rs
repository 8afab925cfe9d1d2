//! The table of people.
//!
//! Each process writes who is in its rooms, and renews its rows from time to time. Rows that are not
//! renewed are those of a process that has been killed: they do not count after [`EXPIRY`].

use std::collections::HashMap;
use std::rc::Rc;

use tokio_postgres::Client;

use crate::database::connection::{Failure, PEOPLE};
use crate::person::Person;
use crate::room::people::Names;

/// How long the rows of a process count after it has renewed them. The worker renews them three times
/// in that time.
const EXPIRY: &str = "30 seconds";

/// Writes who is in a room of this process.
pub(crate) async fn write(
    client: &mut Client,
    process: &str,
    room: &str,
    people: &[Person],
) -> Result<(), Failure> {
    let tags: Vec<&str> = people.iter().map(|person| &*person.tag).collect();
    let names: Vec<&str> = people.iter().map(|person| &*person.name).collect();
    let transaction = client.transaction().await?;
    let delete = "DELETE FROM squall_chat.people WHERE process = $1 AND room = $2";
    transaction.execute(delete, &[&process, &room]).await?;
    let insert = "INSERT INTO squall_chat.people (process, room, tag, name)
        SELECT $1, $2, tag, name FROM unnest($3::text[], $4::text[]) AS here (tag, name)";
    transaction.execute(insert, &[&process, &room, &tags, &names]).await?;
    transaction.execute("SELECT pg_notify($1, $2)", &[&PEOPLE, &room]).await?;
    Ok(transaction.commit().await?)
}

/// Renews the rows of this process, and deletes those that have expired long ago.
pub(crate) async fn renew(client: &Client, process: &str) -> Result<(), Failure> {
    let update = "UPDATE squall_chat.people SET seen = now() WHERE process = $1";
    client.execute(update, &[&process]).await?;
    let delete = "DELETE FROM squall_chat.people WHERE seen < now() - interval '1 hour'";
    client.execute(delete, &[]).await?;
    Ok(())
}

/// Deletes the rows of this process.
pub(crate) async fn withdraw(client: &Client, process: &str) -> Result<(), Failure> {
    let delete = "DELETE FROM squall_chat.people WHERE process = $1";
    client.execute(delete, &[&process]).await?;
    client.execute("SELECT pg_notify($1, '')", &[&PEOPLE]).await?;
    Ok(())
}

/// Who is in these rooms in other processes.
pub(crate) async fn elsewhere(
    client: &Client,
    process: &str,
    rooms: &[Rc<str>],
) -> Result<HashMap<String, Names>, Failure> {
    let query = format!(
        "SELECT room, tag, name FROM squall_chat.people WHERE process <> $1 AND room = ANY ($2)
            AND seen > now() - interval '{EXPIRY}' ORDER BY seen"
    );
    let rooms: Vec<&str> = rooms.iter().map(|room| &**room).collect();
    let mut people: HashMap<String, Names> = HashMap::new();
    for row in client.query(&query, &[&process, &rooms]).await? {
        let (room, tag, name): (String, &str, &str) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        people.entry(room).or_default().insert(tag.into(), name.into());
    }
    Ok(people)
}
