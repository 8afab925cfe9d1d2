//! Datagrams.

use crate::truth::stage::Stage;

pub(super) async fn a_connected_datagram_socket_is_refused_once(stage: &Stage) {
    stage.here("bind a any:0").await;
    stage.here("send a fails").await;
    stage.here("associate a there:53").await;
    stage.here("send a lost").await;
    stage.settle().await;
    stage.here("recv a 10").await;
    stage.here("briefly recv a 10").await;
    stage.here("send a lost").await;
    stage.settle().await;
    stage.here("send a fails").await;
    stage.here("send a lost").await;
    stage.here("recv a 10").await;
    stage.here("send a lost").await;
    stage.settle().await;
    stage.there("bind b there:53").await;
    stage.here("send-to a there:53 fails").await;
    stage.here("send-to a there:53 arrives").await;
    stage.there("recv-datagram b 10").await;
    stage.there("bind c loopback:54").await;
    stage.here("associate a there:54").await;
    stage.here("send a lost").await;
    stage.settle().await;
    stage.here("recv a 10").await;
}

pub(super) async fn an_unconnected_datagram_socket_is_not_told(stage: &Stage) {
    stage.here("bind a any:0").await;
    stage.here("send-to a there:53 lost").await;
    stage.settle().await;
    stage.here("send-to a there:53 lost").await;
    stage.here("briefly recv a 10").await;
    stage.here("send-to a there:0 fails").await;
    // Connected to another peer than that which refuses.
    stage.here("associate a there:54").await;
    stage.here("send-to a there:53 lost").await;
    stage.settle().await;
    stage.here("briefly recv a 10").await;
}

pub(super) async fn a_datagram_has_a_longest_length(stage: &Stage) {
    stage.there("bind b there:53").await;
    stage.here("bind a any:0").await;
    stage.here("send-zeros a 65507").await;
    stage.here("send-zeros a 65508").await;
    stage.here("associate a there:53").await;
    stage.here("send-zeros a 65508").await;
    stage.here("send-zeros a 100000").await;
    stage.here("send-zeros a 65507").await;
    stage.there("recv-datagram b 1").await;
    stage.here("send-zeros a 0").await;
    stage.there("recv-datagram b 10").await;
    stage.there("drop b").await;
    stage.here("send a lost").await;
    stage.settle().await;
    stage.here("send-zeros a 65508").await;
    stage.here("recv a 10").await;
}

pub(super) async fn a_refusal_comes_before_the_datagrams_that_wait(stage: &Stage) {
    stage.here("bind a here:54").await;
    stage.there("bind b there:53").await;
    stage.here("associate a there:53").await;
    stage.there("send-to b here:54 hello").await;
    stage.settle().await;
    stage.there("drop b").await;
    stage.here("send a lost").await;
    stage.settle().await;
    stage.here("recv a 10").await;
    stage.here("recv a 10").await;
}

pub(super) async fn a_datagram_may_be_cut_to_the_buffer(stage: &Stage) {
    stage.there("bind b any:53").await;
    stage.here("bind a here:54").await;
    for most in [3, 5, 10, 0] {
        stage.here("send-to a there:53 hello").await;
        stage.there(&format!("recv-datagram b {most}")).await;
    }
    stage.here("send-to a there:53 hello").await;
    stage.there("recv b 3").await;
    stage.there("briefly recv b 3").await;
}

pub(super) async fn a_connected_datagram_socket_has_one_peer(stage: &Stage) {
    stage.here("bind a here:54").await;
    stage.there("bind b there:53").await;
    stage.there("bind c there:55").await;
    stage.here("associate a there:53").await;
    stage.there("send-to c here:54 stranger").await;
    stage.there("send-to b here:54 peer").await;
    stage.here("recv-datagram a 10").await;
    stage.here("briefly recv a 10").await;
    stage.here("send-to a there:55 hello").await;
    stage.there("recv-datagram c 10").await;
    // A stranger is refused.
    stage.there("associate c here:54").await;
    stage.there("send c hello").await;
    stage.settle().await;
    stage.there("briefly recv c 10").await;
    stage.here("associate a there:55").await;
    stage.there("send c hello").await;
    stage.here("recv-datagram a 10").await;
}

pub(super) async fn datagrams_for_a_cut_link_are_lost(stage: &Stage) {
    stage.there("bind b there:53").await;
    stage.here("bind a here:54").await;
    stage.cut();
    stage.here("send-to a there:53 lost").await;
    stage.settle().await;
    stage.heal();
    stage.there("briefly recv b 10").await;
    stage.here("send-to a there:53 arrives").await;
    stage.there("recv b 10").await;
}
