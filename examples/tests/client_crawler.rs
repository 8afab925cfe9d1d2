//! A crawler: workers with a shared client visit every page of a generated site.

mod client_kit;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_channel::{Receiver, Sender};
use client_kit::run;
use http::StatusCode;
use squall_net::executor::future::Future;
use squall_net::spawn;
use tiny_http::{Config, FetchError, HttpClient, HttpServer, Request, Response};

const PAGES: usize = 1000;
const WORKERS: usize = 10;

/// A page and the pages to which it links. Page 500 links to one that does not exist.
fn page(number: usize) -> Option<String> {
    if number >= PAGES {
        return None;
    }
    let dead = (number == 500).then_some(PAGES + 1);
    let links = [2 * number + 1, 2 * number + 2, number / 3, (number * 7 + 3) % PAGES];
    let links = links.into_iter().filter(|link| *link < PAGES).chain(dead);
    Some(links.map(|link| format!("<a href=\"/{link}\">")).collect())
}

fn site() -> (HttpServer, String, Rc<RefCell<BTreeMap<usize, usize>>>) {
    let visits = Rc::new(RefCell::new(BTreeMap::new()));
    let count = Rc::clone(&visits);
    let server = HttpServer::new(Config::default(), async move |request: &mut Request<'_>| {
        let number = request.path().trim_start_matches('/').parse().unwrap_or(0);
        *count.borrow_mut().entry(number).or_default() += 1;
        Ok(match page(number) {
            Some(text) => Response::text(text),
            None => Response::status(StatusCode::NOT_FOUND),
        })
    });
    let address = server.listen("127.0.0.1:0").unwrap();
    (server, format!("http://{address}"), visits)
}

/// A crawl: its queue, what it has found, and the future of its end.
struct Crawl {
    client: HttpClient,
    root: String,
    sender: Sender<(String, Ticket)>,
    receiver: Receiver<(String, Ticket)>,
    found: RefCell<BTreeSet<String>>,
    /// The number of tickets: pages that were found and are not finished.
    unfinished: Cell<usize>,
    dead: RefCell<Vec<String>>,
    joined: Future<()>,
}

/// Counts a page until it is finished. Its drop is `task_done` of Tornado's queue.
struct Ticket(Rc<Crawl>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.unfinished.set(self.0.unfinished.get() - 1);
        if self.0.unfinished.get() == 0 {
            let _ = self.0.joined.set_result(()); // it is set once
        }
    }
}

impl Crawl {
    fn new(root: String) -> Rc<Crawl> {
        let (sender, receiver) = async_channel::unbounded();
        Rc::new(Crawl {
            client: HttpClient::new(),
            root,
            sender,
            receiver,
            found: RefCell::default(),
            unfinished: Cell::new(0),
            dead: RefCell::default(),
            joined: Future::new(),
        })
    }

    /// Queues a page unless it was found before.
    fn push(self: &Rc<Self>, path: &str) {
        let url = format!("{}{path}", self.root);
        if self.found.borrow_mut().insert(url.clone()) {
            self.unfinished.set(self.unfinished.get() + 1);
            let entry = (url, Ticket(Rc::clone(self)));
            self.sender.try_send(entry).unwrap_or_else(|_| panic!("the queue has no limit"));
        }
    }

    async fn work(self: Rc<Self>) {
        while let Ok((url, _ticket)) = self.receiver.recv().await {
            match self.client.fetch(&url).await {
                Ok(page) => {
                    let text = str::from_utf8(page.body()).unwrap();
                    let links = text.split('"').filter(|part| part.starts_with('/'));
                    links.for_each(|link| self.push(link));
                }
                Err(FetchError::Status(page)) if page.status() == StatusCode::NOT_FOUND => {
                    self.dead.borrow_mut().push(url);
                }
                Err(error) => panic!("{url}: {error}"),
            }
        }
    }
}

// HTC-X3
#[test]
fn ten_workers_visit_each_of_a_thousand_pages_once_and_count_the_dead_link() {
    run(async {
        let (server, root, visits) = site();
        let crawl = Crawl::new(root);
        crawl.push("/0");
        let workers: Vec<_> =
            (0..WORKERS).map(|_| spawn(Rc::clone(&crawl).work()).abort_on_drop()).collect();
        crawl.joined.ready().await.unwrap();

        let visits = visits.borrow();
        assert!(visits.keys().copied().eq((0..PAGES).chain([PAGES + 1])), "{visits:?}");
        assert!(visits.values().all(|count| *count == 1), "{visits:?}");
        assert_eq!(*crawl.dead.borrow(), [format!("{}/{}", crawl.root, PAGES + 1)]);
        assert!(server.connections() <= workers.len());
    });
}
