//! Computes the times of periodic events. They lie on a fixed grid, and a late caller skips the
//! grid points that have passed.
//!
//! Pure: it reads no clock and draws no random numbers. Times are nanoseconds since an origin that
//! the caller chooses, and random numbers come from the caller. Tornado:
//! `PeriodicCallback._update_next`.

/// The next one of a series of times that lie one period apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeriodicTimes {
    /// In nanoseconds, never zero.
    period: u64,
    next: u64,
}

impl PeriodicTimes {
    /// Makes a series that starts at `now`. Its first time is one period later, after the first
    /// [`advance`](Self::advance).
    pub(crate) fn starting_at(now: u64, period: u64) -> PeriodicTimes {
        PeriodicTimes { period, next: now }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Moves on to the first time after `now`.
    ///
    /// Times that have passed are skipped, so that a call that took too long is followed by a pause
    /// and not by a burst. If the clock went back, no time is repeated.
    pub(crate) fn advance(&mut self, now: u64) {
        self.advance_by(self.period, now);
    }

    /// As [`advance`](Self::advance), with a randomly changed period. `draw` is a random number
    /// between 0 and 1. A `jitter` of 0.5 makes the period up to a quarter longer or shorter.
    pub(crate) fn advance_with_jitter(&mut self, now: u64, jitter: f64, draw: f64) {
        let factor = 1.0 + jitter * (draw - 0.5);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a time is cut to whole nanoseconds, and the cast saturates"
        )]
        let period = (self.period as f64 * factor) as u64;
        self.advance_by(period.max(1), now);
    }

    fn advance_by(&mut self, period: u64, now: u64) {
        let behind = now.checked_sub(self.next).map_or(0, |late| late / period);
        let step = period.saturating_mul(behind.saturating_add(1));
        self.next = self.next.saturating_add(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The times at which calls begin, in seconds, if they take `durations` seconds. The series
    /// starts at 1000 s.
    fn begins(durations: &[i64]) -> Vec<u64> {
        let mut now = 1000 * SECOND;
        let mut schedule = PeriodicTimes::starting_at(now, 10 * SECOND);
        schedule.advance(now);
        let mut begins = Vec::new();
        for duration in durations {
            now = schedule.next();
            begins.push(now / SECOND);
            now = now.checked_add_signed(duration * i64::try_from(SECOND).unwrap()).unwrap();
            schedule.advance(now);
        }
        begins.push(schedule.next() / SECOND);
        begins
    }

    // IOL-34
    #[test]
    fn short_calls_begin_one_period_apart() {
        assert_eq!(begins(&[0; 4]), [1010, 1020, 1030, 1040, 1050]);
    }

    #[test]
    fn a_call_that_takes_too_long_skips_times_and_keeps_the_grid() {
        let durations = [9, 9, 10, 11, 20, 20, 35, 35, 0, 0];
        let expected = [1010, 1020, 1030, 1050, 1070, 1100, 1130, 1170, 1210, 1220, 1230];
        assert_eq!(begins(&durations), expected);
    }

    // IOL-36
    #[test]
    fn a_clock_that_goes_back_repeats_no_time() {
        assert_eq!(begins(&[-2, -1, -3, -2, 0]), [1010, 1020, 1030, 1040, 1050, 1060]);
        assert_eq!(begins(&[-100, 0, 0]), [1010, 1020, 1030, 1040]);
    }

    // IOL-37
    #[test]
    fn jitter_makes_single_periods_longer_and_shorter() {
        let mut schedule = PeriodicTimes::starting_at(1000 * SECOND, 10 * SECOND);
        let mut times = Vec::new();
        for draw in [0.5, 1.0, 0.0, 0.75] {
            schedule.advance_with_jitter(schedule.next(), 0.5, draw);
            times.push(schedule.next() / (SECOND / 100));
        }
        assert_eq!(times, [101_000, 102_250, 103_000, 104_125]);
    }

    // T1
    #[test]
    fn times_that_are_too_far_away_never_come() {
        let mut schedule = PeriodicTimes::starting_at(7, u64::MAX);
        schedule.advance(7);
        schedule.advance(8);
        assert_eq!(schedule.next(), u64::MAX);
        let mut schedule = PeriodicTimes::starting_at(0, 1);
        schedule.advance(u64::MAX);
        assert_eq!(schedule.next(), u64::MAX);
        let mut schedule = PeriodicTimes::starting_at(0, u64::MAX / 2);
        schedule.advance_with_jitter(0, 1.0, 1.0);
        schedule.advance_with_jitter(0, 1.0, 1.0);
        assert_eq!(schedule.next(), u64::MAX);
    }
}
