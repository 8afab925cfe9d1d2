//! Gives descriptors that were blocking their flag back.
//!
//! `O_NONBLOCK` belongs to the open file description, which other descriptors and other processes
//! may share: a shell shares its terminal with every program that it starts. So a descriptor that
//! was blocking when an [`AsyncFd`](crate::AsyncFd) took it over becomes blocking again when the
//! `AsyncFd` is dropped or gives the descriptor back.
//!
//! Several `AsyncFd`s may share a description. It must stay non-blocking until the last of them is
//! gone, or the loop would block. Descriptions cannot be compared, but files can: descriptors of the
//! same file form a group, and the flags are restored when the whole group is gone.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use squall_reactor::{Process, replace_nonblocking};

/// The groups. A group has an index as long as it has members.
static GROUPS: Mutex<Vec<Option<Group>>> = Mutex::new(Vec::new());
/// The number of groups.
static GROUP_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The descriptors of one file, at least one of which was blocking.
struct Group {
    /// The file's device and inode.
    file: (u64, u64),
    members: usize,
    /// A duplicate of each descriptor that was blocking. It has the flags of the original.
    was_blocking: Vec<File>,
    /// The number of forks when the group was made. A forked child must not restore the flags, which
    /// it shares with its parent.
    forks: u64,
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
        let was_nonblocking = replace_nonblocking(fd, true)?;
        if was_nonblocking && GROUP_COUNT.load(Ordering::Acquire) == 0 {
            return Ok(BlockingFlag::NONE);
        }
        let duplicate = File::from(fd.try_clone_to_owned()?);
        let metadata = duplicate.metadata()?;
        let file = (metadata.dev(), metadata.ino());
        let mut groups = lock();
        let found = groups.iter().position(|group| group.as_ref().is_some_and(|g| g.file == file));
        let index = match found {
            Some(index) => index,
            None if was_nonblocking => return Ok(BlockingFlag::NONE),
            None => insert(&mut groups, file),
        };
        let Ok(group) = u16::try_from(index + 1) else {
            remove(&mut groups, index); // too many for an index; this one is not restored
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
        let group = remove(&mut groups, index);
        drop(groups);
        if let Some(group) = group
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
fn insert(groups: &mut Vec<Option<Group>>, file: (u64, u64)) -> usize {
    let group = Group { file, members: 0, was_blocking: Vec::new(), forks: Process::forks_now() };
    GROUP_COUNT.fetch_add(1, Ordering::Release);
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

/// Removes a group.
fn remove(groups: &mut [Option<Group>], index: usize) -> Option<Group> {
    GROUP_COUNT.fetch_sub(1, Ordering::Release);
    groups[index].take()
}
