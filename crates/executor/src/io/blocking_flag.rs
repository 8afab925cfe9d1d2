//! Gives descriptors that were blocking their flag back.
//!
//! `O_NONBLOCK` belongs to the open file description, which other descriptors and other processes
//! may share: a shell shares its terminal with every program that it starts. So a descriptor that
//! was blocking when an [`AsyncFd`](crate::AsyncFd) took it over becomes blocking again when the
//! `AsyncFd` is dropped or gives the descriptor back.
//!
//! Several `AsyncFd`s may share a description. It must stay non-blocking until the last of them is
//! gone, or the loop would block. Descriptions cannot be compared, but files can: pipes and terminals
//! with the same access form a group, and the flags are restored when the whole group is gone.
//!
//! Sockets stay non-blocking, because other parts of the program, and other processes, may rely on
//! it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::{Mutex, MutexGuard, PoisonError};

use squall_reactor::{Process, access_mode, replace_nonblocking};

/// The groups. A group has an index as long as it has members.
static GROUPS: Mutex<Vec<Option<Group>>> = Mutex::new(Vec::new());

/// The descriptors of one file, at least one of which was blocking.
struct Group {
    /// `None` if no other descriptor can join the group.
    file: Option<SharedFile>,
    members: usize,
    /// A duplicate of each descriptor that was blocking. It has the flags of the original.
    was_blocking: Vec<File>,
    /// The number of forks when the group was made. A forked child must not restore the flags, which
    /// it shares with its parent.
    forks: u64,
}

/// A pipe or terminal, opened for reading, writing or both.
#[derive(PartialEq, Eq)]
struct SharedFile {
    device: u64,
    inode: u64,
    access_mode: i32,
}

/// Membership in a group, which the drop ends.
pub(crate) struct BlockingFlag {
    /// The group's index plus one; 0 for none. Two bytes find room in an `AsyncFd` that is there
    /// already.
    group: u16,
}

impl BlockingFlag {
    /// For a descriptor whose flags stay as they are.
    pub(crate) const NONE: BlockingFlag = BlockingFlag { group: 0 };

    /// Makes a descriptor non-blocking, and remembers if it was not.
    pub(crate) fn clear(fd: BorrowedFd<'_>) -> io::Result<BlockingFlag> {
        let mut groups = lock(); // first, so that no other thread restores the flag meanwhile
        let was_nonblocking = replace_nonblocking(fd, true)?;
        if was_nonblocking && groups.iter().all(Option::is_none) {
            return Ok(BlockingFlag::NONE);
        }
        match BlockingFlag::join(&mut groups, fd, was_nonblocking) {
            Err(error) if !was_nonblocking => {
                replace_nonblocking(fd, false)?;
                Err(error)
            }
            joined => joined,
        }
    }

    /// Joins the group of a descriptor's file, or makes one for a descriptor that was blocking.
    fn join(
        groups: &mut Vec<Option<Group>>,
        fd: BorrowedFd<'_>,
        was_nonblocking: bool,
    ) -> io::Result<BlockingFlag> {
        let duplicate = File::from(fd.try_clone_to_owned()?);
        let metadata = duplicate.metadata()?;
        let kind = metadata.file_type();
        if kind.is_socket() {
            return Ok(BlockingFlag::NONE);
        }
        let mut file = None;
        if kind.is_fifo() || kind.is_char_device() {
            let (device, inode) = (metadata.dev(), metadata.ino());
            file = Some(SharedFile { device, inode, access_mode: access_mode(fd)? });
        }
        let is_same = |group: &Option<Group>| {
            group.as_ref().is_some_and(|group| file.is_some() && group.file == file)
        };
        let index = match groups.iter().position(is_same) {
            Some(index) => index,
            None if was_nonblocking => return Ok(BlockingFlag::NONE),
            None => insert(groups, file),
        };
        let Ok(group) = u16::try_from(index + 1) else {
            groups[index] = None; // too many for an index; this one is not restored
            return Ok(BlockingFlag::NONE);
        };
        if let Some(group) = &mut groups[index] {
            group.members += 1;
            if !was_nonblocking {
                group.was_blocking.push(duplicate);
            }
        }
        Ok(BlockingFlag { group })
    }
}

impl Drop for BlockingFlag {
    #[inline]
    fn drop(&mut self) {
        if self.group != 0 {
            self.leave();
        }
    }
}

impl BlockingFlag {
    /// Leaves the group. The last member restores the flags.
    #[cold]
    fn leave(&self) {
        let index = usize::from(self.group) - 1;
        let mut groups = lock();
        let Some(group) = &mut groups[index] else { return };
        group.members -= 1;
        if group.members > 0 {
            return;
        }
        if let Some(group) = groups[index].take()
            && group.forks == Process::forks_now()
        {
            for file in group.was_blocking {
                let _ = replace_nonblocking(file.as_fd(), false); // it worked the other way round
            }
        }
    }
}

fn lock() -> MutexGuard<'static, Vec<Option<Group>>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a group without members and returns its index.
fn insert(groups: &mut Vec<Option<Group>>, file: Option<SharedFile>) -> usize {
    let group = Group { file, members: 0, was_blocking: Vec::new(), forks: Process::forks_now() };
    match groups.iter().position(Option::is_none) {
        Some(index) => {
            groups[index] = Some(group);
            index
        }
        None => {
            groups.push(Some(group));
            groups.len() - 1
        }
    }
}
