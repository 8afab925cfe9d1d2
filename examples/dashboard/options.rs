//! What a dashboard may be told.

use std::time::Duration;

/// Options for a new [`Dashboard`](crate::Dashboard).
///
/// ```
/// use std::time::Duration;
/// use dashboard::Options;
///
/// # squall_net::block_on(async {
/// let options = Options::default().health_limit(Duration::from_secs(2)).allow_host("build-7.lan");
/// let dashboard = options.serve("127.0.0.1:0")?;
/// # dashboard.stop();
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Above zero.
    pub(crate) interval: Duration,
    pub(crate) health_limit: Duration,
    pub(crate) slow_entry: Duration,
    /// `None`: always.
    pub(crate) record_for: Option<Duration>,
    pub(crate) viewer_timeout: Duration,
    /// In lower case.
    pub(crate) hosts: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            interval: Duration::from_secs(1),
            health_limit: Duration::from_secs(5),
            slow_entry: Duration::from_millis(100),
            record_for: Some(Duration::from_secs(60)),
            viewer_timeout: Duration::from_secs(10),
            hosts: Vec::new(),
        }
    }
}

impl Options {
    /// How often an open page gets new numbers. The default is 1 s, and the least 1 ms. A loop that
    /// has not answered for that long is called stuck on the page.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Options {
        Options { interval: interval.max(Duration::from_millis(1)), ..self }
    }

    /// The time after which a loop that has not answered makes `/health` return 503. The default is
    /// 5 s. The answer takes at most that long.
    #[must_use]
    pub fn health_limit(self, limit: Duration) -> Options {
        Options { health_limit: limit, ..self }
    }

    /// The time from which on a call or poll is listed as slow. The default is 100 ms.
    #[must_use]
    pub fn slow_entry(self, threshold: Duration) -> Options {
        Options { slow_entry: threshold, ..self }
    }

    /// How long the loops go on to time their entries after the last look at the page or at
    /// `/metrics`. The default is one minute, so that Prometheus misses none.
    #[must_use]
    pub fn record_for(self, time: Duration) -> Options {
        Options { record_for: Some(time), ..self }
    }

    /// Makes the loops time their entries from the beginning on. Then the dashboard knows what holds
    /// a loop that was stuck before the first look.
    ///
    /// # Cost
    /// That of an [observer](squall_net::add_observer), about 0.1 µs for each entry: two readings of
    /// the clock, and two locks that no other thread holds.
    #[must_use]
    pub fn record_always(self) -> Options {
        Options { record_for: None, ..self }
    }

    /// How long a browser may take nothing of what was sent to it. Then its connection is cut. The
    /// default is 10 s.
    #[must_use]
    pub fn viewer_timeout(self, timeout: Duration) -> Options {
        Options { viewer_timeout: timeout, ..self }
    }

    /// Answers requests for this host too, for example the name of the machine.
    ///
    /// By default, the server answers only for `localhost`, for loopback addresses and for the
    /// address that it listens on; if that is unspecified (`0.0.0.0` or `[::]`), for every address.
    /// A web site can make its own name resolve to 127.0.0.1. Its script then reads the dashboard of
    /// each visitor who runs one, because the browser takes both for the same site (DNS rebinding).
    /// Such a request has the site's name in Host, which a script cannot change.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Options {
        self.hosts.push(host.into().to_ascii_lowercase());
        self
    }
}
