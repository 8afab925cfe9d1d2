//! The browser: a process, and a connection to it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use squall_net::{Child, IoStream, spawn};

use crate::connection::Connection;
use crate::page::Page;

/// What Chromium is told: no window, no sandbox (a test may run as root), and no connection to any
/// other host than the pages'.
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// A headless Chromium. Dropping it ends the process and removes its profile.
pub struct Browser {
    connection: Connection,
    _child: Child,
    _profile: Profile,
}

impl Browser {
    /// Starts Chromium and connects to it. Returns `None` after a line on standard error if it is
    /// not installed.
    ///
    /// # Errors
    /// The process cannot be started, or ends before it listens.
    pub async fn start() -> io::Result<Option<Browser>> {
        let profile = Profile::new()?;
        let mut command = Command::new("chromium");
        command.args(OPTIONS).arg(format!("--user-data-dir={}", profile.0.display()));
        command
            .arg("about:blank")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = match Child::spawn(&mut command) {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Not by `eprintln`, which a test runner captures.
                let _ = writeln!(io::stderr(), "skipped: chromium is not installed");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut child = child.kill_group_on_drop(true);
        let log = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let url = listening_url(log).await?;
        let connection = Connection::connect(&url).await?;
        Ok(Some(Browser { connection, _child: child, _profile: profile }))
    }

    /// Opens a page in a window of its own, and waits until it is loaded.
    ///
    /// # Errors
    /// The page cannot be loaded.
    pub async fn open(&self, url: &str) -> io::Result<Page> {
        let target = json!({ "url": "about:blank", "newWindow": true });
        let target = self.connection.call(None, "Target.createTarget", target).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.connection.call(None, "Target.attachToTarget", attach).await?;
        let session = session["sessionId"].as_str().unwrap_or_default().to_owned();
        let page = Page::new(self.connection.clone(), session);
        page.load(url).await?;
        Ok(page)
    }
}

/// Reads the browser's log up to the line with its address. The rest is read and thrown away, so that
/// the browser never waits for a full pipe.
async fn listening_url(log: squall_net::PipeReader) -> io::Result<String> {
    let mut log = IoStream::new(log);
    loop {
        let line = log.read_until(b"\n").await?;
        let line = String::from_utf8_lossy(&line);
        if let Some((_, url)) = line.split_once("DevTools listening on ") {
            let url = url.trim().to_owned();
            spawn(async move {
                while log.fill().await.is_ok_and(|read| read > 0) {
                    log.consume(log.buffer().len());
                }
            });
            return Ok(url);
        }
        log::debug!("chromium: {}", line.trim_end());
    }
}

/// The directory of the browser's profile.
struct Profile(PathBuf);

impl Profile {
    fn new() -> io::Result<Profile> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("squall-browser-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Profile(path))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // The process, which has just been killed, may still write.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::debug!("{} is left: {error}", self.0.display());
        }
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}
