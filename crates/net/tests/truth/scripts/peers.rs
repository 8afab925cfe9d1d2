//! Peers that are not there, that end, and that come back; and cut links.

use crate::truth::stage::Stage;

pub(super) async fn a_connect_is_refused_where_nothing_listens(stage: &Stage) {
    stage.here("connect a there:80").await;
    stage.there("listen listener there:80").await;
    stage.there("drop listener").await;
    stage.here("connect a there:80").await;
    stage.there("connect b here:80").await;
    stage.there("listen listener loopback:80").await;
    stage.here("connect a there:80").await;
    stage.here("connect a there:0").await;
}

pub(super) async fn a_connect_to_an_address_without_a_host_fails(stage: &Stage) {
    stage.here("connect a nobody:80").await;
    stage.here("bind b any:0").await;
    stage.here("send-to b nobody:53 lost").await;
    stage.here("briefly recv b 10").await;
    stage.here("associate b nobody:53").await;
    stage.here("send b lost").await;
    stage.here("briefly recv b 10").await;
    stage.here("briefly recv b 10").await;
    stage.here("send b lost").await;
}

pub(super) async fn a_connect_over_a_cut_link_ends_at_its_deadline(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.cut();
    stage.here("connect a there:80 within 200").await;
    stage.heal();
    stage.both("connect a there:80", "accept listener a").await;
}

pub(super) async fn a_killed_peer_ends_the_stream(stage: &Stage) {
    stage.connect("a").await;
    stage.there("write a last").await;
    stage.kill();
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("peer a").await;
    stage.here("write a lost").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("write a fails").await;
    stage.here("write a fails").await;
    stage.here("connect b there:80").await;
}

pub(super) async fn a_peer_killed_with_unread_bytes_resets(stage: &Stage) {
    stage.connect("a").await;
    stage.here("write a unread").await;
    stage.settle().await;
    stage.kill();
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("write a fails").await;
}

pub(super) async fn a_peer_killed_behind_a_cut_link_ends_the_stream_later(stage: &Stage) {
    stage.connect("a").await;
    stage.cut();
    stage.kill();
    stage.here("briefly read a 10").await;
    stage.heal();
    stage.here("read a 10").await;
}

pub(super) async fn a_reset_that_was_lost_comes_again_for_a_write(stage: &Stage) {
    stage.connect("a").await;
    stage.here("write a unread").await;
    stage.settle().await;
    stage.cut();
    stage.there("drop a").await;
    stage.settle().await;
    stage.heal();
    stage.here("briefly read a 10").await;
    stage.here("write a more").await;
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
}

pub(super) async fn a_crashed_peer_is_silent_until_it_runs_again(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.both("connect a there:80", "accept listener a").await;
    stage.both("connect b there:80", "accept listener b").await;
    stage.both("connect c there:80", "accept listener c").await;
    stage.crash().await;
    stage.here("write a lost").await;
    stage.here("briefly read a 10").await;
    stage.here("connect d there:80 within 200").await;
    stage.restart();
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("briefly read b 10").await;
    stage.here("write b lost").await;
    stage.settle().await;
    stage.here("write b fails").await;
    stage.here("drop c").await;
    stage.here("connect d there:80").await;
}

pub(super) async fn a_port_can_be_used_again_after_its_process_was_killed(stage: &Stage) {
    stage.there("listen listener any:80").await;
    stage.both("connect a there:80", "accept listener a").await;
    stage.kill();
    stage.restart();
    stage.there("listen listener any:80").await;
    stage.both("connect b there:80", "accept listener b").await;
    stage.here("read a 10").await;
}

pub(super) async fn bytes_written_to_a_cut_link_come_after_it(stage: &Stage) {
    stage.connect("a").await;
    stage.cut();
    stage.here("write a one").await;
    stage.there("write a two").await;
    stage.there("briefly read a 3").await;
    stage.here("briefly read a 3").await;
    stage.here("shut a write").await;
    stage.heal();
    stage.there("read a 3").await;
    stage.there("read a 3").await;
    stage.here("read a 3").await;
    stage.there("write a three").await;
    stage.here("read a 10").await;
}
