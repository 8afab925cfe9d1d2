//! Queues from other crates in place of Tornado's.
//!
//! `async_channel` is the plain queue. Several tasks that wait on one end are all served, but may
//! overtake each other. The [`Queue`] below keeps their order, and can also be a stack or a heap.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use async_channel::{TryRecvError, TrySendError};
use event_listener::Event;
use squall_executor::{JoinHandle, spawn, timeout, yield_now};
use tokio::sync::Semaphore;

use crate::support::{Log, SECOND, TestLoop, settle, within_a_limit};

/// The container of the items: it makes the queue a `Queue`, a `LifoQueue` or a `PriorityQueue`.
trait Store<T>: Default {
    fn put(&mut self, item: T);
    fn get(&mut self) -> Option<T>;
}

impl<T> Store<T> for VecDeque<T> {
    fn put(&mut self, item: T) {
        self.push_back(item);
    }
    fn get(&mut self) -> Option<T> {
        self.pop_front()
    }
}

impl<T> Store<T> for Vec<T> {
    fn put(&mut self, item: T) {
        self.push(item);
    }
    fn get(&mut self) -> Option<T> {
        self.pop()
    }
}

impl<T: Ord> Store<T> for BinaryHeap<Reverse<T>> {
    fn put(&mut self, item: T) {
        self.push(Reverse(item));
    }
    fn get(&mut self) -> Option<T> {
        self.pop().map(|Reverse(item)| item)
    }
}

/// Tornado's queues, strictly in order on both ends. One semaphore counts the free places, the
/// other the items.
struct Queue<S> {
    room: Semaphore,
    filled: Semaphore,
    store: RefCell<S>,
}

impl<S> Queue<S> {
    fn new<T>(capacity: usize) -> Queue<S>
    where
        S: Store<T>,
    {
        let (room, filled) = (Semaphore::new(capacity), Semaphore::new(0));
        Queue { room, filled, store: RefCell::default() }
    }

    async fn put<T>(&self, item: T)
    where
        S: Store<T>,
    {
        self.room.acquire().await.expect("it is never closed").forget();
        self.store.borrow_mut().put(item);
        self.filled.add_permits(1);
    }

    fn try_put<T>(&self, item: T) -> Result<(), T>
    where
        S: Store<T>,
    {
        let Ok(room) = self.room.try_acquire() else { return Err(item) };
        room.forget();
        self.store.borrow_mut().put(item);
        self.filled.add_permits(1);
        Ok(())
    }

    async fn get<T>(&self) -> T
    where
        S: Store<T>,
    {
        self.filled.acquire().await.expect("it is never closed").forget();
        self.room.add_permits(1);
        self.store.borrow_mut().get().expect("each permit stands for an item")
    }

    fn try_get<T>(&self) -> Option<T>
    where
        S: Store<T>,
    {
        self.filled.try_acquire().ok()?.forget();
        self.room.add_permits(1);
        self.store.borrow_mut().get()
    }
}

/// Tornado's `task_done` and `join`: each item comes with a ticket, whose drop is `task_done`.
#[derive(Default)]
struct Unfinished {
    count: Cell<usize>,
    done: Event,
}

struct Ticket(Rc<Unfinished>);

impl Unfinished {
    fn ticket(self: &Rc<Self>) -> Ticket {
        self.count.set(self.count.get() + 1);
        Ticket(self.clone())
    }

    async fn join(&self) {
        while self.count.get() > 0 {
            self.done.listen().await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            self.0.done.notify(usize::MAX);
        }
    }
}

// LCK-12
#[test]
fn a_queue_keeps_its_order_and_reports_full_and_empty() {
    within_a_limit(async {
        let (sender, receiver) = async_channel::bounded(2);
        assert_eq!((receiver.capacity(), receiver.is_empty()), (Some(2), true));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!((sender.try_send(0), sender.try_send(1)), (Ok(()), Ok(())));
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!((receiver.len(), receiver.is_full()), (2, true));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(0), Ok(1)));

        let (sender, receiver) = async_channel::unbounded();
        assert!((0..1000).all(|number| sender.try_send(number).is_ok()));
        drop(sender);
        let mut numbers = Vec::new();
        while let Ok(number) = receiver.recv().await {
            numbers.push(number);
        }
        assert!(numbers.into_iter().eq(0..1000), "the end comes after the last item");
    });
}

