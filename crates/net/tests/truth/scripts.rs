//! The scripts. Each runs on the kernel's sockets and on simulated ones.
//!
//! A script says what each end does; the stage logs what came of it. The other end has the address
//! `there`. After a script has let the packets arrive (`settle`), no outcome depends on their times.

use super::stage::Stage;

macro_rules! scripts {
    ($($name:ident)*) => {
        /// The names of the scripts.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// Runs the script with this name.
        pub(crate) async fn run(name: &str, stage: &Stage) {
            match name {
                $(stringify!($name) => $name(stage).await,)*
                _ => panic!("no script {name}"),
            }
        }
    };
}

scripts! {
    a_connect_is_refused_where_nothing_listens
    a_connect_to_an_address_without_a_host_fails
    a_connect_over_a_cut_link_ends_at_its_deadline
    a_killed_peer_ends_the_stream
    a_peer_killed_with_unread_bytes_resets
    a_peer_killed_behind_a_cut_link_ends_the_stream_later
    a_reset_that_was_lost_comes_again_for_a_write
    a_crashed_peer_is_silent_until_it_runs_again
    a_port_can_be_used_again_after_its_process_was_killed
    each_direction_ends_by_itself
    a_stream_that_has_ended_both_ways_has_no_peer
    an_empty_read_waits_for_bytes
    an_end_of_reading_keeps_what_comes
    an_own_end_wakes_the_calls_that_wait
    bytes_for_a_stream_that_was_shut_both_ways_reset_it
    a_close_with_unread_bytes_resets
    a_close_with_unread_bytes_after_an_end_resets
    a_close_sends_what_was_written
    bytes_before_a_reset_are_read
    each_call_after_a_reset_fails_in_its_way
    a_write_after_the_end_of_the_peer_is_lost
    a_reset_stream_is_reset_at_both_ends
    a_full_backlog_lets_connects_wait
    a_connect_that_waits_for_room_is_refused_when_the_listener_goes
    a_dropped_listener_resets_what_waits_in_its_queue
    a_connection_that_was_reset_in_the_queue_is_accepted
    a_connection_that_has_ended_in_the_queue_is_accepted
    a_full_buffer_lets_a_write_wait_and_loses_nothing
    a_write_that_waits_fails_at_a_reset
    bytes_written_to_a_cut_link_come_after_it
    a_tcp_address_is_used_once
    a_udp_address_is_used_once
    the_port_of_a_connection_is_in_use
    a_port_connects_once_to_each_peer
    a_port_connects_again_to_the_same_peer
    the_port_of_the_end_that_closed_first_rests
    an_address_of_another_host_is_not_available
    the_loopback_device_leads_to_no_other_host
    both_ends_know_both_addresses
    a_host_connects_to_itself
    a_connected_datagram_socket_is_refused_once
    an_unconnected_datagram_socket_is_not_told
    a_datagram_has_a_longest_length
    a_refusal_comes_before_the_datagrams_that_wait
    a_datagram_may_be_cut_to_the_buffer
    a_connected_datagram_socket_has_one_peer
    datagrams_for_a_cut_link_are_lost
}

async fn a_connect_is_refused_where_nothing_listens(stage: &Stage) {
    stage.here("connect a there:80").await;
    stage.there("listen listener there:80").await;
    stage.there("drop listener").await;
    stage.here("connect a there:80").await;
    stage.there("connect b here:80").await;
    stage.there("listen listener loopback:80").await;
    stage.here("connect a there:80").await;
    stage.here("connect a there:0").await;
}

