//! What waits: connections to be accepted, and bytes to be read.

use crate::truth::stage::Stage;

pub(super) async fn a_full_backlog_lets_connects_wait(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.here("connect a there:80").await;
    stage.here("connect b there:80").await;
    stage.settle().await;
    stage.here("briefly connect c there:80").await;
    stage.here("begin connect d there:80").await;
    stage.settle().await;
    stage.here("poll").await;
    stage.there("accept listener a").await;
    stage.there("accept listener b").await;
    stage.there("briefly accept listener c").await;
    stage.here("finish").await;
    stage.there("accept listener d").await;
    stage.here("write d hello").await;
    stage.there("read d 10").await;
}

pub(super) async fn a_connect_that_waits_for_room_is_refused_when_the_listener_goes(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.here("connect a there:80").await;
    stage.here("connect b there:80").await;
    stage.settle().await;
    stage.here("begin connect c there:80").await;
    stage.settle().await;
    stage.here("poll").await;
    stage.there("drop listener").await;
    stage.here("finish").await;
}

pub(super) async fn a_dropped_listener_resets_what_waits_in_its_queue(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.here("connect a there:80").await;
    stage.here("connect b there:80").await;
    stage.here("write b unread").await;
    stage.settle().await;
    stage.there("drop listener").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("write b fails").await;
    stage.here("write b fails").await;

    stage.there("listen listener there:80").await;
    stage.here("connect c there:80").await;
    stage.settle().await;
    stage.kill();
    stage.settle().await;
    stage.here("read c 10").await;
}

pub(super) async fn a_connection_that_was_reset_in_the_queue_is_accepted(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.here("connect a there:80").await;
    stage.here("write a before").await;
    stage.settle().await;
    stage.here("reset a").await;
    stage.here("connect b there:80").await;
    stage.settle().await;
    stage.there("accept listener a").await;
    stage.there("peer a").await;
    stage.there("local a").await;
    stage.there("read a 10").await;
    stage.there("read a 10").await;
    stage.there("read a 10").await;
    stage.there("write a fails").await;
    stage.there("accept listener b").await;
    stage.there("peer b").await;
}

pub(super) async fn a_connection_that_has_ended_in_the_queue_is_accepted(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.here("connect a there:80").await;
    stage.here("write a before").await;
    stage.here("drop a").await;
    stage.settle().await;
    stage.there("accept listener a").await;
    stage.there("peer a").await;
    stage.there("read a 10").await;
    stage.there("read a 10").await;
    stage.there("write a lost").await;
    stage.settle().await;
    stage.there("write a fails").await;
}

pub(super) async fn a_full_buffer_lets_a_write_wait_and_loses_nothing(stage: &Stage) {
    stage.connect("a").await;
    stage.here("begin write-all a 16000000").await;
    stage.settle().await;
    stage.here("poll").await;
    stage.there("begin read-all a").await;
    stage.here("finish").await;
    stage.here("shut a write").await;
    stage.there("finish").await;
}

pub(super) async fn a_write_that_waits_fails_at_a_reset(stage: &Stage) {
    for (name, end) in [("a", "drop a"), ("b", "reset b")] {
        stage.connect(name).await;
        stage.here(&format!("begin write-all {name} 16000000")).await;
        stage.settle().await;
        stage.here("poll").await;
        stage.there(end).await;
        stage.here("finish").await;
        stage.here(&format!("write {name} fails")).await;
        stage.here(&format!("read {name} 10")).await;
    }
}
