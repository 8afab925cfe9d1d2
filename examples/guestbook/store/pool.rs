//! A few connections that the requests use in turn.

use async_channel::{Receiver, Sender};

/// A fixed number of places for connections. A place is empty until a request has opened a
/// connection for it, and again after that connection has failed.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    /// The places that no request uses. Never holds more than its capacity, so a place can always
    /// be put back.
    giver: Sender<Option<T>>,
    free: Receiver<Option<T>>,
}

/// A place of a [`Pool`]. Dropping it puts it back, with the connection that is in it by then.
#[derive(Debug)]
pub(crate) struct Place<T> {
    pub(crate) connection: Option<T>,
    giver: Sender<Option<T>>,
}

impl<T> Pool<T> {
    /// A pool with this many empty places.
    pub(crate) fn new(places: usize) -> Pool<T> {
        let (giver, free) = async_channel::bounded(places);
        for _ in 0..places {
            put_back(&giver, None);
        }
        Pool { giver, free }
    }

    /// Waits for a free place; the request that has waited longest gets it.
    ///
    /// # Cancel safety
    /// A dropped wait takes no place.
    pub(crate) async fn take(&self) -> Place<T> {
        let connection = self.free.recv().await.expect("the pool holds a sender");
        Place { connection, giver: self.giver.clone() }
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        put_back(&self.giver, self.connection.take());
    }
}

fn put_back<T>(giver: &Sender<Option<T>>, connection: Option<T>) {
    // If the pool is gone, the connection is dropped with the error.
    let _ = giver.try_send(connection);
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
}