async fn a_connect_to_an_address_without_a_host_fails(stage: &Stage) {
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

async fn a_connect_over_a_cut_link_ends_at_its_deadline(stage: &Stage) {
    stage.there("listen listener there:80").await;
    stage.cut();
    stage.here("connect a there:80 within 200").await;
    stage.heal();
    stage.both("connect a there:80", "accept listener a").await;
}

async fn a_killed_peer_ends_the_stream(stage: &Stage) {
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

async fn a_peer_killed_with_unread_bytes_resets(stage: &Stage) {
    stage.connect("a").await;
    stage.here("write a unread").await;
    stage.settle().await;
    stage.kill();
    stage.settle().await;
    stage.here("read a 10").await;
    stage.here("read a 10").await;
    stage.here("write a fails").await;
}

async fn a_peer_killed_behind_a_cut_link_ends_the_stream_later(stage: &Stage) {
    stage.connect("a").await;
    stage.cut();
    stage.kill();
    stage.here("briefly read a 10").await;
    stage.heal();
    stage.here("read a 10").await;
}

async fn a_reset_that_was_lost_comes_again_for_a_write(stage: &Stage) {
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

async fn a_crashed_peer_is_silent_until_it_runs_again(stage: &Stage) {
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

async fn a_port_can_be_used_again_after_its_process_was_killed(stage: &Stage) {
    stage.there("listen listener any:80").await;
    stage.both("connect a there:80", "accept listener a").await;
    stage.kill();
    stage.restart();
    stage.there("listen listener any:80").await;
    stage.both("connect b there:80", "accept listener b").await;
    stage.here("read a 10").await;
}

async fn each_direction_ends_by_itself(stage: &Stage) {
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

async fn a_stream_that_has_ended_both_ways_has_no_peer(stage: &Stage) {
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

async fn an_empty_read_waits_for_bytes(stage: &Stage) {
    stage.connect("a").await;
    stage.here("briefly read a 0").await;
    stage.there("write a comes").await;
    stage.settle().await;
    stage.here("read a 0").await;
    stage.here("read a 10").await;
    stage.there("shut a write").await;
    stage.here("read a 0").await;
}

async fn an_end_of_reading_keeps_what_comes(stage: &Stage) {
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

async fn an_own_end_wakes_the_calls_that_wait(stage: &Stage) {
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

async fn bytes_for_a_stream_that_was_shut_both_ways_reset_it(stage: &Stage) {
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

async fn a_close_with_unread_bytes_resets(stage: &Stage) {
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

async fn a_close_with_unread_bytes_after_an_end_resets(stage: &Stage) {
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

async fn a_close_sends_what_was_written(stage: &Stage) {
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

async fn bytes_before_a_reset_are_read(stage: &Stage) {
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

async fn each_call_after_a_reset_fails_in_its_way(stage: &Stage) {
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

async fn a_write_after_the_end_of_the_peer_is_lost(stage: &Stage) {
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

async fn a_reset_stream_is_reset_at_both_ends(stage: &Stage) {
    stage.connect("a").await;
    stage.here("write a unread").await;
    stage.there("begin write-all a 16000000").await;
    stage.settle().await;
    stage.here("reset a").await;
    stage.there("finish").await;
    stage.there("read a 10").await;
    stage.there("read a 10").await;
}

async fn a_full_backlog_lets_connects_wait(stage: &Stage) {
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

async fn a_connect_that_waits_for_room_is_refused_when_the_listener_goes(stage: &Stage) {
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

async fn a_dropped_listener_resets_what_waits_in_its_queue(stage: &Stage) {
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

async fn a_connection_that_was_reset_in_the_queue_is_accepted(stage: &Stage) {
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

async fn a_connection_that_has_ended_in_the_queue_is_accepted(stage: &Stage) {
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

async fn a_full_buffer_lets_a_write_wait_and_loses_nothing(stage: &Stage) {
    stage.connect("a").await;
    stage.here("begin write-all a 16000000").await;
    stage.settle().await;
    stage.here("poll").await;
    stage.there("begin read-all a").await;
    stage.here("finish").await;
    stage.here("shut a write").await;
    stage.there("finish").await;
}

async fn a_write_that_waits_fails_at_a_reset(stage: &Stage) {
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

async fn bytes_written_to_a_cut_link_come_after_it(stage: &Stage) {
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

async fn a_tcp_address_is_used_once(stage: &Stage) {
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

async fn a_udp_address_is_used_once(stage: &Stage) {
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

async fn the_port_of_a_connection_is_in_use(stage: &Stage) {
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

async fn a_port_connects_once_to_each_peer(stage: &Stage) {
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

async fn a_port_connects_again_to_the_same_peer(stage: &Stage) {
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

async fn the_port_of_the_end_that_closed_first_rests(stage: &Stage) {
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

async fn an_address_of_another_host_is_not_available(stage: &Stage) {
    stage.here("listen a there:80").await;
    stage.here("listen a nobody:80").await;
    stage.here("bind b there:80").await;
    stage.there("listen listener there:80").await;
    stage.here("connect c there:80 from nobody").await;
    stage.here("connect c there:80 from there").await;
    stage.both("connect c there:80 from here", "accept listener c").await;
}

async fn the_loopback_device_leads_to_no_other_host(stage: &Stage) {
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

async fn both_ends_know_both_addresses(stage: &Stage) {
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

async fn a_host_connects_to_itself(stage: &Stage) {
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

async fn a_connected_datagram_socket_is_refused_once(stage: &Stage) {
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

async fn an_unconnected_datagram_socket_is_not_told(stage: &Stage) {
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

async fn a_datagram_has_a_longest_length(stage: &Stage) {
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

async fn a_refusal_comes_before_the_datagrams_that_wait(stage: &Stage) {
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

async fn a_datagram_may_be_cut_to_the_buffer(stage: &Stage) {
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

async fn a_connected_datagram_socket_has_one_peer(stage: &Stage) {
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

async fn datagrams_for_a_cut_link_are_lost(stage: &Stage) {
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
