//! Replays the inputs that fuzzing has found, each through its target.

use std::path::Path;

use squall_fuzz::{
    chunked_body, connection, handshake, replay, request_head, simulation, stream_reads, timers,
};

/// Checks every input of a target's corpus. There must be some.
fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let count = replay::inputs(&corpus, check).expect("the corpus can be read");
    assert!(count > 0, "{} is empty", corpus.display());
}

// H1, H2, H6, H7
#[test]
fn request_heads_are_judged_as_by_the_reference_wherever_they_are_cut() {
    replay("request_head", request_head::check);
}

// H3, H4
#[test]
fn chunked_bodies_are_decoded_as_by_the_reference_wherever_they_are_cut() {
    replay("chunked_body", chunked_body::check);
}

// H1 to H6
#[test]
fn a_connection_gets_the_same_answers_wherever_its_bytes_are_cut() {
    replay("connection", connection::check);
}

#[test]
fn a_handshake_is_answered_as_the_rules_say() {
    replay("handshake", handshake::check);
}

// I5, I7, I8
#[test]
fn scripts_of_reads_return_the_bytes_of_a_queue() {
    replay("stream_reads", stream_reads::check);
}

// T4, T5
#[test]
fn scripts_of_timers_fire_as_a_sorted_list_does() {
    replay("timers", timers::check);
}

#[test]
fn scripts_on_simulated_hosts_lose_no_byte_and_run_twice_alike() {
    replay("simulation", simulation::check);
}
