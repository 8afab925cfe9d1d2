//! The memory that an idle connection takes in the kernel.

use std::fs;
use std::io;

/// The caches of the kernel's allocator from which a watched TCP socket has an object each: the
/// connection, its inode, its file, its directory entry and its registration with epoll.
const OF_A_SOCKET: [&str; 5] = ["TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi"];

/// The bytes of these objects. An idle connection has no buffers. Only root may read the sizes.
pub(crate) fn of_an_idle_connection() -> io::Result<i64> {
    let sizes = fs::read_to_string("/proc/slabinfo")?;
    sum(&sizes).ok_or_else(|| io::Error::other("the kernel has merged the caches of sockets"))
}

fn sum(slabs: &str) -> Option<i64> {
    let size = |name: &&str| {
        let words = slabs.lines().map(|line| line.split_whitespace());
        let mut words = words.into_iter().find(|words| words.clone().next() == Some(*name))?;
        words.nth(3)?.parse::<i64>().ok()
    };
    OF_A_SOCKET.iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_the_objects_are_added() {
        let others = "sock_inode_cache 1 2 832 19\nfilp 1 2 192 21\ndentry 1 2 192 21\n";
        let slabs =
            |tcp| format!("# name\nTCPv6 1 2 2496 13\n{tcp}{others}eventpoll_epi 1 2 128 32\n");
        assert_eq!(sum(&slabs("TCP 1 2 2368 13\n")), Some(3712));
        assert_eq!(sum(&slabs("")), None);
    }
}