// LCK-13
#[test]
fn waiting_puts_and_gets_keep_their_order() {
    within_a_limit(async {
        let queue = Rc::new(Queue::<VecDeque<u32>>::new(1));
        let putters: Vec<_> = (0..6)
            .map(|number| {
                let queue = queue.clone();
                spawn(async move { queue.put(number).await })
            })
            .collect();
        settle().await;
        assert_eq!(queue.try_put(99), Err(99));
        let mut got = Vec::new();
        for _ in 0..6 {
            got.push(queue.get().await);
            settle().await;
        }
        assert_eq!(got, [0, 1, 2, 3, 4, 5]);
        assert!(putters.iter().all(JoinHandle::is_finished));

        let log = Log::new();
        for getter in 0..6 {
            let (queue, log) = (queue.clone(), log.clone());
            drop(spawn(async move { log.note((getter, queue.get().await)) }));
        }
        settle().await;
        for number in 0..6 {
            queue.put(number).await;
            settle().await;
        }
        assert!(log.take().into_iter().eq((0..6).map(|number| (number, number))));
    });
}

// Tornado loses the item here.
#[test]
fn an_item_that_woke_a_cancelled_getter_goes_to_the_next() {
    within_a_limit(async {
        let (sender, receiver) = async_channel::unbounded();
        let getters = [0, 1].map(|_| {
            let receiver = receiver.clone();
            spawn(async move { receiver.recv().await })
        });
        settle().await;
        assert_eq!(sender.try_send("item"), Ok(()));
        let [first, second] = getters;
        first.abort();
        assert!(first.await.is_err());
        assert_eq!(second.await.expect("no task panics"), Ok("item"));
    });
}

// LCK-15
#[test]
fn a_get_with_a_timeout_of_zero_fails_at_once_on_an_empty_queue() {
    let test = TestLoop::new();
    let (sender, receiver) = async_channel::bounded(1);
    let log = Log::new();
    for _ in 0..2 {
        let (receiver, log) = (receiver.clone(), log.clone());
        drop(test.start(async move {
            log.note(timeout(Duration::ZERO, receiver.recv()).await.ok());
        }));
        let _ = sender.try_send("item"); // for the second round
    }
    assert_eq!(log.take(), [None, Some(Ok("item"))], "while the clock stands still");
}

// LCK-16
#[test]
fn join_ends_when_the_work_is_done_and_not_when_it_is_taken() {
    let test = TestLoop::new();
    let unfinished = Rc::new(Unfinished::default());
    let (sender, receiver) = async_channel::unbounded();
    let log = Log::new();
    let join = |limit| {
        let (unfinished, log) = (unfinished.clone(), log.clone());
        drop(test.start(async move { log.note(timeout(limit, unfinished.join()).await.is_ok()) }));
    };
    join(SECOND);
    assert_eq!(log.take(), [true], "nothing was ever put");

    for item in ["a", "b"] {
        assert!(sender.try_send((item, unfinished.ticket())).is_ok());
    }
    join(SECOND);
    join(Duration::MAX);
    let (first, second) = (receiver.try_recv(), receiver.try_recv());
    test.settle();
    assert_eq!((receiver.is_empty(), log.take()), (true, vec![]), "taken, but not done");
    test.advance(SECOND);
    assert_eq!(log.take(), [false]);
    drop(first); // `task_done`; a second call for the same item would not compile
    test.settle();
    assert!(log.take().is_empty());
    drop(second);
    test.settle();
    assert_eq!(log.take(), [true]);
}

// LCK-17
#[test]
fn the_store_makes_a_queue_a_priority_queue_or_a_stack() {
    within_a_limit(async {
        let queue = Queue::<BinaryHeap<Reverse<(u32, &str)>>>::new(2);
        assert_eq!((queue.try_put((1, "a")), queue.try_put((0, "b"))), (Ok(()), Ok(())));
        assert_eq!(queue.try_put((2, "c")), Err((2, "c")));
        assert_eq!((queue.get().await, queue.get().await), ((0, "b"), (1, "a")));
        assert_eq!(queue.try_get(), None::<(u32, &str)>);

        let queue = Queue::<Vec<u32>>::new(2);
        assert_eq!((queue.try_put(1), queue.try_put(0)), (Ok(()), Ok(())));
        assert_eq!(queue.try_put(2), Err(2));
        assert_eq!((queue.get().await, queue.get().await), (0, 1));
        assert_eq!(queue.try_get(), None);
    });
}

// LCK-18
#[test]
fn a_producer_and_a_consumer_pass_ten_items_through_a_queue_of_three() {
    within_a_limit(async {
        let (sender, receiver) = async_channel::bounded(3);
        let producer = spawn(async move {
            for number in 0..10 {
                sender.send(number).await.expect("the consumer is there");
                assert!(sender.len() <= 3);
            }
        });
        let mut numbers = Vec::new();
        while let Ok(number) = receiver.recv().await {
            numbers.push(number);
            yield_now().await;
        }
        assert!(numbers.into_iter().eq(0..10));
        producer.await.expect("no task panics");
    });
}
