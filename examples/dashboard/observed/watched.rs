//! A loop that is watched: the questions to it and its answers.
//!
//! At most one question is on its way to a loop. A second caller waits for the same answer,
//! so that a stuck loop finds one message when it goes on, however many asked.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_channel::{Receiver, bounded};
use squall_net::{Dump, Handle, now, sleep_until, spawn, timeout};

use crate::observed::recorder::Recorder;
use crate::observed::sample::{Question, Sample};
use crate::options::Options;

/// The loops of a dashboard.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Vec<Arc<Watched>>>);

impl Roster {
    /// Adds a loop, in the place of one with the same name that has ended.
    pub(crate) fn add(&self, watched: Arc<Watched>) {
        let mut loops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_replaced = |known: &Arc<Watched>| known.is_closed() && known.name == watched.name;
        match loops.iter().position(is_replaced) {
            Some(place) => loops[place] = watched,
            None => loops.push(watched),
        }
    }

    pub(crate) fn loops(&self) -> Vec<Arc<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn stop_recording(&self) {
        self.loops().iter().for_each(|watched| watched.stop_recording());
    }
}

/// One loop.
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) recorder: Arc<Recorder>,
    /// When the dashboard began to watch it.
    pub(crate) since: Instant,
    handle: Handle,
    /// `None`: always.
    record_for: Option<Duration>,
    conversation: Mutex<Conversation>,
}

#[derive(Default)]
struct Conversation {
    /// The question that is on its way, and a receiver that is closed when it has been answered, or
    /// will never be.
    asked: Option<(Instant, Receiver<Infallible>)>,
    /// The number of questions so far.
    questions: u64,
    /// How long the last question that was answered had waited for its turn.
    lag: Duration,
    sample: Option<Arc<Sample>>,
    /// The lists of the last sample that had some.
    lists: Option<Arc<Sample>>,
    /// When the loop was last asked for its numbers, on the clock of the dashboard's loop.
    looked: Option<Instant>,
    /// Whether a task waits until the loop need not time its entries any more.
    is_recording: bool,
}

/// What is known of a loop, without asking it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) condition: Condition,
    /// How long the last question that was answered had waited for its turn.
    pub(crate) lag: Duration,
    pub(crate) questions: u64,
    pub(crate) sample: Option<Arc<Sample>>,
    lists: Option<Arc<Sample>>,
}

impl Known {
    pub(crate) fn dump(&self) -> Option<&Dump> {
        self.lists.as_ref()?.dump.as_ref()
    }
}

#[derive(Debug)]
pub(crate) enum Condition {
    Answers,
    /// It has not answered a question for that long.
    Waits(Duration),
    Closed,
}

