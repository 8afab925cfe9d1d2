//! The ends of pipes.
//!
//! `O_NONBLOCK`, which they need, belongs to the open file and not to the descriptor: whoever shares it, as a shell shares its
//! terminal, sees it too. A pipe of one's own has no such company.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::AsyncFd;

/// Makes a pipe: what is written to one end is read from the other.
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
    let (reader, writer) = io::pipe()?;
    Ok((PipeReader::from_fd(reader.into())?, PipeWriter::from_fd(writer.into())?))
}

/// The end of a pipe, or of anything that is read like one, that is read. Tornado: `PipeIOStream`.
#[derive(Debug)]
pub struct PipeReader {
    fd: AsyncFd<File>,
}

/// The end of a pipe, or of anything that is written like one, that is written.
///
/// A write to a pipe that nobody reads is an error here, because programs in Rust ignore `SIGPIPE`; where it is not ignored,
/// it ends the process, since pipes have no `MSG_NOSIGNAL`.
#[derive(Debug)]
pub struct PipeWriter {
    /// `None` once it is closed.
    fd: Option<AsyncFd<File>>,
}

impl PipeReader {
    /// Takes a descriptor over and makes its open file non-blocking, for everybody who shares it.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_fd(fd: OwnedFd) -> io::Result<PipeReader> {
        Ok(PipeReader { fd: AsyncFd::new(File::from(fd))? })
    }

    /// Gives the descriptor back, non-blocking as it is.
    pub fn into_fd(self) -> OwnedFd {
        self.fd.into_inner().into()
    }
}

impl PipeWriter {
    /// Takes a descriptor over and makes its open file non-blocking, for everybody who shares it.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn from_fd(fd: OwnedFd) -> io::Result<PipeWriter> {
        Ok(PipeWriter { fd: Some(AsyncFd::new(File::from(fd))?) })
    }

    /// The descriptor; `None` if it was closed, which is why this is no [`AsFd`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Gives the descriptor back, non-blocking as it is; `None` if it was closed.
    pub fn into_fd(self) -> Option<OwnedFd> {
        self.fd.map(|fd| fd.into_inner().into())
    }
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

    /// Nothing to do: the kernel has every byte that a write returned for.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the descriptor: a pipe has no other way to tell its end.
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
