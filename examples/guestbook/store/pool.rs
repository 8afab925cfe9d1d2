//! A few connections that the requests use in turn.

use std::cell::RefCell;
use std::rc::Rc;

use async_channel::{Receiver, Sender};

/// A fixed number of places for connections. A request opens a connection in its place if no other
/// request has left one.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    /// One message for each place that no request uses.
    free: Receiver<()>,
    shared: Rc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    free: Sender<()>,
    /// The open connections that no request uses, at most as many as there are free places. The
    /// last one was used last, and is used next.
    idle: RefCell<Vec<T>>,
}

/// A place of a [`Pool`]. Dropping it frees the place, and leaves the connection that is in it then
/// for another request.
#[derive(Debug)]
pub(crate) struct Place<T> {
    pub(crate) connection: Option<T>,
    shared: Rc<Shared<T>>,
}

impl<T> Pool<T> {
    /// A pool with this many places.
    pub(crate) fn new(places: usize) -> Pool<T> {
        let (sender, free) = async_channel::bounded(places);
        let shared = Rc::new(Shared { free: sender, idle: RefCell::default() });
        for _ in 0..places {
            shared.free();
        }
        Pool { free, shared }
    }

    /// Waits for a free place; the request that has waited longest gets it.
    ///
    /// # Cancel safety
    /// A dropped wait takes no place.
    pub(crate) async fn take(&self) -> Place<T> {
        self.free.recv().await.expect("the pool holds a sender");
        let connection = self.shared.idle.borrow_mut().pop();
        Place { connection, shared: Rc::clone(&self.shared) }
    }
}

impl<T> Shared<T> {
    fn free(&self) {
        self.free.try_send(()).unwrap_or_default(); // fails only if the pool is gone
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.idle.borrow_mut().push(connection);
        }
        self.shared.free();
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::poll_once;
    use squall_net::block_on;

    use super::*;

    #[test]
    fn a_place_is_used_by_one_request_at_a_time_and_keeps_its_connection() {
        block_on(async {
            let pool = Pool::new(1);
            let mut place = pool.take().await;
            assert_eq!(place.connection.replace("open"), None);
            let mut next = std::pin::pin!(pool.take());
            assert!(poll_once(next.as_mut()).await.is_none());
            drop(place);
            let mut place = next.await;
            assert_eq!(place.connection.take(), Some("open"));
            drop(place);
            assert_eq!(pool.take().await.connection, None);
        });
    }

    #[test]
    fn the_connection_that_was_used_last_is_used_next() {
        block_on(async {
            let pool = Pool::new(3);
            let [mut one, mut other] = [pool.take().await, pool.take().await];
            one.connection = Some(1);
            other.connection = Some(2);
            drop(one);
            drop(other);
            assert_eq!(pool.take().await.connection, Some(2));
            let places = [pool.take().await, pool.take().await, pool.take().await];
            assert_eq!(places.map(|mut place| place.connection.take()), [Some(2), Some(1), None]);
        });
    }
}
