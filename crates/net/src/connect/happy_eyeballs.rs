//! Happy eyeballs: decides in which order, and when, the addresses of a host are tried.
//!
//! IPv4 and IPv6 addresses alternate, beginning with the family of the first address. The next
//! attempt starts after a delay, or at once when an attempt fails. The first attempt that succeeds
//! wins. This state machine uses no clock and no socket: `connect.rs` reports events to it and
//! carries out the steps that it returns.
//!
//! ```text
//!         ┌── the delay passed or an attempt failed; addresses are left ──┐
//!         ▼                                                               │
//!   Start(address) ──▶ attempts in flight ────────────────────────────────┘
//!                              ├──▶ an attempt connected: the race is won
//!                              └──▶ the last attempt failed; no address is left: AllFailed
//! ```
//!
//! Source: RFC 8305, sections 4 and 5.

use std::collections::VecDeque;
use std::net::SocketAddr;

#[derive(Debug)]
pub(crate) struct HappyEyeballs {
    /// Addresses that are not tried yet, in the order of their attempts.
    untried: VecDeque<SocketAddr>,
    in_flight: usize,
}

/// What the caller must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start an attempt. Then wait until an attempt ends, or until the delay has passed if
    /// [addresses are left](HappyEyeballs::has_more).
    Start(SocketAddr),
    /// Wait until an attempt ends.
    Wait,
    /// Give up: every attempt has failed.
    AllFailed,
}

impl HappyEyeballs {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> HappyEyeballs {
        HappyEyeballs { untried: interleave(addresses), in_flight: 0 }
    }

    /// Returns the next step, at the beginning or after the delay.
    pub(crate) fn next(&mut self) -> Step {
        match self.untried.pop_front() {
            Some(address) => {
                self.in_flight += 1;
                Step::Start(address)
            }
            None if self.in_flight == 0 => Step::AllFailed,
            None => Step::Wait,
        }
    }

    /// Returns the next step after an attempt has failed. The next attempt starts at once.
    pub(crate) fn failed(&mut self) -> Step {
        self.in_flight -= 1;
        self.next()
    }

    /// Whether untried addresses are left, so that the caller must wait for the delay.
    pub(crate) fn has_more(&self) -> bool {
        !self.untried.is_empty()
    }
}

/// Alternates the families, beginning with the family of the first address. Within a family, the
/// order stays.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first_family, mut other_family): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut order = VecDeque::with_capacity(first_family.len() + other_family.len());
    while !first_family.is_empty() || !other_family.is_empty() {
        order.extend(first_family.pop_front());
        order.extend(other_family.pop_front());
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

    fn start(name: &str) -> Step {
        Step::Start(addresses(name)[0])
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
        assert_eq!(machine.next(), start("a1"));
        assert!(machine.has_more(), "the delay is armed; it does not pass before the success");
    }

    // TCC-09
    #[test]
    fn a_single_address_that_fails_is_the_end() {
        let mut machine = HappyEyeballs::new(addresses("a1"));
        assert_eq!(machine.next(), start("a1"));
        assert!(!machine.has_more());
        assert_eq!(machine.failed(), Step::AllFailed);
    }

    // TCC-10
    #[test]
    fn a_failure_starts_the_next_attempt_at_once() {
        let mut machine = HappyEyeballs::new(addresses("a1 a2"));
        assert_eq!(machine.next(), start("a1"));
        assert_eq!(machine.failed(), start("a2"));
        assert_eq!(machine.failed(), Step::AllFailed);
    }

    // TCC-11: Tornado never starts a second attempt in the same family because of the delay. Here,
    // as in the RFC, the delay starts the next attempt whatever its family.
    #[test]
    fn the_delay_starts_the_next_address_of_the_same_family_and_then_nothing() {
        let mut machine = HappyEyeballs::new(addresses("a1 a2"));
        assert_eq!(machine.next(), start("a1"));
        assert_eq!(machine.next(), start("a2"));
        assert!(!machine.has_more());
        assert_eq!(machine.next(), Step::Wait);
    }

    // TCC-13
    #[test]
    fn the_delay_starts_the_other_family_and_a_late_failure_starts_nothing() {
        let mut machine = HappyEyeballs::new(addresses("a1 b1"));
        assert_eq!(machine.next(), start("a1"));
        assert_eq!(machine.next(), start("b1"));
        assert_eq!(machine.failed(), Step::Wait);
        assert_eq!(machine.failed(), Step::AllFailed);
    }

    // TCC-15: with delays at every position among the failures
    #[test]
    fn four_addresses_that_fail_in_any_order_are_given_up_only_after_the_last() {
        for script in 0..(1 << 8) {
            let mut machine = HappyEyeballs::new(addresses("a1 a2 b1 b2"));
            let (mut started, mut failures, mut step) = (0, 0, machine.next());
            for turn in 0.. {
                started += usize::from(matches!(step, Step::Start(_)));
                if step == Step::AllFailed {
                    break;
                }
                let delay_passes = machine.has_more() && turn < 8 && script >> turn & 1 == 1;
                step = if delay_passes {
                    machine.next()
                } else {
                    failures += 1;
                    machine.failed()
                };
            }
            assert_eq!((started, failures), (4, 4), "script {script:b}");
        }
    }
}
