//! Properties of the heap: scripts that also act while due timers run, beside a sorted map.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// A deadline that a script sets.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    Never,
    Zero,
    /// So many nanoseconds before now.
    Past(u64),
    /// So many nanoseconds after now.
    Future(u64),
}

#[derive(Clone, Debug)]
enum Act {
    Arm(Deadline),
    Remove(Index),
    Discard(Index),
    Postpone(Index, Deadline),
}

/// A turn of the loop.
#[derive(Clone, Debug)]
struct Turn {
    acts: Vec<Act>,
    /// How many of the acts come before the turn notes the next sequence number.
    snapshot: Index,
    /// How far the clock moves before the due timers are taken.
    step: u64,
    /// The acts of each timer that fires.
    acts_of_timers: Vec<Vec<Act>>,
}

fn deadline() -> impl Strategy<Value = Deadline> {
    prop_oneof![
        1 => Just(Deadline::Never),
        1 => Just(Deadline::Zero),
        4 => (0..40_u64).prop_map(Deadline::Past),
        6 => (0..40_u64).prop_map(Deadline::Future),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => deadline().prop_map(Act::Arm),
        1 => any::<Index>().prop_map(Act::Remove),
        1 => any::<Index>().prop_map(Act::Discard),
        4 => (any::<Index>(), deadline()).prop_map(|(nth, deadline)| Act::Postpone(nth, deadline)),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let acts_of_timers = vec(vec(act(), 0..3), 0..6);
    (vec(act(), 0..12), any::<Index>(), 0..40_u64, acts_of_timers).prop_map(
        |(acts, snapshot, step, acts_of_timers)| Turn { acts, snapshot, step, acts_of_timers },
    )
}

/// Timers, and a map with the same timers.
struct Script {
    timers: Timers<u32>,
    /// The deadline, value and id of each timer, by sequence number.
    model: BTreeMap<u64, (u64, u32, TimerId)>,
    /// The earliest time to which each timer was moved since the due timers were taken.
    moved: BTreeMap<u64, u64>,
    /// The ids of the timers that have fired or were removed.
    ended: Vec<TimerId>,
    now: u64,
    values: u32,
}

impl Script {
    fn new() -> Script {
        Script {
            timers: Timers::new(5),
            model: BTreeMap::new(),
            moved: BTreeMap::new(),
            ended: Vec::new(),
            now: 0,
            values: 0,
        }
    }

    fn time(&self, deadline: Deadline) -> u64 {
        match deadline {
            Deadline::Never => u64::MAX,
            Deadline::Zero => 0,
            Deadline::Past(by) => self.now.saturating_sub(by),
            Deadline::Future(by) => self.now + by,
        }
    }

    fn nth(&self, nth: &Index) -> Option<u64> {
        let count = self.model.len();
        (count > 0).then(|| *self.model.keys().nth(nth.index(count)).unwrap())
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Arm(deadline) => {
                let deadline = self.time(*deadline);
                let id = self.timers.insert(deadline, self.values);
                self.model.insert(id.sequence(), (deadline, self.values, id));
                self.values += 1;
            }
            Act::Remove(nth) => {
                let Some(sequence) = self.nth(nth) else { return };
                let (_, value, id) = self.end(sequence);
                assert_eq!(self.timers.remove(id), Some(value));
            }
            Act::Discard(nth) => {
                let Some(sequence) = self.nth(nth) else { return };
                let (_, _, id) = self.end(sequence);
                self.timers.discard(id);
            }
            Act::Postpone(nth, deadline) => {
                let Some(sequence) = self.nth(nth) else { return };
                let deadline = self.time(*deadline);
                let entry = self.model.get_mut(&sequence).unwrap();
                assert!(self.timers.postpone(entry.2, deadline));
                let earliest = self.moved.entry(sequence).or_insert(deadline);
                *earliest = deadline.min(*earliest);
                entry.0 = deadline;
            }
        }
    }

    /// Removes a timer from the model.
    fn end(&mut self, sequence: u64) -> (u64, u32, TimerId) {
        let entry = self.model.remove(&sequence).unwrap();
        self.ended.push(entry.2);
        entry
    }

    /// Performs the acts of a turn, and then runs the due timers, with their acts.
    fn turn(&mut self, turn: &Turn) {
        let (before, after) = turn.acts.split_at(turn.snapshot.index(turn.acts.len() + 1));
        before.iter().for_each(|act| self.act(act));
        let armed_before = self.timers.next_sequence();
        after.iter().for_each(|act| self.act(act));
        self.now += turn.step;
        self.timers.take_due(self.now, armed_before);
        self.moved.clear();
        let is_due = |&(sequence, &(deadline, ..)): &(&u64, &(u64, u32, TimerId))| {
            *sequence < armed_before && deadline <= self.now
        };
        let due = self.model.iter().filter(is_due);
        let mut due: Vec<_> = due.map(|(sequence, entry)| (entry.0, *sequence)).collect();
        due.sort_unstable();
        let mut acts_of_timers = turn.acts_of_timers.iter();
        for (deadline, sequence) in due {
            let moved_earlier = self.moved.get(&sequence).is_some_and(|to| *to < deadline);
            match self.model.get(&sequence) {
                Some(entry) if entry.0 == deadline && !moved_earlier => {
                    let value = entry.1;
                    self.end(sequence);
                    assert_eq!(self.timers.next_due(), Some(value));
                }
                _ => continue,
            }
            acts_of_timers.next().into_iter().flatten().for_each(|act| self.act(act));
        }
        assert_eq!(self.timers.next_due(), None);
    }

    fn check(&mut self) {
        for id in self.ended.iter().rev().take(20) {
            assert_eq!(self.timers.remove(*id), None, "an id of the past");
            self.timers.discard(*id);
            assert!(!self.timers.postpone(*id, 0));
        }
        let timers = &self.timers;
        assert_eq!(timers.len(), self.model.len());
        let postponed = timers.slots.iter().filter(|slot| slot.is_postponed());
        assert_eq!(timers.postponed, postponed.count());
        assert!(timers.heap.first().is_none_or(|head| timers.is_alive(*head)), "a dead head");
        let living = timers.heap.nodes().iter().filter(|node| timers.is_alive(**node));
        assert_eq!(living.count(), timers.len(), "every timer has one living node");
        timers.heap.check_order();
    }

    /// Runs all timers that ever fire.
    fn finish(mut self) {
        let last = u64::MAX - 1;
        let due = self.model.iter().filter(|(_, entry)| entry.0 <= last);
        let mut expected: Vec<_> =
            due.map(|(sequence, entry)| (entry.0, *sequence, entry.1)).collect();
        expected.sort_unstable();
        self.timers.take_due(last, u64::MAX);
        let fired: Vec<_> = std::iter::from_fn(|| self.timers.next_due()).collect();
        assert_eq!(fired, expected.into_iter().map(|(.., value)| value).collect::<Vec<_>>());
    }
}

/// 512 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    if is_set { ProptestConfig::default() } else { ProptestConfig::with_cases(512) }
}

proptest! {
    #![proptest_config(config())]

    // T4, T5
    #[test]
    fn scripts_that_move_timers_while_others_run_fire_as_a_map_does(turns in vec(turn(), 0..40)) {
        let mut script = Script::new();
        for turn in &turns {
            script.turn(turn);
            script.check();
        }
        script.finish();
    }
}