impl Watched {
    pub(crate) fn new(name: String, handle: Handle, options: &Options) -> Watched {
        let recorder = Recorder::new(options.slow_entry);
        if options.record_for.is_none() {
            let recorder = Arc::clone(&recorder);
            let _ = handle.add_callback(move || recorder.switch_on()); // a closed loop needs none
        }
        let (record_for, conversation) = (options.record_for, Mutex::default());
        Watched { name, recorder, since: Instant::now(), handle, record_for, conversation }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Sends a question, unless one is on its way.
    pub(crate) fn ask(self: &Arc<Self>, question: Question) {
        let asked = Instant::now();
        let mut conversation = self.lock();
        if question > Question::Alive {
            conversation.looked = Some(now());
        }
        if conversation.asked.as_ref().is_some_and(|(_, answered)| !answered.is_closed()) {
            return;
        }
        let (unanswered, answered) = bounded(1);
        conversation.asked = Some((asked, answered));
        conversation.questions += 1;
        let starts_recording = question > Question::Alive
            && self.record_for.is_some()
            && !std::mem::replace(&mut conversation.is_recording, true);
        drop(conversation);
        if starts_recording {
            drop(spawn(Arc::clone(self).record_while_looked()));
        }
        let watched = Arc::clone(self);
        // If the loop is closed, the question is dropped, and with it the sender.
        let _ = self.handle.add_callback(move || {
            watched.answer(question, asked);
            drop(unanswered);
        });
    }

    /// Runs on the loop's thread.
    fn answer(&self, question: Question, asked: Instant) {
        let lag = asked.elapsed();
        if question > Question::Alive {
            self.recorder.switch_on();
        }
        let sample = Sample::take(question).map(Arc::new);
        let mut conversation = self.lock();
        conversation.lag = lag;
        if let Some(sample) = sample {
            if question == Question::Lists {
                conversation.lists = Some(Arc::clone(&sample));
            }
            conversation.sample = Some(sample);
        }
    }

    /// Waits until the question on its way is answered, at most until `patience` has passed since it
    /// was asked. Returns whether none is on its way.
    pub(crate) async fn is_answered_within(&self, patience: Duration) -> bool {
        let question = self.lock().asked.clone();
        let Some((asked, answered)) = question else { return true };
        timeout(patience.saturating_sub(asked.elapsed()), answered.recv()).await.is_ok()
    }

    pub(crate) fn known(&self) -> Known {
        let conversation = self.lock();
        let waits = conversation.asked.as_ref().filter(|(_, answered)| !answered.is_closed());
        let condition = match waits {
            _ if self.is_closed() => Condition::Closed,
            Some((asked, _)) => Condition::Waits(asked.elapsed()),
            None => Condition::Answers,
        };
        Known {
            condition,
            lag: conversation.lag,
            questions: conversation.questions,
            sample: conversation.sample.clone(),
            lists: conversation.lists.clone(),
        }
    }

    /// Ends the timing of entries when the dashboard was not looked at for [`Options::record_for`].
    async fn record_while_looked(self: Arc<Self>) {
        let time = self.record_for.unwrap_or(Duration::MAX);
        loop {
            let looked = self.lock().looked.unwrap_or_else(now);
            match looked.checked_add(time) {
                Some(end) if end > now() => sleep_until(end).await,
                Some(_) => return self.stop_recording(),
                None => return,
            }
        }
    }

    /// Makes the loop time no more entries, until it is asked for its numbers again.
    pub(crate) fn stop_recording(&self) {
        self.lock().is_recording = false;
        let recorder = Arc::clone(&self.recorder);
        let _ = self.handle.add_callback(move || recorder.switch_off()); // a closed loop has none
    }

    fn lock(&self) -> MutexGuard<'_, Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_net::{Clock, EventLoop, Stats, sleep, stats, yield_now};

    /// A loop that watches itself, on a clock that jumps.
    fn observed(options: &Options, test: impl AsyncFnOnce(Arc<Watched>)) {
        let event_loop = EventLoop::builder().clock(Clock::auto_advancing()).build().unwrap();
        let watched = Watched::new("itself".to_owned(), event_loop.handle(), options);
        event_loop.block_on(test(Arc::new(watched)));
    }

    #[test]
    fn whoever_asks_while_a_question_is_on_its_way_waits_for_its_answer() {
        observed(&Options::default(), async |watched| {
            let before = stats().messages;
            for question in [Question::Alive, Question::Lists, Question::Numbers] {
                watched.ask(question);
            }
            assert!(matches!(watched.known().condition, Condition::Waits(_)));
            assert!(watched.is_answered_within(Duration::MAX).await);
            assert_eq!(stats().messages, before + 1);
            let known = watched.known();
            assert!(matches!(known.condition, Condition::Answers));
            assert_eq!((known.questions, known.sample.is_some()), (1, false));
        });
    }

    #[test]
    fn a_question_brings_numbers_and_lists_if_they_were_asked_for() {
        observed(&Options::default(), async |watched| {
            watched.ask(Question::Numbers);
            assert!(watched.is_answered_within(Duration::MAX).await);
            assert!(watched.known().dump().is_none());
            assert_eq!(watched.known().sample.unwrap().stats.messages, 1);
            drop(spawn(sleep(Duration::MAX)));
            yield_now().await;
            watched.ask(Question::Lists);
            assert!(watched.is_answered_within(Duration::MAX).await);
            let sample = watched.known().sample.unwrap();
            let Stats { live_tasks, live_timers, .. } = sample.stats;
            let dump = watched.known().dump().cloned().unwrap();
            assert_eq!((dump.tasks.len(), dump.timers.len()), (live_tasks + 1, live_timers));
            // The lists stay when only numbers are asked for.
            watched.ask(Question::Numbers);
            assert!(watched.is_answered_within(Duration::MAX).await);
            assert!(watched.known().dump().is_some());
        });
    }

    #[test]
    fn a_loop_with_very_many_tasks_is_counted_and_not_listed() {
        observed(&Options::default(), async |watched| {
            for _ in 0..10_001 {
                drop(spawn(std::future::pending::<()>()));
            }
            watched.ask(Question::Lists);
            assert!(watched.is_answered_within(Duration::MAX).await);
            let sample = watched.known().sample.unwrap();
            assert!(
                sample.is_too_long && sample.dump.is_none() && sample.stats.live_tasks > 10_000
            );
        });
    }

    #[test]
    fn entries_are_timed_from_the_first_look_until_a_while_after_the_last() {
        observed(&Options::default(), async |watched| {
            let is_timed = || {
                let polls = watched.recorder.record().times;
                polls.iter().map(|(_, times)| times.counts().iter().sum::<u64>()).sum::<u64>()
            };
            yield_now().await;
            watched.ask(Question::Alive);
            assert!(watched.is_answered_within(Duration::MAX).await);
            assert_eq!(is_timed(), 0, "whether a loop is alive needs no times");
            for _ in 0..2 {
                watched.ask(Question::Numbers);
                assert!(watched.is_answered_within(Duration::MAX).await);
                sleep(Duration::from_secs(59)).await;
            }
            let before = is_timed();
            yield_now().await;
            assert_eq!(is_timed(), before + 1);
            sleep(Duration::from_secs(2)).await; // more than a minute since the last look
            let before = is_timed();
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(is_timed(), before);
            watched.ask(Question::Numbers);
            assert!(watched.is_answered_within(Duration::MAX).await);
            yield_now().await;
            assert!(is_timed() > before);
        });
    }

    #[test]
    fn a_question_to_a_loop_that_ended_is_answered_at_once() {
        let other = EventLoop::new().unwrap();
        let handle = other.handle();
        let watched = Arc::new(Watched::new("other".to_owned(), handle, &Options::default()));
        squall_net::block_on(async {
            watched.ask(Question::Lists); // on its way while the loop ends
            drop(other);
            assert!(watched.is_answered_within(Duration::MAX).await);
            watched.ask(Question::Lists);
            assert!(watched.is_answered_within(Duration::MAX).await);
            assert!(matches!(watched.known().condition, Condition::Closed));
        });
    }

    #[test]
    fn a_loop_takes_the_place_of_one_with_its_name_that_has_ended() {
        let (first, second, third) =
            (EventLoop::new().unwrap(), EventLoop::new().unwrap(), EventLoop::new().unwrap());
        let roster = Roster::default();
        let add = |name: &str, event_loop: &EventLoop| {
            let options = Options::default();
            roster.add(Arc::new(Watched::new(name.to_owned(), event_loop.handle(), &options)));
        };
        let names =
            || -> Vec<_> { roster.loops().iter().map(|known| known.name.clone()).collect() };
        add("a", &first);
        add("b", &second);
        drop(first);
        add("a", &third);
        assert_eq!(names(), ["a", "b"]);
        assert!(!roster.loops()[0].is_closed());
    }
}
