//! A message on its way from a client to the store.

use std::rc::Rc;

use crate::person::Person;
use crate::room::room::Room;
use crate::wire::protocol::ToClient;
use crate::wire::send_queue::SendQueue;

/// A message that is not safe yet.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) room: Rc<Room>,
    pub(crate) person: Person,
    pub(crate) id: String,
    pub(crate) text: String,
    /// The queue of its sender, which waits for the acknowledgement.
    pub(crate) sender: Rc<SendQueue>,
}

impl Submission {
    /// Tells the sender that the message is safe.
    pub(crate) fn acknowledge(&self) {
        self.sender.push(ToClient::Ack { id: &self.id }.frame());
    }
}
