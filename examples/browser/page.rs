//! One page: scripts, conditions and pictures.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use squall_net::{sleep, spawn_blocking};

use crate::connection::Connection;

/// The limit of every wait.
const WATCHDOG: Duration = Duration::from_secs(20);
/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// A page of the browser. It stays open until the browser ends.
pub struct Page {
    connection: Connection,
    session: String,
}

impl Page {
    pub(crate) fn new(connection: Connection, session: String) -> Page {
        Page { connection, session }
    }

    /// Loads `url` and waits until the page and what it refers to are loaded.
    ///
    /// # Errors
    /// The page cannot be loaded, or not within 20 seconds.
    pub async fn load(&self, url: &str) -> io::Result<()> {
        let loaded = self.call("Page.navigate", json!({ "url": url })).await?;
        if let Some(error) = loaded["errorText"].as_str() {
            return Err(io::Error::other(format!("{url}: {error}")));
        }
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'").await
    }

    /// Runs a script in the page and returns the value of its last expression. If that is a promise,
    /// waits for its value.
    ///
    /// # Errors
    /// The script throws; the error's text is the exception's.
    pub async fn evaluate(&self, script: &str) -> io::Result<Value> {
        let params = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut outcome = self.call("Runtime.evaluate", params).await?;
        match outcome.get("exceptionDetails") {
            Some(details) => {
                let what = details["exception"]["description"].as_str();
                let what = what.or(details["text"].as_str()).unwrap_or("an exception");
                Err(io::Error::other(format!("{script}: {what}")))
            }
            None => Ok(outcome["result"]["value"].take()),
        }
    }

    /// Waits until the script's value is true. The page may load another one meanwhile.
    ///
    /// # Errors
    /// It is not within 20 seconds, or throws.
    pub async fn wait_for(&self, condition: &str) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            match self.evaluate(condition).await {
                Ok(value) if value == true => return Ok(()),
                Ok(_) => {}
                Err(error) if is_navigation(&error) => {}
                Err(error) => return Err(error),
            }
            if begin.elapsed() > WATCHDOG {
                return Err(io::Error::new(io::ErrorKind::TimedOut, condition.to_owned()));
            }
            sleep(PAUSE).await;
        }
    }

    /// Writes a picture of the window to a PNG file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn screenshot(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await?;
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap_or_default());
        let (picture, path) = (picture.map_err(io::Error::other)?, path.as_ref().to_owned());
        spawn_blocking(move || fs::write(path, picture)).await?
    }

    /// Sets the size of the window's inside, in pixels.
    ///
    /// # Errors
    /// The browser refuses it.
    pub async fn resize(&self, width: u32, height: u32) -> io::Result<()> {
        let params = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", params).await.map(drop)
    }

    /// Sets whether the page is shown to a user who prefers dark colours.
    ///
    /// # Errors
    /// The browser refuses it.
    pub async fn set_dark(&self, is_dark: bool) -> io::Result<()> {
        let value = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await.map(drop)
    }

    /// Sets the files of a file input, which the selector names.
    ///
    /// # Errors
    /// The page has no such input.
    pub async fn choose_file(&self, selector: &str, path: impl AsRef<Path>) -> io::Result<()> {
        let root = self.call("DOM.getDocument", json!({})).await?;
        let params = json!({ "nodeId": root["root"]["nodeId"], "selector": selector });
        let node = self.call("DOM.querySelector", params).await?;
        let params = json!({ "nodeId": node["nodeId"], "files": [path.as_ref()] });
        self.call("DOM.setFileInputFiles", params).await.map(drop)
    }

    async fn call(&self, method: &str, params: Value) -> io::Result<Value> {
        self.connection.call(Some(&self.session), method, params).await
    }
}

/// Whether a script was not run to its end because the page has loaded another one.
fn is_navigation(error: &io::Error) -> bool {
    let text = error.to_string();
    ["navigated or closed", "context was destroyed", "Cannot find context"]
        .iter()
        .any(|known| text.contains(known))
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}
