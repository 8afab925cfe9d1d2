//! Which hosts have something to do, and when.
//!
//! A step must not ask every host, so the answers are kept here. A host is asked again only after
//! its code could run: it is *touched* then.

use std::collections::BTreeSet;

/// The number of a host.
type Number = usize;
/// In nanoseconds since the simulation began.
type Time = u64;

/// Stands for every time that has come.
const NOW: Time = 0;

#[derive(Default)]
pub(crate) struct Agenda {
    /// When each host has something to do, by its number: [`NOW`], or a time that has not come.
    /// `None` if only a packet can cause work.
    times: Vec<Option<Time>>,
    /// The hosts that have something to do now, sorted.
    ready: Vec<Number>,
    /// The hosts that have something to do later, the first of them first.
    later: BTreeSet<(Time, Number)>,
    /// The hosts to ask again, each once.
    touched: Vec<Number>,
    /// Whether each host is in `touched`, by its number.
    is_touched: Vec<bool>,
}

impl Agenda {
    pub(crate) fn add_host(&mut self) {
        self.times.push(None);
        self.is_touched.push(false);
    }

    /// Notes that code of this host may have run.
    pub(crate) fn touch(&mut self, host: Number) {
        if !std::mem::replace(&mut self.is_touched[host], true) {
            self.touched.push(host);
        }
    }

    pub(crate) fn touch_all(&mut self) {
        (0..self.times.len()).for_each(|host| self.touch(host));
    }

    /// Asks the touched hosts when they have something to do.
    pub(crate) fn update(&mut self, now: Time, next: impl Fn(Number) -> Option<Time>) {
        while let Some(host) = self.touched.pop() {
            self.is_touched[host] = false;
            self.set(host, next(host).map(|time| if time <= now { NOW } else { time }));
        }
    }

    fn set(&mut self, host: Number, time: Option<Time>) {
        let former = std::mem::replace(&mut self.times[host], time);
        if former == time {
            return;
        }
        match former {
            Some(NOW) => self.ready.retain(|ready| *ready != host),
            Some(former) => _ = self.later.remove(&(former, host)),
            None => {}
        }
        match time {
            Some(NOW) => self.add_ready(host),
            Some(time) => _ = self.later.insert((time, host)),
            None => {}
        }
    }

    fn add_ready(&mut self, host: Number) {
        let index = self.ready.partition_point(|ready| *ready < host);
        self.ready.insert(index, host);
    }

    /// The hosts that have something to do now, by their numbers.
    pub(crate) fn ready(&self) -> &[Number] {
        &self.ready
    }

    /// When the first of the other hosts has something to do.
    pub(crate) fn next(&self) -> Option<Time> {
        self.later.first().map(|(time, _)| *time)
    }

    /// The clock has moved to this time.
    pub(crate) fn move_to(&mut self, now: Time) {
        while let Some((time, host)) = self.later.first().copied()
            && time <= now
        {
            self.later.pop_first();
            self.times[host] = Some(NOW);
            self.add_ready(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_touched_hosts_are_asked() {
        let mut agenda = Agenda::default();
        (0..4).for_each(|_| agenda.add_host());
        agenda.touch_all();
        let times = [Some(7), None, Some(9), Some(3)];
        agenda.update(5, |host| times[host]);
        assert_eq!((agenda.ready(), agenda.next()), (&[3][..], Some(7)));
        agenda.update(5, |_| unreachable!("no host is touched"));
        agenda.move_to(9);
        assert_eq!((agenda.ready(), agenda.next()), (&[0, 2, 3][..], None));
        agenda.touch(2);
        agenda.touch(2);
        agenda.update(9, |host| (host == 2).then_some(12));
        assert_eq!((agenda.ready(), agenda.next()), (&[0, 3][..], Some(12)));
        agenda.touch(2);
        agenda.update(9, |_| None);
        assert_eq!(agenda.next(), None);
    }
}
