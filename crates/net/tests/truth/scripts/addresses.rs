//! Addresses: which are free, and what an end knows of them.

use crate::truth::stage::Stage;

pub(super) async fn a_tcp_address_is_used_once(stage: &Stage) {
    for (first, second) in [
        ("any:80", "any:80"),
        ("any:81", "here:81"),
        ("here:82", "any:82"),
        ("here:83", "here:83"),
        ("here:84", "loopback:84"),
        ("loopback:85", "loopback2:85"),
    ] {
        stage.here(&format!("listen first {first}")).await;
        stage.here(&format!("listen second {second}")).await;
        stage.here(&format!("bind udp {second}")).await;
        stage.here("drop udp").await;
        if second.starts_with("loopback") {
            stage.here("drop second").await;
        }
        stage.here("drop first").await;
        stage.here(&format!("listen second {second}")).await;
        stage.here("drop second").await;
    }
}

pub(super) async fn a_udp_address_is_used_once(stage: &Stage) {
    for (first, second) in [
        ("any:80", "any:80"),
        ("any:81", "here:81"),
        ("here:82", "any:82"),
        ("here:83", "here:83"),
        ("here:84", "loopback:84"),
    ] {
        stage.here(&format!("bind first {first}")).await;
        stage.here(&format!("bind second {second}")).await;
        if second.starts_with("loopback") {
            stage.here("drop second").await;
        }
        stage.here("drop first").await;
        stage.here(&format!("bind second {second}")).await;
        stage.here("drop second").await;
    }
}

pub(super) async fn the_port_of_a_connection_is_in_use(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.both("connect a there:80", "accept listener a").await;
    stage.here("listen b any as a").await;
    stage.here("listen c here as a").await;
    stage.here("listen d loopback as a").await;

    // That of an accepted stream is not, once the listener is gone.
    stage.there("listen second there:80").await;
    stage.there("drop listener").await;
    stage.there("listen second there:80").await;
    stage.there("peer a").await;
}

pub(super) async fn a_port_connects_once_to_each_peer(stage: &Stage) {
    stage.there("listen listener any:80").await;
    stage.there("listen other any:81").await;
    stage.both("connect a there:80 from here:5000", "accept listener a").await;
    stage.there("peer a").await;
    stage.here("connect c there:80 from here:5000").await;
    stage.both("connect b there:81 from here:5000", "accept other b").await;
    stage.there("peer b").await;
    stage.here("listen e any:5000").await;
    stage.both("connect f there:80", "accept listener f").await;
    stage.here("connect g there:81 as f").await;
    stage.here("listen c any:5001").await;
    stage.here("connect d there:80 from here:5001").await;
    stage.both("connect h there:80 from any:5002", "accept listener h").await;
    stage.here("local h").await;
}

pub(super) async fn a_port_connects_again_to_the_same_peer(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.both("connect a there:80 from here:5000", "accept listener a").await;
    stage.here("drop a").await;
    stage.settle().await;
    stage.there("drop a").await;
    stage.settle().await;
    stage.both("connect b there:80 from here:5000", "accept listener b").await;
    stage.there("drop b").await;
    stage.settle().await;
    stage.here("drop b").await;
    stage.settle().await;
    stage.both("connect c there:80 from here:5000", "accept listener c").await;
}

pub(super) async fn the_port_of_the_end_that_closed_first_rests(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.both("connect a there:80", "accept listener a").await;
    stage.there("drop a").await;
    stage.settle().await;
    stage.here("drop a").await;
    stage.settle().await;
    stage.here("listen a2 any as a").await;
    stage.both("connect b there:80", "accept listener b").await;
    stage.here("drop b").await;
    stage.settle().await;
    stage.there("drop b").await;
    stage.settle().await;
    stage.here("listen b2 any as b").await;
}

pub(super) async fn an_address_of_another_host_is_not_available(stage: &Stage) {
    stage.here("listen a there:80").await;
    stage.here("listen a nobody:80").await;
    stage.here("bind b there:80").await;
    stage.there("listen listener there:80").await;
    stage.here("connect c there:80 from nobody").await;
    stage.here("connect c there:80 from there").await;
    stage.both("connect c there:80 from here", "accept listener c").await;
}

pub(super) async fn the_loopback_device_leads_to_no_other_host(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.here("connect a there:80 from loopback").await;
    stage.here("bind b loopback:53").await;
    stage.here("send-to b there:53 fails").await;
    stage.here("associate b there:53").await;
    stage.here("peer b").await;
    stage.here("associate b here:54").await;
    stage.here("peer b").await;
    // An own address does lead there.
    stage.here("listen local loopback:80").await;
    stage.here("connect c loopback:80 from here").await;
    stage.here("accept local d").await;
    stage.here("peer d").await;
    stage.here("bind e loopback:55").await;
    stage.here("bind f here:55").await;
    stage.here("send-to f loopback:55 hello").await;
    stage.here("recv-datagram e 10").await;
}

pub(super) async fn both_ends_know_both_addresses(stage: &Stage) {
    stage.there("listen listener any:80").await;
    stage.there("local listener").await;
    stage.both("connect a there:80", "accept listener a").await;
    stage.here("local a").await;
    stage.here("peer a").await;
    stage.there("local a").await;
    stage.there("peer a").await;
    stage.here("listen listener here:0").await;
    stage.here("bind b here:0").await;
    stage.here("peer b").await;
    stage.here("associate b there:53").await;
    stage.here("local b").await;
    stage.here("peer b").await;
    stage.here("bind c any:0").await;
    stage.here("associate c there:53").await;
    stage.here("local c").await;
    stage.here("bind d any:54").await;
    stage.here("associate d loopback:53").await;
    stage.here("local d").await;
}

pub(super) async fn a_host_connects_to_itself(stage: &Stage) {
    stage.here("listen listener any:80").await;
    for (name, to) in
        [("a", "here:80"), ("b", "loopback:80"), ("c", "any:80"), ("d", "loopback2:80")]
    {
        stage.here(&format!("connect {name} {to}")).await;
        stage.here(&format!("accept listener {name}2")).await;
        for end in [name, &format!("{name}2")] {
            stage.here(&format!("local {end}")).await;
            stage.here(&format!("peer {end}")).await;
        }
    }
    stage.here("drop listener").await;
    stage.here("listen listener here:80").await;
    stage.here("connect e loopback:80").await;
    stage.here("bind post any:53").await;
    stage.here("bind f any:54").await;
    for to in ["here:53", "loopback:53", "any:53", "loopback2:53"] {
        stage.here(&format!("send-to f {to} hello")).await;
        stage.here("recv-datagram post 10").await;
    }
}
