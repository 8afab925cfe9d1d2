//! Drives headless Chromium over the [DevTools protocol], for tests of web pages: an example of a
//! WebSocket client and a child process on squall.
//!
//! ```no_run
//! use squall_browser::Browser;
//!
//! squall_net::block_on(async {
//!     let Some(browser) = Browser::start().await? else { return Ok(()) };
//!     let page = browser.open("http://127.0.0.1:8080/").await?;
//!     page.wait_for("document.querySelector('h1') !== null").await?;
//!     let title = page.evaluate("document.title").await?;
//!     assert_eq!(title, "Guestbook");
//!     page.screenshot("guestbook.png").await
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! [DevTools protocol]: https://chromedevtools.github.io/devtools-protocol/

mod browser;
mod connection;
mod page;

pub use browser::Browser;
pub use page::Page;
