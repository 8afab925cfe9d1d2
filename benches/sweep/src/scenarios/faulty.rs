//! Programs that take a fault badly. The tests of the sweep use them: it must find what they do.

use std::future::pending;
use std::mem;

use squall_net::{Stats, TcpListener};

use super::on_a_loop::on_a_loop;
use crate::journal;

const ADDRESS: &str = "127.0.0.1:0";

/// Keeps a descriptor when a listener cannot be made.
pub(super) fn leaks() -> Stats {
    on_a_loop(async || {
        if let Err(error) = TcpListener::bind(ADDRESS) {
            journal::error("a listener", &error);
            mem::forget(std::io::pipe()?);
        }
        Ok(())
    })
}

pub(super) fn panics() -> Stats {
    on_a_loop(async || {
        TcpListener::bind(ADDRESS).expect("a listener");
        Ok(())
    })
}

pub(super) fn hangs() -> Stats {
    on_a_loop(async || match TcpListener::bind(ADDRESS) {
        Ok(_) => Ok(()),
        Err(_) => pending().await,
    })
}

/// Leaves a step out, and tells nobody.
pub(super) fn is_silent() -> Stats {
    on_a_loop(async || {
        if TcpListener::bind(ADDRESS).is_ok() {
            journal::steps(1);
        }
        Ok(())
    })
}
