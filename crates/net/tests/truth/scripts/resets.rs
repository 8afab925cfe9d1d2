//! Streams that end before all is read.

use crate::truth::stage::Stage;

pub(super) async fn a_close_with_unread_bytes_resets(stage: &Stage) {
    stage.connect("a").await;
    stage.here("write a unread").await;
    stage.there("read a 3").await;
    stage.there("write a sent").await;
    stage.there("drop a").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;

    // All bytes are read.
    stage.connect("b").await;
    stage.here("write b read").await;
    stage.there("read b 10").await;
    stage.there("drop b").await;
    stage.settle().await;
    stage.here("read b 10").await;
    stage.here("peer b").await;
}

pub(super) async fn a_close_with_unread_bytes_after_an_end_resets(stage: &Stage) {
    stage.connect("a").await;
    stage.there("write a unread").await;
    stage.there("shut a write").await;
    stage.settle().await;
    stage.here("drop a").await;
    stage.settle().await;
    stage.there("peer a").await;
    stage.there("read a 10").await;
    stage.there("read a 10").await;

    // An end alone is nothing unread.
    stage.connect("b").await;
    stage.there("shut b write").await;
    stage.settle().await;
    stage.here("drop b").await;
    stage.settle().await;
    stage.there("read b 10").await;
    stage.there("peer b").await;
}

pub(super) async fn a_close_sends_what_was_written(stage: &Stage) {
    stage.connect("a").await;
    stage.there("write-all a 100000").await;
    stage.there("drop a").await;
    stage.here("read-all a").await;
    stage.connect("b").await;
    stage.there("write-all b 100000").await;
    stage.kill();
    stage.here("read-all b").await;
    stage.here("write b lost").await;
}

pub(super) async fn bytes_before_a_reset_are_read(stage: &Stage) {
    stage.connect("a").await;
    stage.there("write a before").await;
    stage.settle().await;
    stage.there("reset a").await;
    stage.settle().await;
    stage.here("read a 3").await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;

    // After an end that was received, there is no error to read.
    stage.connect("b").await;
    stage.there("write b before").await;
    stage.there("shut b write").await;
    stage.settle().await;
    stage.there("reset b").await;
    stage.settle().await;
    stage.here("read b 10").await;
    stage.here("read b 10").await;
    stage.here("write b fails").await;
    stage.here("write b fails").await;
}

pub(super) async fn each_call_after_a_reset_fails_in_its_way(stage: &Stage) {
    let calls: [&[&str]; 9] = [
        &["read nothing", "read", "read"],
        &["write nothing", "write", "read"],
        &["read", "read", "write"],
        &["write", "write", "read"],
        &["read", "write", "write"],
        &["write", "read", "read"],
        &["shut write", "read"],
        &["shut both", "write"],
        &["peer", "local", "shut read", "read"],
    ];
    for (n, calls) in calls.iter().enumerate() {
        stage.connect(&format!("a{n}")).await;
        stage.there(&format!("reset a{n}")).await;
        stage.settle().await;
        for call in *calls {
            let line = match call.split_once(' ') {
                Some(("read", _)) => format!("read a{n} 0"),
                Some(("write", _)) => format!("write a{n} "),
                Some((call, how)) => format!("{call} a{n} {how}"),
                None if *call == "read" => format!("read a{n} 10"),
                None if *call == "write" => format!("write a{n} fails"),
                None => format!("{call} a{n}"),
            };
            stage.here(&line).await;
        }
    }
}

pub(super) async fn a_write_after_the_end_of_the_peer_is_lost(stage: &Stage) {
    for (name, first) in [("a", "read a 10"), ("b", "write b fails"), ("c", "peer c")] {
        stage.connect(name).await;
        stage.there(&format!("drop {name}")).await;
        stage.settle().await;
        stage.here(&format!("write {name} lost")).await;
        stage.settle().await;
        stage.here(first).await;
        stage.here(&format!("write {name} fails")).await;
        stage.here(&format!("write {name} fails")).await;
        stage.here(&format!("read {name} 10")).await;
        stage.here(&format!("shut {name} write")).await;
    }
}

pub(super) async fn a_reset_stream_is_reset_at_both_ends(stage: &Stage) {
    stage.connect("a").await;
    stage.here("write a unread").await;
    stage.there("begin write-all a 16000000").await;
    stage.settle().await;
    stage.here("reset a").await;
    stage.there("finish").await;
    stage.there("read a 10").await;
    stage.there("read a 10").await;
}
