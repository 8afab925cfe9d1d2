//! Timers and sleeps: a script that arms, cancels and moves them, against a sorted list.
//!
//! The script runs as a task, and goes on in the callbacks of its timers, on a loop with
//! `Clock::auto_advancing`.
//!
//! - Timers fire in the order of deadline and place, each once, and at its deadline: the clock jumps
//!   there, and no further.
//! - What is armed in a turn waits for the next one, and what was cancelled never fires.
//! - `remove_timeout` tells whether the timer was armed. A sleep is ready when it was woken, and not
//!   before.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use squall_net::{
    Clock, EventLoop, Sleep, TimerId, call_later, now, remove_timeout, sleep, stats, yield_now,
};

use crate::script::Script;
use crate::timers_model::{Event, Kind, Model};

/// Longer than all delays of a script together.
const LONG: Duration = Duration::from_secs(1 << 30);

/// Checks one input: a script.
///
/// # Panics
/// If the loop is wrong.
pub fn check(input: &[u8]) {
    let event_loop = EventLoop::builder().clock(Clock::auto_advancing()).build();
    let event_loop = event_loop.expect("a loop can be made");
    event_loop.block_on(async {
        let run = Rc::new(RefCell::new(Run::new(input.to_vec())));
        loop {
            run.borrow_mut().go_on();
            let Some(act) = run.borrow_mut().choose() else { break };
            match act {
                Act::Yield => yield_now().await,
                Act::Sleep(delay) => sleep(delay).await,
                act => Run::act(&run, act),
            }
        }
        sleep(LONG).await;
        let mut run = run.borrow_mut();
        run.go_on();
        assert!(run.model.is_at_rest(), "{:?}", run.model);
    });
}

enum Act {
    Yield,
    Sleep(Duration),
    Arm(Duration),
    /// Removes the timer with this number.
    Remove(usize),
    /// Makes a sleep, and polls it.
    StartSleep(Duration),
    PollSleep(usize),
    MoveSleep(usize, Duration),
    DropSleep(usize),
}

/// A script, what it has armed, and what it expects.
struct Run {
    script: Vec<u8>,
    at: usize,
    model: Model,
    timers: Vec<(usize, TimerId)>,
    sleeps: Vec<Slept>,
    /// The number of the next timer or sleep.
    next: usize,
    events: Arc<Mutex<Vec<Event>>>,
}

/// A sleep of the script.
struct Slept {
    number: usize,
    sleep: Sleep,
    /// `None` for never.
    deadline: Option<Instant>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Was not polled since it was made or moved.
    Idle,
    Armed,
    /// Woken, and not polled since.
    Fired,
    /// Ready, and not moved since.
    Done,
}

/// Records the wake of a sleep.
struct Wakes {
    number: usize,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        record(&self.events, self.number, Kind::Sleep);
    }
}

fn record(events: &Mutex<Vec<Event>>, number: usize, kind: Kind) {
    let event = Event { number, kind, time: now(), turn: stats().turns };
    events.lock().expect("no panic while it is locked").push(event);
}

fn after(delay: Duration) -> Option<Instant> {
    now().checked_add(delay)
}

impl Run {
    fn new(script: Vec<u8>) -> Run {
        Run {
            script,
            at: 0,
            model: Model::new(now()),
            timers: Vec::new(),
            sleeps: Vec::new(),
            next: 0,
            events: Arc::default(),
        }
    }

    /// Tells the model what has happened since the script last ran.
    fn catch_up(&mut self) {
        let events = std::mem::take(&mut *self.events.lock().expect("no panic while it is locked"));
        for event in events {
            self.model.on(event);
        }
        self.note_fired();
    }

    /// As [`catch_up`](Self::catch_up), in the task.
    fn go_on(&mut self) {
        self.catch_up();
        self.model.run(now(), stats().turns);
        self.note_fired();
    }

    fn note_fired(&mut self) {
        for number in self.model.take_fired() {
            if let Some(slept) = self.sleeps.iter_mut().find(|slept| slept.number == number) {
                assert_eq!(slept.state, State::Armed);
                slept.state = State::Fired;
            }
        }
    }

