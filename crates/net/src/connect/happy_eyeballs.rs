//! Which address is tried when, for a host that has several.
//!
//! The families take turns, beginning with that of the first address. The next attempt begins when the former has had a little
//! time, or at once when one fails; the first that succeeds wins. No clock and no socket here: the driver tells what happened
//! and is told what to do.
//!
//! ```text
//!             ┌───────── delay passed, or one failed, and addresses are left ───────┐
//!             ▼                                                                     │
//!   start ─▶ Begin(address) ──▶ attempts in flight ──▶ one connected: won ──────────┤
//!                                                  └─▶ the last failed, none left: lost
//! ```
//!
//! Source: RFC 8305, sections 4 and 5.

use std::collections::VecDeque;
use std::net::SocketAddr;

#[derive(Debug)]
pub(crate) struct HappyEyeballs {
    /// Not tried yet, in the order in which they will be.
    waiting: VecDeque<SocketAddr>,
    in_flight: usize,
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begin an attempt, and wait for news, or for the delay if there [are more](HappyEyeballs::has_more).
    Begin(SocketAddr),
    /// Wait for news.
    Wait,
    /// Every attempt has failed.
    Lost,
}

impl HappyEyeballs {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> HappyEyeballs {
        HappyEyeballs { waiting: interleave(addresses), in_flight: 0 }
    }

    /// The beginning, the end of a delay, or the failure of an attempt that never began.
    pub(crate) fn next(&mut self) -> Step {
        match self.waiting.pop_front() {
            Some(address) => {
                self.in_flight += 1;
                Step::Begin(address)
            }
            None if self.in_flight == 0 => Step::Lost,
            None => Step::Wait,
        }
    }

    /// An attempt has failed: the next begins at once.
    pub(crate) fn failed(&mut self) -> Step {
        self.in_flight -= 1;
        self.next()
    }

    /// Tells whether a delay is worth waiting for.
    pub(crate) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Lets the families take turns, beginning with that of the first address; within a family the order stays.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut ours, mut theirs): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let mut order = VecDeque::with_capacity(ours.len() + theirs.len());
    while !ours.is_empty() || !theirs.is_empty() {
        order.extend(ours.pop_front());
        order.extend(theirs.pop_front());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        let address = |name: &str| {
            let (family, number) = name.split_at(1);
            match family {
                "a" => format!("10.0.0.{number}:1").parse().unwrap(),
                _ => format!("[::{number}]:1").parse().unwrap(),
            }
        };
        text.split_whitespace().map(address).collect()
    }

    fn begin(name: &str) -> Step {
        Step::Begin(addresses(name)[0])
    }

    // TCC-07
    #[test]
    fn families_take_turns_and_keep_their_order() {
        for (given, order) in [
            ("", ""),
            ("a1 a2", "a1 a2"),
            ("a1 b1 a2 b2", "a1 b1 a2 b2"),
            ("b1 b2 b3 a1", "b1 a1 b2 b3"),
            ("a1 a2 b1 b2", "a1 b1 a2 b2"),
        ] {
            assert_eq!(interleave(addresses(given)), addresses(order));
        }
    }

    // TCC-08
    #[test]
    fn one_attempt_is_made_when_it_succeeds_in_time() {
        let mut machine = HappyEyeballs::new(addresses("a1 a2"));
        assert_eq!(machine.next(), begin("a1"));
        assert!(machine.has_more(), "the delay is armed; it does not pass before the success");
    }

    // TCC-09
    #[test]
    fn a_single_address_that_fails_is_the_end() {
        let mut machine = HappyEyeballs::new(addresses("a1"));
        assert_eq!(machine.next(), begin("a1"));
        assert!(!machine.has_more());
        assert_eq!(machine.failed(), Step::Lost);
    }

    // TCC-10
    #[test]
    fn a_failure_begins_the_next_at_once() {
        let mut machine = HappyEyeballs::new(addresses("a1 a2"));
        assert_eq!(machine.next(), begin("a1"));
        assert_eq!(machine.failed(), begin("a2"));
        assert_eq!(machine.failed(), Step::Lost);
    }

    // TCC-11: Tornado waits for the one attempt of a family; here, as in the RFC, time begins the next of any family
    #[test]
    fn the_delay_begins_the_next_of_the_same_family_and_then_nothing() {
        let mut machine = HappyEyeballs::new(addresses("a1 a2"));
        assert_eq!(machine.next(), begin("a1"));
        assert_eq!(machine.next(), begin("a2"));
        assert!(!machine.has_more());
        assert_eq!(machine.next(), Step::Wait);
    }

    // TCC-13
    #[test]
    fn the_delay_begins_the_other_family_and_a_late_failure_begins_nothing() {
        let mut machine = HappyEyeballs::new(addresses("a1 b1"));
        assert_eq!(machine.next(), begin("a1"));
        assert_eq!(machine.next(), begin("b1"));
        assert_eq!(machine.failed(), Step::Wait);
        assert_eq!(machine.failed(), Step::Lost);
    }

    // TCC-15: with delays at every place among the failures
    #[test]
    fn four_addresses_that_fail_in_any_order_are_lost_only_after_the_last() {
        for script in 0..(1 << 8) {
            let mut machine = HappyEyeballs::new(addresses("a1 a2 b1 b2"));
            let (mut begun, mut failures, mut step) = (0, 0, machine.next());
            for turn in 0.. {
                begun += usize::from(matches!(step, Step::Begin(_)));
                if step == Step::Lost {
                    break;
                }
                let time_passes = machine.has_more() && turn < 8 && script >> turn & 1 == 1;
                step = if time_passes {
                    machine.next()
                } else {
                    failures += 1;
                    machine.failed()
                };
            }
            assert_eq!((begun, failures), (4, 4), "script {script:b}");
        }
    }
}
