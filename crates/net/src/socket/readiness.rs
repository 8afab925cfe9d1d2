//! Asks a transport whether a read would block, if it is a socket of this crate.
//!
//! A stream takes a transport of any type and knows only its `poll_read`, which needs a buffer. A
//! socket can be asked without one. The question is decided when the program is compiled: for any
//! other type, nothing of it is left.

#![allow(unsafe_code, reason = "the type of a transport is compared with the types of sockets")]

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::task::{Context, Poll};

use crate::socket::tcp_stream::TcpStream;
use crate::socket::unix_stream::UnixStream;

/// Whether `S` is a socket that can be asked. The drop of such a socket wakes the task that waits
/// for it.
#[inline]
pub(crate) fn is_known<S>() -> bool {
    type_id::<S>() == TypeId::of::<TcpStream>() || type_id::<S>() == TypeId::of::<UnixStream>()
}

/// False if `transport` is a socket whose last read has drained it.
#[inline]
pub(crate) fn may_read<S>(transport: &S) -> bool {
    if let Some(socket) = downcast::<S, TcpStream>(transport) {
        socket.may_read()
    } else if let Some(socket) = downcast::<S, UnixStream>(transport) {
        socket.may_read()
    } else {
        true
    }
}

/// As [`may_read`]. If false, stores the waker, as a read that would block stores it.
#[inline]
pub(crate) fn poll_readable<S>(transport: &S, cx: &Context<'_>) -> Poll<()> {
    if let Some(socket) = downcast::<S, TcpStream>(transport) {
        socket.poll_readable(cx)
    } else if let Some(socket) = downcast::<S, UnixStream>(transport) {
        socket.poll_readable(cx)
    } else {
        Poll::Ready(())
    }
}

/// Wakes the tasks that wait for a socket.
pub(crate) fn wake_waiting<S>(transport: &S) {
    if let Some(socket) = downcast::<S, TcpStream>(transport) {
        socket.wake_waiting();
    } else if let Some(socket) = downcast::<S, UnixStream>(transport) {
        socket.wake_waiting();
    }
}

/// A type without lifetime parameters.
trait Socket: 'static {}

impl Socket for TcpStream {}
impl Socket for UnixStream {}

/// The transport, if it is a `T`.
#[inline]
fn downcast<S, T: Socket>(transport: &S) -> Option<&T> {
    // SAFETY: both types are the same, except that the comparison erases lifetimes; and `T` has
    // none, as every `Socket`.
    (type_id::<S>() == TypeId::of::<T>()).then(|| unsafe { &*ptr::from_ref(transport).cast::<T>() })
}

/// The `TypeId` of a type that may borrow, with its lifetimes erased.
#[inline]
fn type_id<S>() -> TypeId {
    trait Named {
        fn type_id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<S> Named for PhantomData<S> {
        fn type_id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<S>()
        }
    }
    let named: &dyn Named = &PhantomData::<S>;
    // SAFETY: only the lifetime of the trait object changes. The object is empty, and its one method
    // reads nothing through it.
    let named = unsafe { mem::transmute::<&dyn Named, &(dyn Named + 'static)>(named) };
    named.type_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Socket for u8 {}
    impl Socket for i8 {}

    #[test]
    fn types_are_told_apart_whatever_they_borrow() {
        let local = 1_u8;
        let borrowed: &u8 = &local;
        assert!(downcast::<u8, u8>(&local).is_some());
        assert!(downcast::<&u8, u8>(&borrowed).is_none());
        assert!(downcast::<u8, i8>(&local).is_none());
        assert_eq!(type_id::<&u8>(), TypeId::of::<&'static u8>());
    }
}
