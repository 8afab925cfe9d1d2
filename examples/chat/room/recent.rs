//! The newest messages of a room.

use std::collections::VecDeque;
use std::rc::Rc;

use async_tungstenite::tungstenite::Utf8Bytes;

use crate::limits::Limits;

/// A message of which the room still has the frame.
#[derive(Clone, Debug)]
pub(crate) struct RecentMessage {
    pub(crate) number: u64,
    pub(crate) tag: Rc<str>,
    pub(crate) id: Rc<str>,
    pub(crate) frame: Utf8Bytes,
}

/// The newest messages, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Recent {
    messages: VecDeque<RecentMessage>,
    /// The bytes of all frames in `messages`.
    bytes: usize,
    /// All messages up to this number are no longer here. 0 if all are.
    forgotten: u64,
    max_messages: usize,
    max_bytes: usize,
    history: usize,
}

/// What a client gets that joins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) frames: Vec<Utf8Bytes>,
    /// Whether the frames follow what the client has without a gap.
    pub(crate) continues: bool,
    pub(crate) has_older: bool,
}

impl Recent {
    /// No messages, where all up to the number `forgotten` are missing.
    pub(crate) fn new(limits: &Limits, forgotten: u64) -> Recent {
        Recent {
            messages: VecDeque::new(),
            bytes: 0,
            forgotten,
            max_messages: limits.recent_messages.max(limits.history),
            max_bytes: limits.recent_bytes,
            history: limits.history,
        }
    }

    /// Adds the newest message. Forgets the oldest ones if there are too many.
    pub(crate) fn push(&mut self, message: RecentMessage) {
        self.bytes += message.frame.len();
        self.messages.push_back(message);
        while self.messages.len() > self.max_messages
            || (self.bytes > self.max_bytes && self.messages.len() > self.history)
        {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.bytes -= oldest.frame.len();
            self.forgotten = oldest.number;
        }
    }

    /// Whether the message with this id is here.
    pub(crate) fn contains(&self, tag: &str, id: &str) -> bool {
        self.messages.iter().rev().any(|message| *message.id == *id && *message.tag == *tag)
    }

    /// The number of the newest message.
    pub(crate) fn last_number(&self) -> u64 {
        self.messages.back().map_or(self.forgotten, |message| message.number)
    }

    /// The messages after the number `since`. If some of them are forgotten, or the client has none,
    /// the last ones.
    pub(crate) fn backlog(&self, since: Option<u64>) -> Backlog {
        match since {
            Some(since) if since >= self.forgotten => {
                let first = self.messages.partition_point(|message| message.number <= since);
                Backlog { frames: self.frames_from(first), continues: true, has_older: false }
            }
            _ => {
                let first = self.messages.len().saturating_sub(self.history);
                let has_older = first > 0 || self.forgotten > 0;
                Backlog { frames: self.frames_from(first), continues: false, has_older }
            }
        }
    }

    fn frames_from(&self, first: usize) -> Vec<Utf8Bytes> {
        self.messages.range(first..).map(|message| message.frame.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(numbers: impl IntoIterator<Item = u64>, max_bytes: usize) -> Recent {
        let limits =
            Limits { history: 2, recent_messages: 4, recent_bytes: max_bytes, ..Limits::default() };
        let mut recent = Recent::new(&limits, 0);
        for number in numbers {
            let frame = number.to_string().into();
            let id = number.to_string().into();
            recent.push(RecentMessage { number, tag: "t".into(), id, frame });
        }
        recent
    }

    fn backlog(frames: &[&str], continues: bool, has_older: bool) -> Backlog {
        let frames = frames.iter().map(|frame| Utf8Bytes::from(*frame)).collect();
        Backlog { frames, continues, has_older }
    }

    #[test]
    fn a_client_gets_what_it_has_not_or_the_last_ones() {
        let recent = recent([1, 3, 4, 7, 8], 1000); // 1 is forgotten
        assert_eq!(recent.backlog(None), backlog(&["7", "8"], false, true));
        assert_eq!(recent.backlog(Some(8)), backlog(&[], true, false));
        assert_eq!(recent.backlog(Some(5)), backlog(&["7", "8"], true, false));
        assert_eq!(recent.backlog(Some(1)), backlog(&["3", "4", "7", "8"], true, false));
        assert_eq!(recent.backlog(Some(0)), backlog(&["7", "8"], false, true));
        assert_eq!(recent.backlog(Some(99)), backlog(&[], true, false));
    }

    #[test]
    fn nothing_is_older_than_the_first_message() {
        assert_eq!(recent([], 9).backlog(None), backlog(&[], false, false));
        assert_eq!(recent([1, 2], 9).backlog(None), backlog(&["1", "2"], false, false));
        assert_eq!(recent([1, 2], 9).backlog(Some(0)), backlog(&["1", "2"], true, false));
    }

    #[test]
    fn bytes_are_bounded_but_the_history_stays() {
        let recent = recent([10, 20, 30], 5);
        assert_eq!(recent.backlog(Some(10)), backlog(&["20", "30"], true, false));
        assert_eq!((recent.bytes, recent.last_number()), (4, 30));
        let large = self::recent([1000, 2000, 3000], 5);
        assert_eq!(large.backlog(None), backlog(&["2000", "3000"], false, true));
        assert!(large.contains("t", "2000") && !large.contains("u", "2000"));
        assert!(!large.contains("t", "1000"));
    }
}
