//! A connection to PostgreSQL over a stream of squall.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::rc::Rc;

use squall_net::{AbortOnDrop, AsyncRead, AsyncWrite, TcpStream, UnixStream, spawn};
use tokio_postgres::config::Host;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::database::tasks::Tasks;

/// The channels of the notifications.
pub(crate) const MESSAGES: &str = "squall_chat_messages";
pub(crate) const PEOPLE: &str = "squall_chat_people";

const DEFAULT_PORT: u16 = 5432;

/// Why the database did not do what it was asked for, with all causes.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Failure(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A connection, and the task that reads and writes it.
pub(crate) struct Connection {
    pub(crate) client: Client,
    _driver: AbortOnDrop<()>,
}

impl Connection {
    /// Connects to the first host of `config` that answers. Its notifications become `tasks`.
    pub(crate) async fn open(config: &Config, tasks: &Rc<Tasks>) -> Result<Connection, Failure> {
        let mut failure = Failure("no host is given".to_owned());
        for (number, host) in config.get_hosts().iter().enumerate() {
            let ports = config.get_ports();
            let port = ports.get(number).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
            let opened = match host {
                Host::Tcp(name) => match TcpStream::connect((name.as_str(), port)).await {
                    Ok(stream) => start(config, stream, tasks).await,
                    Err(error) => Err(error.into()),
                },
                Host::Unix(directory) => match connect_unix(directory, port).await {
                    Ok(stream) => start(config, stream, tasks).await,
                    Err(error) => Err(error.into()),
                },
            };
            match opened {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn connect_unix(directory: &Path, port: u16) -> io::Result<UnixStream> {
    UnixStream::connect(directory.join(format!(".s.PGSQL.{port}"))).await
}

async fn start<S>(config: &Config, stream: S, tasks: &Rc<Tasks>) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (client, mut connection) = config.connect_raw(stream.compat(), NoTls).await?;
    let tasks = Rc::clone(tasks);
    tasks.set_lost(false);
    let driver = spawn(async move {
        loop {
            match poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    match notification.channel() {
                        MESSAGES => tasks.set_has_messages(),
                        PEOPLE => tasks.set_has_people(),
                        _ => {}
                    }
                }
                Some(Ok(_)) => {}
                // What went wrong is also the error of the request that waits.
                Some(Err(_)) | None => return tasks.set_lost(true),
            }
        }
    });
    Ok(Connection { client, _driver: driver.abort_on_drop() })
}
