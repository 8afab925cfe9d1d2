//! The scripts. Each runs on the kernel's sockets and on simulated ones.
//!
//! A script says what each end does; the stage logs what came of it. The other end has the address
//! `there`. After a script has let the packets arrive (`settle`), no outcome depends on their times.

use super::stage::Stage;

macro_rules! scripts {
    ($($module:ident { $($name:ident)* })*) => {
        $(mod $module;)*

        /// The names of the scripts.
        pub(crate) const NAMES: &[&str] = &[$($(stringify!($name)),*),*];

        /// Runs the script with this name.
        pub(crate) async fn run(name: &str, stage: &Stage) {
            match name {
                $($(stringify!($name) => $module::$name(stage).await,)*)*
                _ => panic!("no script {name}"),
            }
        }
    };
}

scripts! {
    peers {
        a_connect_is_refused_where_nothing_listens
        a_connect_to_an_address_without_a_host_fails
        a_connect_over_a_cut_link_ends_at_its_deadline
        a_killed_peer_ends_the_stream
        a_peer_killed_with_unread_bytes_resets
        a_peer_killed_behind_a_cut_link_ends_the_stream_later
        a_reset_that_was_lost_comes_again_for_a_write
        a_crashed_peer_is_silent_until_it_runs_again
        a_port_can_be_used_again_after_its_process_was_killed
        bytes_written_to_a_cut_link_come_after_it
    }
    ends {
        each_direction_ends_by_itself
        a_stream_that_has_ended_both_ways_has_no_peer
        an_empty_read_waits_for_bytes
        an_end_of_reading_keeps_what_comes
        an_own_end_wakes_the_calls_that_wait
        bytes_for_a_stream_that_was_shut_both_ways_reset_it
    }
    resets {
        a_close_with_unread_bytes_resets
        a_close_with_unread_bytes_after_an_end_resets
        a_close_sends_what_was_written
        bytes_before_a_reset_are_read
        each_call_after_a_reset_fails_in_its_way
        a_write_after_the_end_of_the_peer_is_lost
        a_reset_stream_is_reset_at_both_ends
    }
    queues {
        a_full_backlog_lets_connects_wait
        a_connect_that_waits_for_room_is_refused_when_the_listener_goes
        a_dropped_listener_resets_what_waits_in_its_queue
        a_connection_that_was_reset_in_the_queue_is_accepted
        a_connection_that_has_ended_in_the_queue_is_accepted
        a_full_buffer_lets_a_write_wait_and_loses_nothing
        a_write_that_waits_fails_at_a_reset
    }
    addresses {
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
    }
    datagrams {
        a_connected_datagram_socket_is_refused_once
        an_unconnected_datagram_socket_is_not_told
        a_datagram_has_a_longest_length
        a_refusal_comes_before_the_datagrams_that_wait
        a_datagram_may_be_cut_to_the_buffer
        a_connected_datagram_socket_has_one_peer
        datagrams_for_a_cut_link_are_lost
    }
}
