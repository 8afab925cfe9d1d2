//! The Date field, formatted once a second.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use squall_net::turn_time;

/// A formatted Date field.
struct Cached {
    /// The field with its line end, for example `Date: Sun, 06 Nov 1994 08:49:37 GMT`.
    field: Vec<u8>,
    /// The end of the second that `field` shows. `None` before the first use.
    until: Option<Instant>,
}

thread_local! {
    static CACHE: RefCell<Cached> = const { RefCell::new(Cached { field: Vec::new(), until: None }) };
}

/// Appends the Date field for the current turn of the loop.
pub(crate) fn write_field(into: &mut Vec<u8>) {
    CACHE.with_borrow_mut(|cached| {
        let now = turn_time();
        if cached.until.is_none_or(|until| now >= until) {
            let wall = SystemTime::now();
            cached.field = format!("Date: {}\r\n", httpdate::fmt_http_date(wall)).into_bytes();
            let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let left =
                Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
            cached.until = Some(now + left);
        }
        into.extend_from_slice(&cached.field);
    });
}
