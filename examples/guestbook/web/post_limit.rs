//! How often one client may post.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use squall_net::now;

/// The most clients that are counted at a time. If one more comes, the client whose minute began
/// first is forgotten.
const MAX_CLIENTS: usize = 10_000;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts the posts of each client, minute by minute.
#[derive(Debug)]
pub(crate) struct PostLimit {
    posts_a_minute: u32,
    clients: RefCell<HashMap<IpAddr, Count>>,
}

/// The posts of a client in the minute that began with the first of them.
#[derive(Clone, Copy, Debug)]
struct Count {
    begin: Instant,
    posts: u32,
}

impl PostLimit {
    pub(crate) fn new(posts_a_minute: u32) -> PostLimit {
        PostLimit { posts_a_minute, clients: RefCell::default() }
    }

    /// Counts a post.
    ///
    /// # Errors
    /// The time until the client may post again, if this was one too many.
    pub(crate) fn count(&self, client: IpAddr) -> Result<(), Duration> {
        let now = now();
        let mut clients = self.clients.borrow_mut();
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&client) {
            clients.retain(|_, count| now < count.begin + MINUTE);
            let oldest = clients.iter().min_by_key(|(_, count)| count.begin);
            let oldest = oldest.map(|(client, _)| *client);
            if let (true, Some(oldest)) = (clients.len() >= MAX_CLIENTS, oldest) {
                clients.remove(&oldest);
            }
        }
        let count = clients.entry(client).or_insert(Count { begin: now, posts: 0 });
        if count.begin + MINUTE <= now {
            *count = Count { begin: now, posts: 0 };
        }
        if count.posts == self.posts_a_minute {
            return Err(count.begin + MINUTE - now);
        }
        count.posts += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use squall_net::{Clock, EventLoop};

    use super::*;

    /// Runs `test` on a loop with a clock that stands still.
    fn with_clock(test: impl AsyncFnOnce(Clock)) {
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
        event_loop.block_on(test(clock));
    }

    #[test]
    fn a_client_may_post_again_a_minute_after_its_first_post() {
        with_clock(async |clock| {
            let limit = PostLimit::new(2);
            let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
            limit.count(one).unwrap();
            clock.advance_and_settle(Duration::from_secs(20)).await;
            limit.count(one).unwrap();
            assert_eq!(limit.count(one), Err(Duration::from_secs(40)));
            limit.count(other).unwrap();
            clock.advance_and_settle(Duration::from_secs(39)).await;
            assert_eq!(limit.count(one), Err(Duration::from_secs(1)));
            clock.advance_and_settle(Duration::from_secs(1)).await;
            limit.count(one).unwrap();
        });
    }

    #[test]
    fn the_memory_for_clients_is_bounded() {
        with_clock(async |clock| {
            let limit = PostLimit::new(1);
            let client = |number: u32| IpAddr::from(number.to_be_bytes());
            limit.count(client(0)).unwrap();
            clock.advance_and_settle(Duration::from_secs(1)).await;
            for number in 1..u32::try_from(MAX_CLIENTS).unwrap() + 1 {
                limit.count(client(number)).unwrap();
            }
            assert_eq!(limit.clients.borrow().len(), MAX_CLIENTS);
            limit.count(client(1)).unwrap_err();
            limit.count(client(0)).unwrap(); // was forgotten
        });
    }
}
