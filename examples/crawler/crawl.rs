//! The crawl: a queue of pages, the workers that fetch them, and what they have found.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use async_channel::{Receiver, Sender};
use http::header::CONTENT_TYPE;
use http_client::{
    ClientConfig, ClientResponse, FetchError, FetchRequest, HttpClient, ResponseBody,
};
use indicatif::ProgressBar;
use squall_net::executor::future::Future;
use squall_net::{AbortOnDrop, spawn};

use crate::links::links;
use crate::report::{DeadLink, Report};

/// The most bytes of a page that are read to find its links.
const MAX_PAGE: usize = 8 << 20;

/// How much a crawl may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests at the same time.
    pub(crate) workers: usize,
    /// The most pages that are fetched.
    pub(crate) pages: usize,
}

/// A crawl that runs. It ends when every page that was found is finished.
pub(crate) struct Crawl {
    shared: Rc<Shared>,
    queue: Receiver<Page>,
    workers: RefCell<Vec<AbortOnDrop<()>>>,
}

/// What the workers share.
struct Shared {
    client: HttpClient,
    limits: Limits,
    sender: Sender<Page>,
    /// The scheme and the authority of the first page. Pages elsewhere are not fetched.
    origin: RefCell<String>,
    /// The URLs that were queued, or would have been.
    found: RefCell<HashSet<String>>,
    /// The pages that were queued and are not finished.
    unfinished: Cell<usize>,
    joined: Future<()>,
    report: RefCell<Report>,
    progress: ProgressBar,
}

/// A page to fetch. Its drop is `task_done` of Tornado's queue.
struct Page {
    url: String,
    /// The page with the first link to this one. Empty for the first page.
    found_on: Rc<str>,
    shared: Rc<Shared>,
}

impl Crawl {
    pub(crate) fn new(limits: Limits, progress: ProgressBar) -> Crawl {
        let (sender, queue) = async_channel::unbounded();
        let config = ClientConfig { max_clients: limits.workers, ..ClientConfig::default() };
        let shared = Rc::new(Shared {
            client: HttpClient::with_config(config),
            limits,
            sender,
            origin: RefCell::default(),
            found: RefCell::default(),
            unfinished: Cell::new(0),
            joined: Future::new(),
            report: RefCell::default(),
            progress,
        });
        Crawl { shared, queue, workers: RefCell::default() }
    }

    /// Fetches the first page, queues its links, and starts the workers. A redirect of the first page
    /// decides which host is crawled.
    ///
    /// # Errors
    /// The first page cannot be fetched.
    pub(crate) async fn start(&self, url: &str) -> Result<(), FetchError> {
        let (response, body) = self.shared.client.fetch_streaming(url).await?;
        *self.shared.origin.borrow_mut() = origin(response.url()).to_owned();
        let first = self.shared.page(response.url().to_owned(), "".into());
        self.shared.found.borrow_mut().insert(url.to_owned());
        self.shared.found.borrow_mut().insert(first.url.clone());
        first.read(&response, body).await?;
        let mut workers = self.workers.borrow_mut();
        for _ in 0..self.shared.limits.workers {
            let queue = self.queue.clone();
            workers.push(spawn(work(queue)).abort_on_drop());
        }
        Ok(())
    }

    /// Waits until every page that was found is finished.
    pub(crate) async fn joined(&self) {
        let _ = self.shared.joined.ready().await; // this future is never cancelled
    }

    /// Ends the workers and returns what they have found.
    pub(crate) fn finish(&self) -> Report {
        let workers = self.workers.take();
        drop(workers);
        self.shared.progress.finish_and_clear();
        self.shared.report.take()
    }
}

async fn work(queue: Receiver<Page>) {
    while let Ok(page) = queue.recv().await {
        if let Err(error) = page.fetch().await {
            page.shared.report.borrow_mut().dead.push(DeadLink {
                url: page.url.clone(),
                found_on: page.found_on.to_string(),
                why: reason(&error),
            });
        }
    }
}

impl Shared {
    fn page(self: &Rc<Self>, url: String, found_on: Rc<str>) -> Page {
        self.unfinished.set(self.unfinished.get() + 1);
        self.progress.inc_length(1);
        Page { url, found_on, shared: Rc::clone(self) }
    }

    /// Queues a page of the crawled host, unless it was found before.
    fn push(self: &Rc<Self>, url: String, found_on: &Rc<str>) {
        if origin(&url) != *self.origin.borrow() || !self.found.borrow_mut().insert(url.clone()) {
            return;
        }
        if self.found.borrow().len() > self.limits.pages {
            self.report.borrow_mut().beyond_limit += 1;
            return;
        }
        let page = self.page(url, Rc::clone(found_on));
        let _ = self.sender.try_send(page); // it fails only when the crawl has ended
    }
}

impl Page {
    async fn fetch(&self) -> Result<(), FetchError> {
        self.shared.progress.set_message(self.url.clone());
        let request = FetchRequest::get(&self.url);
        let (response, body) = self.shared.client.fetch_streaming(request).await?;
        self.read(&response, body).await
    }

    /// Reads a page and queues its links. Of what is not HTML, only the head is read.
    async fn read(
        &self,
        response: &ClientResponse,
        mut body: ResponseBody,
    ) -> Result<(), FetchError> {
        let content_type = response.headers().get(CONTENT_TYPE);
        let is_html = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        let mut html = Vec::new();
        while is_html && html.len() < MAX_PAGE {
            match body.next().await? {
                Some(piece) => html.extend_from_slice(&piece),
                None => break,
            }
        }
        let mut report = self.shared.report.borrow_mut();
        report.pages += 1;
        report.bytes += html.len();
        drop(report);
        // A page that is elsewhere after a redirect has links of another site.
        if origin(response.url()) == *self.shared.origin.borrow() {
            let here: Rc<str> = self.url.as_str().into();
            for url in links(&html, response) {
                self.shared.push(url, &here);
            }
        }
        Ok(())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let unfinished = self.shared.unfinished.get() - 1;
        self.shared.unfinished.set(unfinished);
        self.shared.progress.inc(1);
        if unfinished == 0 {
            let _ = self.shared.joined.set_result(()); // it may have been set
        }
    }
}

/// The scheme and the authority of an absolute URL.
fn origin(url: &str) -> &str {
    let host = url.find("//").map_or(0, |at| at + 2);
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..path]
}

/// The reason for a dead link, in a few words.
fn reason(error: &FetchError) -> String {
    match error {
        FetchError::Status(response) => response.status().to_string(),
        other => other.to_string(),
    }
}
