//! The two ends of a pipe.
//!
//! Both ends need `O_NONBLOCK`. This flag belongs to the file description, not to the descriptor,
//! so it affects every process that shares the description, as a shell shares its terminal. The
//! ends of a new pipe are not shared.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::{AsyncFd, replace_nonblocking, set_nonblocking};

use crate::refuse;

/// Makes a pipe: bytes written to the writer are read from the reader.
///
/// ```
/// use squall_net::{IoStream, block_on, pipe};
///
/// block_on(async {
///     let (reader, writer) = pipe()?;
///     let (mut reader, mut writer) = (IoStream::new(reader), IoStream::new(writer));
///     writer.write("hello\n")?;
///     assert_eq!(reader.read_until(b"\n").await?, "hello\n");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of `pipe2(2)` and `fcntl(2)`.
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    refuse("pipe")?;
    let (reader, writer) = io::pipe()?;
    Ok((PipeReader::from_unshared(reader.into())?, PipeWriter::from_unshared(writer.into())?))
}

/// The reading end of a pipe, or another descriptor that is read like a pipe. Tornado:
/// `PipeIOStream`.
#[derive(Debug)]
pub struct PipeReader {
    fd: AsyncFd<File>,
}

/// The writing end of a pipe, or another descriptor that is written like a pipe.
///
/// If the reading end is closed, a write returns an error, because Rust programs ignore `SIGPIPE`.
/// In a program that does not ignore `SIGPIPE`, the write ends the process: pipes have no
/// `MSG_NOSIGNAL`.
#[derive(Debug)]
pub struct PipeWriter {
    /// `None` once the descriptor is closed.
    fd: Option<AsyncFd<File>>,
}

impl PipeReader {
    /// Takes over a descriptor and makes its open file description non-blocking, for every process
    /// that shares it. If it was blocking, it becomes blocking again when this is dropped or gives it
    /// back, as [`AsyncFd::new`] says.
    ///
    /// A program's own standard streams have functions that leave the description as it is:
    /// [`stdin`](crate::stdin), [`stdout`](crate::stdout), [`stderr`](crate::stderr).
    ///
    /// # Errors
    /// Those of [`AsyncFd::new`].
    pub fn from_fd(fd: OwnedFd) -> io::Result<PipeReader> {
        Ok(PipeReader { fd: AsyncFd::new(File::from(fd))? })
    }

    /// Takes over the end of a new pipe, which nothing else shares. So its flag is not restored.
    pub(crate) fn from_unshared(fd: OwnedFd) -> io::Result<PipeReader> {
        set_nonblocking(fd.as_fd())?;
        Ok(PipeReader { fd: AsyncFd::from_nonblocking(File::from(fd)) })
    }

    /// Returns the descriptor and makes it blocking, as a child process expects it.
    ///
    /// ```
    /// use std::process::{Command, Stdio};
    /// use squall_net::{IoStream, block_on, pipe};
    ///
    /// block_on(async {
    ///     let (reader, writer) = pipe()?;
    ///     let output = writer.into_fd().expect("it is open");
    ///     let mut child = Command::new("echo").arg("hello").stdout(Stdio::from(output)).spawn()?;
    ///     assert_eq!(IoStream::new(reader).read_until(b"\n").await?, "hello\n");
    ///     child.wait()
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_fd(self) -> OwnedFd {
        with_flag(self.fd.into_inner(), false)
    }

    /// Returns the descriptor, non-blocking as it is while it is in use here.
    pub fn into_nonblocking_fd(self) -> OwnedFd {
        with_flag(self.fd.into_inner(), true)
    }
}

impl PipeWriter {
    /// Takes over a descriptor and makes its open file description non-blocking, for every process
    /// that shares it. If it was blocking, it becomes blocking again when this is dropped or gives it
    /// back, as [`AsyncFd::new`] says.
    ///
    /// A program's own standard streams have functions that leave the description as it is:
    /// [`stdin`](crate::stdin), [`stdout`](crate::stdout), [`stderr`](crate::stderr).
    ///
    /// # Errors
    /// Those of [`AsyncFd::new`].
    pub fn from_fd(fd: OwnedFd) -> io::Result<PipeWriter> {
        Ok(PipeWriter { fd: Some(AsyncFd::new(File::from(fd))?) })
    }

    /// As [`PipeReader::from_unshared`].
    pub(crate) fn from_unshared(fd: OwnedFd) -> io::Result<PipeWriter> {
        set_nonblocking(fd.as_fd())?;
        Ok(PipeWriter { fd: Some(AsyncFd::from_nonblocking(File::from(fd))) })
    }

    /// Returns the descriptor; `None` if it was closed. That is why this type does not implement
    /// [`AsFd`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Returns the descriptor and makes it blocking, as a child process expects it; see
    /// [`PipeReader::into_fd`]. `None` if it was closed.
    pub fn into_fd(self) -> Option<OwnedFd> {
        self.fd.map(|fd| with_flag(fd.into_inner(), false))
    }

    /// As [`PipeReader::into_nonblocking_fd`]. `None` if it was closed.
    pub fn into_nonblocking_fd(self) -> Option<OwnedFd> {
        self.fd.map(|fd| with_flag(fd.into_inner(), true))
    }
}

fn with_flag(file: File, is_nonblocking: bool) -> OwnedFd {
    let _ = replace_nonblocking(file.as_fd(), is_nonblocking); // fails only for a bad descriptor
    file.into()
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.fd.poll_read_with(cx, |mut file| file.read(into))
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &self.fd {
            Some(fd) => fd.poll_write_with(cx, |mut file| file.write(from)),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.fd {
            Some(fd) => fd.poll_write_with(cx, |mut file| file.write_vectored(from)),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Does nothing: the kernel already has every written byte.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the descriptor: a pipe has no other way to signal the end of the stream.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        drop(self.fd.take());
        Poll::Ready(Ok(()))
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
