//! The Date field, formatted once a second.

use std::time::{Duration, Instant, SystemTime};

use squall_net::turn_time;

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// A formatted Date field.
#[derive(Default)]
pub(crate) struct DateField {
    /// The status line of a 200, and the field with its line end, for example
    /// `Date: Sun, 06 Nov 1994 08:49:37 GMT`.
    text: Vec<u8>,
    /// The end of the second that `text` shows. `None` before the first use.
    until: Option<Instant>,
}

impl DateField {
    /// The field for the current turn of the loop.
    pub(crate) fn field(&mut self) -> &[u8] {
        &self.after_ok()[OK.len()..]
    }

    /// As [`field`](Self::field), with the status line of a 200 before it.
    #[inline]
    pub(crate) fn after_ok(&mut self) -> &[u8] {
        let now = turn_time();
        if self.until.is_none_or(|until| now >= until) {
            self.format(now);
        }
        &self.text
    }

    #[cold]
    fn format(&mut self, now: Instant) {
        let wall = SystemTime::now();
        self.text = format!("{OK}Date: {}\r\n", httpdate::fmt_http_date(wall)).into_bytes();
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
        self.until = Some(now + left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    // HTS-47
    #[test]
    fn a_date_has_the_form_of_http() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_359_312_200);
        assert_eq!(httpdate::fmt_http_date(time), "Sun, 27 Jan 2013 18:43:20 GMT");
    }
}
