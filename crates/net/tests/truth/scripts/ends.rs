//! The end of a stream, in one direction and in both.

use crate::truth::stage::Stage;

pub(super) async fn each_direction_ends_by_itself(stage: &Stage) {
    stage.connect("a").await;
    stage.here("write a question").await;
    stage.here("shut a write").await;
    stage.here("shut a write").await;
    stage.here("write a fails").await;
    stage.settle().await;
    stage.there("read a 10").await;
    stage.there("read a 10").await;
    stage.there("write a answer").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("briefly read a 10").await;
    stage.there("shut a write").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.there("read a 10").await;
    stage.there("write a fails").await;
}

pub(super) async fn a_stream_that_has_ended_both_ways_has_no_peer(stage: &Stage) {
    stage.connect("a").await;
    stage.here("shut a write").await;
    stage.settle().await;
    stage.here("peer a").await;
    stage.there("peer a").await;
    stage.there("shut a write").await;
    stage.settle().await;
    for line in ["peer a", "local a", "shut a write", "shut a read", "write a fails", "read a 10"] {
        stage.here(line).await;
        stage.there(line).await;
    }
}

pub(super) async fn an_empty_read_waits_for_bytes(stage: &Stage) {
    stage.connect("a").await;
    stage.here("briefly read a 0").await;
    stage.there("write a comes").await;
    stage.settle().await;
    stage.here("read a 0").await;
    stage.here("read a 10").await;
    stage.there("shut a write").await;
    stage.here("read a 0").await;
}

pub(super) async fn an_end_of_reading_keeps_what_comes(stage: &Stage) {
    stage.connect("a").await;
    stage.here("shut a read").await;
    stage.here("read a 10").await;
    stage.there("write a comes").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("write a goes").await;
    stage.settle().await;
    stage.there("read a 10").await;
    stage.there("peer a").await;
}

pub(super) async fn an_own_end_wakes_the_calls_that_wait(stage: &Stage) {
    stage.connect("a").await;
    stage.here("begin read a 10").await;
    stage.settle().await;
    stage.here("shut a read").await;
    stage.here("finish").await;
    stage.here("begin write-all a 16000000").await;
    stage.settle().await;
    stage.here("poll").await;
    stage.here("shut a write").await;
    stage.here("finish").await;
    stage.connect("b").await;
    stage.there("write b comes").await;
    stage.settle().await;
    stage.here("shut b both").await;
    stage.here("read b 10").await;
    stage.here("read b 10").await;
    stage.here("peer b").await;
}

pub(super) async fn bytes_for_a_stream_that_was_shut_both_ways_reset_it(stage: &Stage) {
    stage.connect("a").await;
    stage.here("shut a both").await;
    stage.settle().await;
    stage.there("read a 10").await;
    stage.there("write a lost").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.there("write a fails").await;
    stage.there("read a 10").await;
}
