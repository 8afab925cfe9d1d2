//! Tests of the heap alone, against sorted maps that are obviously correct.

use super::*;
use std::collections::BTreeMap;

fn fired(timers: &mut Timers<u32>, now: u64) -> Vec<u32> {
    timers.take_due(now, u64::MAX);
    std::iter::from_fn(|| timers.next_due()).collect()
}

#[test]
fn equal_deadlines_fire_in_the_order_in_which_they_were_armed() {
    let mut timers = Timers::new(0);
    for value in 0..50 {
        timers.insert(7, value);
    }
    assert!(fired(&mut timers, 6).is_empty());
    assert_eq!(fired(&mut timers, 7), (0..50).collect::<Vec<_>>());
}

// IOL-11, IOL-15, T4
#[test]
fn a_timer_that_is_cancelled_by_one_of_the_same_batch_does_not_fire() {
    let mut timers = Timers::new(0);
    let first = timers.insert(1, 1);
    let second = timers.insert(1, 2);
    timers.insert(1, 3);
    timers.take_due(1, u64::MAX);
    assert_eq!(timers.next_due(), Some(1));
    assert_eq!(timers.remove(first), None);
    assert_eq!(timers.remove(second), Some(2));
    let reused = timers.insert(1, 4);
    assert_eq!(timers.remove(second), None, "the slot has a new owner");
    assert_eq!(timers.next_due(), Some(3));
    assert_eq!(timers.next_due(), None, "armed after the snapshot");
    assert_eq!(fired(&mut timers, 1), [4]);
    assert_eq!(timers.remove(reused), None);
    assert_eq!(timers.len(), 0);
}

#[test]
fn a_postponed_timer_fires_at_its_last_deadline() {
    let mut timers = Timers::new(0);
    let id = timers.insert(10, 1);
    assert!(timers.postpone(id, 30));
    assert_eq!(timers.next_deadline(), Some(10), "later is only noted");
    assert!(fired(&mut timers, 10).is_empty());
    assert_eq!(timers.next_deadline(), Some(30));
    assert!(timers.postpone(id, 20));
    assert_eq!(timers.next_deadline(), Some(20), "earlier moves at once");
    assert!(timers.postpone(id, 25));
    assert!(fired(&mut timers, 24).is_empty());
    assert_eq!(fired(&mut timers, 25), [1]);
    assert!(!timers.postpone(id, 40));
}

#[test]
fn a_postponed_timer_does_not_overtake_when_the_loop_is_late() {
    let mut timers = Timers::new(0);
    let id = timers.insert(10, 30);
    timers.postpone(id, 30);
    timers.insert(20, 20);
    assert_eq!(fired(&mut timers, 40), [20, 30]);
}

#[test]
fn a_timer_that_is_moved_by_one_of_the_same_batch_fires_at_its_new_time() {
    let mut timers = Timers::new(0);
    timers.insert(1, 1);
    let moved = timers.insert(2, 2);
    timers.take_due(9, u64::MAX);
    assert_eq!(timers.next_due(), Some(1));
    assert!(timers.postpone(moved, 20));
    assert_eq!(timers.next_due(), None);
    assert!(fired(&mut timers, 19).is_empty());
    assert_eq!(fired(&mut timers, 20), [2]);
}

#[test]
fn what_is_armed_in_a_turn_waits_for_the_next_and_the_last_moment_never_comes() {
    let mut timers = Timers::new(0);
    timers.insert(5, 1);
    let begun = timers.next_sequence();
    timers.insert(1, 2);
    timers.insert(u64::MAX, 3);
    timers.take_due(9, begun);
    assert_eq!((timers.next_due(), timers.next_due()), (Some(1), None));
    assert_eq!(timers.next_deadline(), Some(1));
    assert_eq!(fired(&mut timers, u64::MAX), [2]);
}

#[test]
fn a_million_cancelled_timers_leave_an_empty_heap() {
    let mut timers = Timers::new(0);
    let ids: Vec<_> = (0..1_000_000).map(|n| timers.insert(n * 7919 % 1_000_003, 0)).collect();
    for (n, id) in ids.into_iter().enumerate() {
        if n % 2 == 0 { timers.discard(id) } else { _ = timers.remove(id).unwrap() }
    }
    assert_eq!((timers.heap.len(), timers.slots.len(), timers.next_deadline()), (0, 0, None));
}