    /// The next act of the script. `None` at its end.
    fn choose(&mut self) -> Option<Act> {
        let mut script = Script::new(&self.script[self.at..]);
        if script.is_over() {
            return None;
        }
        let (what, whom) = (script.below(12), usize::from(script.byte()));
        let delay = match script.byte() {
            byte @ 0..200 => Duration::from_nanos(u64::from(byte % 12)),
            byte @ 200..250 => Duration::from_millis(u64::from(byte)),
            _ => Duration::MAX,
        };
        self.at = (self.at + 3).min(self.script.len());
        let of = |count: usize| whom.checked_rem(count).unwrap_or_default();
        Some(match what {
            0 => Act::Yield,
            1 => Act::Sleep(delay.min(Duration::from_secs(1))),
            2..5 => Act::Arm(delay),
            5 | 6 if !self.timers.is_empty() => Act::Remove(of(self.timers.len())),
            7 | 8 if self.sleeps.len() < 32 => Act::StartSleep(delay),
            9 if !self.sleeps.is_empty() => Act::PollSleep(of(self.sleeps.len())),
            10 if !self.sleeps.is_empty() => Act::MoveSleep(of(self.sleeps.len()), delay),
            11 if !self.sleeps.is_empty() => Act::DropSleep(of(self.sleeps.len())),
            _ => Act::Yield,
        })
    }

    fn act(run: &Rc<RefCell<Run>>, act: Act) {
        let turn = stats().turns;
        let mut this = run.borrow_mut();
        let this = &mut *this;
        match act {
            Act::Arm(delay) => {
                let number = this.number();
                let events = Arc::clone(&this.events);
                let of_callback = Rc::clone(run);
                let timer = call_later(delay, move || {
                    record(&events, number, Kind::Callback);
                    Run::in_callback(&of_callback);
                });
                this.model.arm(number, Kind::Callback, after(delay), turn);
                this.timers.push((number, timer));
            }
            Act::Remove(at) => {
                let (number, timer) = this.timers[at];
                assert_eq!(remove_timeout(timer), this.model.disarm(number), "timer {number}");
            }
            Act::StartSleep(delay) => {
                let (number, deadline, state) = (this.number(), after(delay), State::Idle);
                this.sleeps.push(Slept { number, sleep: sleep(delay), deadline, state });
                this.poll_sleep(this.sleeps.len() - 1, turn);
            }
            Act::PollSleep(at) => this.poll_sleep(at, turn),
            Act::MoveSleep(at, delay) => this.move_sleep(at, delay, turn),
            Act::DropSleep(at) => {
                let slept = this.sleeps.swap_remove(at);
                let was_armed = this.model.disarm(slept.number);
                assert_eq!(was_armed, slept.state == State::Armed);
            }
            Act::Yield | Act::Sleep(_) => {} // only a task can wait
        }
    }

    /// Goes on with the script in the callback of a timer.
    fn in_callback(run: &Rc<RefCell<Run>>) {
        run.borrow_mut().catch_up();
        let act = run.borrow_mut().choose();
        if let Some(act) = act {
            Run::act(run, act);
        }
    }

    fn number(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    fn poll_sleep(&mut self, at: usize, turn: u64) {
        let slept = &mut self.sleeps[at];
        if slept.state == State::Done {
            return; // it is not to be polled again
        }
        let wakes = Wakes { number: slept.number, events: Arc::clone(&self.events) };
        let waker = Waker::from(Arc::new(wakes));
        let polled = Pin::new(&mut slept.sleep).poll(&mut Context::from_waker(&waker));
        assert_eq!(polled.is_ready(), slept.state == State::Fired, "{:?}", slept.state);
        slept.state = match slept.state {
            State::Idle => {
                self.model.arm(slept.number, Kind::Sleep, slept.deadline, turn);
                State::Armed
            }
            State::Armed => State::Armed,
            State::Fired | State::Done => State::Done,
        };
    }

    fn move_sleep(&mut self, at: usize, delay: Duration, turn: u64) {
        let slept = &mut self.sleeps[at];
        slept.deadline = after(delay);
        match slept.deadline {
            Some(deadline) if at % 2 == 1 => slept.sleep.reset(deadline),
            _ => slept.sleep.reset_after(delay),
        }
        if slept.state == State::Armed {
            self.model.move_to(slept.number, slept.deadline, turn);
        } else {
            slept.state = State::Idle;
        }
    }
}
