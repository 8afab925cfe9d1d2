//! The name service of a simulation.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use squall_executor::sleep;

use crate::sim::current::Place;

/// Finds the address of a host by its name.
///
/// # Errors
/// `NotFound` if no host has the name, `HostUnreachable` if the name service fails.
pub(crate) async fn look_up(place: Place, name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let Place { world, machine } = place;
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]);
    }
    sleep(world.random_duration(&world.config.lookup_latency)).await;
    if world.random_bool(world.config.lookup_failures) {
        let text = format!("the name service of {} fails", machine.name);
        return Err(io::Error::new(io::ErrorKind::HostUnreachable, text));
    }
    let plain = name.strip_suffix('.').unwrap_or(&name);
    match world.machine_named(plain) {
        Some(found) => Ok(vec![SocketAddr::new(found.ip, port)]),
        None => {
            let text = format!("no host of the simulation is named {name:?}");
            Err(io::Error::new(io::ErrorKind::NotFound, text))
        }
    }
}