// T5: runs the same script on a sorted map
#[test]
fn random_scripts_fire_as_a_sorted_map_does() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut timers = Timers::new(0);
    let mut model: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    let mut live: Vec<(TimerId, (u64, u64))> = Vec::new();
    let (mut now, mut value, mut sequence, mut postponed) = (0, 0, 0, 0);
    for _ in 0..200_000 {
        match next(10) {
            0..5 => {
                let deadline = now + next(1000);
                let id = timers.insert(deadline, value);
                model.insert((deadline, sequence), value);
                live.push((id, (deadline, sequence)));
                value += 1;
                sequence += 1;
            }
            5..7 if !live.is_empty() => {
                let at = usize::try_from(next(live.len() as u64)).unwrap();
                let (id, key) = live.swap_remove(at);
                if next(2) == 0 {
                    assert_eq!(timers.remove(id), model.remove(&key));
                } else {
                    timers.discard(id);
                    model.remove(&key);
                }
                assert_eq!(timers.remove(id), None);
                timers.discard(id); // does nothing
            }
            7 if !live.is_empty() => {
                let at = usize::try_from(next(live.len() as u64)).unwrap();
                let (id, key) = live[at];
                let value = model.remove(&key).unwrap();
                let deadline = now + next(1000);
                assert!(timers.postpone(id, deadline));
                model.insert((deadline, key.1), value);
                live[at].1 = (deadline, key.1);
                postponed += 1;
            }
            _ => {
                let longest_step = if next(20) == 0 { 2000 } else { 50 };
                now += next(longest_step);
                let later = model.split_off(&(now + 1, 0));
                let mut expected: Vec<_> = model.into_iter().collect();
                model = later;
                expected.sort_unstable();
                let expected: Vec<_> = expected.into_iter().map(|(_, value)| value).collect();
                assert_eq!(fired(&mut timers, now), expected);
                live.retain(|(_, key)| model.contains_key(key));
            }
        }
        assert_eq!(timers.len(), model.len());
    }
    assert!(postponed > 10_000, "{postponed}");
}

fn nodes(timers: &Timers<u32>) -> usize {
    timers.heap.len()
}

#[test]
fn timers_that_are_cancelled_behind_a_living_one_leave_a_small_heap() {
    let mut timers = Timers::new(0);
    timers.insert(1, 0);
    let ids: Vec<_> = (0..100_000).map(|n| timers.insert(1000 + n, 0)).collect();
    for id in ids {
        timers.remove(id).unwrap();
    }
    assert!(nodes(&timers) <= 2 + CLEANUP_THRESHOLD, "{} nodes for one timer", nodes(&timers));
}

#[test]
fn a_timer_that_moves_earlier_and_earlier_leaves_a_small_heap() {
    let mut timers = Timers::new(0);
    let id = timers.insert(100_000, 0);
    for n in 1..100_000 {
        assert!(timers.postpone(id, 100_000 - n));
    }
    assert!(nodes(&timers) <= 2 + CLEANUP_THRESHOLD, "{} nodes for one timer", nodes(&timers));
}

#[test]
fn a_far_deadline_with_shorter_ones_in_between_leaves_a_small_heap() {
    let mut timers = Timers::new(0);
    let far = 1_000_000_000;
    let ids: Vec<_> = (0..100).map(|n| timers.insert(far, n)).collect();
    for round in 1..=300 {
        for id in &ids {
            assert!(timers.postpone(*id, round)); // a short timeout
            assert!(timers.postpone(*id, far)); // it was met: the long one again
        }
        assert!(fired(&mut timers, round).is_empty());
    }
    assert!(
        nodes(&timers) <= 2 * 100 + CLEANUP_THRESHOLD,
        "{} nodes for 100 timers",
        nodes(&timers)
    );
    assert_eq!(fired(&mut timers, far).len(), 100);
}

#[test]
fn removing_the_last_of_the_heap_also_limits_the_dead_nodes() {
    let mut timers = Timers::new(0);
    timers.insert(0, 0);
    let dead: Vec<_> = (0..5000).map(|n| timers.insert(1000 + n, 0)).collect();
    let tail: Vec<_> = (0..5000).map(|n| timers.insert(1_000_000 + n, 0)).collect();
    dead.into_iter().for_each(|id| assert!(timers.remove(id).is_some()));
    tail.into_iter().rev().for_each(|id| assert!(timers.remove(id).is_some()));
    assert!(timers.heap.len() <= 2 * timers.len() + CLEANUP_THRESHOLD, "{}", timers.heap.len());
}
