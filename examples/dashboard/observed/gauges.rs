//! Numbers of the program's own, read on the loop's thread together with the loop's.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// The value of a gauge.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) value: f64,
}

#[derive(Clone)]
struct Gauge {
    name: &'static str,
    help: &'static str,
    read: Rc<dyn Fn() -> f64>,
}

thread_local! {
    /// The gauges of this thread, which all of its loops report.
    static GAUGES: RefCell<Vec<Gauge>> = const { RefCell::new(Vec::new()) };
}

/// Adds a number of the program's own to the page and to `/metrics`: open connections, the length of
/// a queue. `help` says what it counts. Replaces a gauge of this thread with the same name.
///
/// `read` is called on this thread, when one of its loops is asked for its numbers. A gauge that
/// panics is left out.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// let jobs = Rc::new(Cell::new(0));
/// let counted = Rc::clone(&jobs);
/// dashboard::gauge("jobs", "Jobs that wait.", move || counted.get().into());
/// jobs.set(7);
/// ```
///
/// # Panics
/// If `name` is no name for Prometheus: letters, digits and underscores, with no digit at the
/// beginning. Names that begin with `squall_` are the loop's own.
#[track_caller]
pub fn gauge(name: &'static str, help: &'static str, read: impl Fn() -> f64 + 'static) {
    assert!(is_name(name) && !name.starts_with("squall_"), "{name:?} is no name for a gauge");
    let gauge = Gauge { name, help, read: Rc::new(read) };
    let replaced =
        GAUGES.with_borrow_mut(|gauges| match gauges.iter_mut().find(|known| known.name == name) {
            Some(known) => Some(std::mem::replace(known, gauge)),
            None => {
                gauges.push(gauge);
                None
            }
        });
    drop(replaced); // its destructor may add a gauge
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Reads the gauges of this thread.
pub(crate) fn read_all() -> Vec<Reading> {
    let gauges = GAUGES.with_borrow(Vec::clone);
    let read = |gauge: &Gauge| {
        let value = catch_unwind(AssertUnwindSafe(|| (gauge.read)())).ok()?;
        Some(Reading { name: gauge.name, help: gauge.help, value })
    };
    gauges.iter().filter_map(read).collect()
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_read_in_their_order_and_one_that_panics_is_left_out() {
        gauge("b", "first", || 1.0);
        gauge("broken", "", || panic!("on purpose"));
        gauge("a", "second", || {
            gauge("nested", "added while gauges are read", || 3.0);
            2.0
        });
        gauge("b", "replaced", || 4.0);
        let read = || -> Vec<_> { read_all().iter().map(|r| (r.name, r.help, r.value)).collect() };
        assert_eq!(read(), [("b", "replaced", 4.0), ("a", "second", 2.0)]);
        assert_eq!(read().last(), Some(&("nested", "added while gauges are read", 3.0)));
    }

    #[test]
    fn a_name_that_prometheus_would_refuse_panics() {
        for name in ["", "1st", "a-b", "a b", "ü", "squall_loop_turns_total"] {
            assert!(catch_unwind(|| gauge(name, "", || 0.0)).is_err(), "{name:?}");
        }
    }
}
