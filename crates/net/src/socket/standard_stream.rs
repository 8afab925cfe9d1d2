//! The standard streams of the process, without changing the flags of what they share with others.
//!
//! `O_NONBLOCK` belongs to the open file description, and a shell shares its terminal with every
//! program. So each kind of file is read and written in its own way:
//!
//! ```text
//!   terminal, pipe, device   opened again through /proc: a description of its own, non-blocking
//!   socket                   `MSG_DONTWAIT` for each call
//!   anything else            a thread of the blocking pool: files, and what cannot be opened again
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::{AsyncFd, JoinError, JoinHandle, spawn_blocking};

use crate::refuse;
use crate::sys;

/// The bytes that a thread of the pool reads or writes at once.
const CHUNK: usize = 64 << 10;

/// Returns the standard input of this process.
///
/// It works on a terminal, pipe, socket, file and device, and does not change the flags that other
/// processes share. A read that waits does not prevent the end of the process. An
/// [`IoStream`](crate::IoStream) over it reads lines.
///
/// `std::io::stdin` has a buffer of its own: do not use both. Each call of this function returns a
/// reader of its own, and a byte goes to one of them.
///
/// ```no_run
/// use squall_net::{IoStream, StreamError, block_on, stdin};
///
/// block_on(async {
///     let mut input = IoStream::new(stdin());
///     loop {
///         match input.read_until(b"\n").await {
///             Ok(line) => println!("a line of {} bytes", line.len()),
///             Err(StreamError::Closed { cause: None }) => break, // the end
///             Err(error) => return Err(error),
///         }
///     }
///     println!("{} bytes without a line break", input.buffer().len());
///     Ok(())
/// })?;
/// # Ok::<(), squall_net::StreamError>(())
/// ```
pub fn stdin() -> Stdin {
    Stdin(Input::open(io::stdin().as_fd()))
}

/// Returns the standard output of this process. See [`stdin`].
///
/// Flush before the process ends: a thread may still write the last bytes. `std::io::stdout` has a
/// buffer of its own, whose bytes may come later than those that are written here.
///
/// ```
/// use squall_net::{IoStream, block_on, stdout};
///
/// block_on(async {
///     let mut output = IoStream::new(stdout());
///     for n in 0..3 {
///         output.write(format!("line {n}\n"))?;
///     }
///     output.flush().await
/// })?;
/// # Ok::<(), squall_net::StreamError>(())
/// ```
///
/// # Cost
/// For a file, each flush is a round trip to a thread: flush once for many lines. For a terminal,
/// pipe or socket it is a system call.
pub fn stdout() -> Stdout {
    Stdout(Output::open(io::stdout().as_fd()))
}

/// Returns the standard error of this process. See [`stdout`].
pub fn stderr() -> Stderr {
    Stderr(Output::open(io::stderr().as_fd()))
}

/// The standard input. Returned by [`stdin`].
///
/// # Cancel safety
/// A dropped read leaves its bytes for the next one. If the `Stdin` itself is dropped while a thread
/// of the blocking pool reads for it, what that thread reads is lost.
#[derive(Debug)]
pub struct Stdin(Input);

/// The standard output. Returned by [`stdout`].
#[derive(Debug)]
pub struct Stdout(Output);

/// The standard error. Returned by [`stderr`].
#[derive(Debug)]
pub struct Stderr(Output);

#[derive(Debug)]
enum Input {
    Own(AsyncFd<File>),
    Socket(AsyncFd<OwnedFd>),
    Blocking(BlockingInput),
    /// The descriptor could not be duplicated.
    Failed(io::ErrorKind),
}

#[derive(Debug)]
enum Output {
    Own(AsyncFd<File>),
    Socket(AsyncFd<OwnedFd>),
    Blocking(BlockingOutput),
    Failed(io::ErrorKind),
}

/// How a descriptor can be used without changing its flags.
enum Access {
    Own(File),
    Socket(OwnedFd),
    Blocking(File),
}

impl Access {
    fn to(fd: BorrowedFd<'_>, options: &mut OpenOptions) -> io::Result<Access> {
        let duplicate = File::from(fd.try_clone_to_owned()?);
        let kind = duplicate.metadata()?.file_type();
        if kind.is_socket() {
            return Ok(Access::Socket(duplicate.into()));
        }
        if kind.is_fifo() || kind.is_char_device() {
            let options = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
            let opened = options.open(format!("/proc/self/fd/{}", fd.as_raw_fd()));
            // Fails for a terminal of another user, for a pipe without a reader, and without /proc.
            if let Ok(file) = opened {
                return Ok(Access::Own(file));
            }
        }
        Ok(Access::Blocking(duplicate))
    }
}

impl Input {
    fn open(fd: BorrowedFd<'_>) -> Input {
        match refuse("stdin").and_then(|()| Access::to(fd, OpenOptions::new().read(true))) {
            Ok(Access::Own(file)) => Input::Own(AsyncFd::from_nonblocking(file)),
            Ok(Access::Socket(socket)) => Input::Socket(AsyncFd::from_nonblocking(socket)),
            Ok(Access::Blocking(file)) => Input::Blocking(BlockingInput::new(file)),
            Err(error) => Input::Failed(error.kind()),
        }
    }
}

impl Output {
    fn open(fd: BorrowedFd<'_>) -> Output {
        match Access::to(fd, OpenOptions::new().write(true)) {
            Ok(Access::Own(file)) => Output::Own(AsyncFd::from_nonblocking(file)),
            Ok(Access::Socket(socket)) => Output::Socket(AsyncFd::from_nonblocking(socket)),
            Ok(Access::Blocking(file)) => Output::Blocking(BlockingOutput::new(file)),
            Err(error) => Output::Failed(error.kind()),
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Input::Own(fd) => fd.poll_read_with(cx, |mut file| file.read(into)),
            Input::Socket(fd) => fd.poll_read_with(cx, |fd| sys::recv_now(fd.as_fd(), into)),
            Input::Blocking(input) => input.poll_read(cx, into),
            Input::Failed(kind) => Poll::Ready(Err((*kind).into())),
        }
    }
}

impl Output {
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Output::Own(fd) => fd.poll_write_with(cx, |mut file| file.write(from)),
            Output::Socket(fd) => fd.poll_write_with(cx, |fd| sys::send_now(fd.as_fd(), from)),
            Output::Blocking(output) => output.poll_write(cx, from),
            Output::Failed(kind) => Poll::Ready(Err((*kind).into())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Output::Blocking(output) => output.poll_idle(cx),
            _ => Poll::Ready(Ok(())), // the kernel has every byte
        }
    }
}

/// The trait of futures-io for a struct around an `Output`.
macro_rules! output_traits {
    ($Output:ty) => {
        impl AsyncWrite for $Output {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                from: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.0.poll_write(cx, from)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll_flush(cx)
            }

            /// Flushes. The process's descriptor stays open.
            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll_flush(cx)
            }
        }
    };
}

output_traits!(Stdout);
output_traits!(Stderr);

/// Reads a file on a thread of the blocking pool, one chunk at a time.
#[derive(Debug)]
struct BlockingInput {
    file: Arc<File>,
    /// The read that is under way.
    job: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// What was read, from `taken` on not yet returned.
    chunk: Vec<u8>,
    taken: usize,
}

impl BlockingInput {
    fn new(file: File) -> BlockingInput {
        BlockingInput { file: Arc::new(file), job: None, chunk: Vec::new(), taken: 0 }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.taken == self.chunk.len() {
            let job = self.job.get_or_insert_with(|| {
                let file = Arc::clone(&self.file);
                spawn_blocking(move || read_chunk(&file))
            });
            let read = ready!(Pin::new(job).poll(cx));
            self.job = None;
            (self.chunk, self.taken) = (read.map_err(job_failed)??, 0);
        }
        let rest = &self.chunk[self.taken..];
        let n = into.len().min(rest.len());
        into[..n].copy_from_slice(&rest[..n]);
        self.taken += n;
        Poll::Ready(Ok(n))
    }
}

fn read_chunk(mut file: &File) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                chunk.truncate(read?);
                return Ok(chunk);
            }
        }
    }
}

/// Writes a file on a thread of the blocking pool, one chunk at a time.
#[derive(Debug)]
struct BlockingOutput {
    file: Arc<File>,
    /// The write that is under way.
    job: Option<JoinHandle<io::Result<()>>>,
}

impl BlockingOutput {
    fn new(file: File) -> BlockingOutput {
        BlockingOutput { file: Arc::new(file), job: None }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        let chunk = from[..from.len().min(CHUNK)].to_vec();
        let (n, file) = (chunk.len(), Arc::clone(&self.file));
        self.job = Some(spawn_blocking(move || (&*file).write_all(&chunk)));
        Poll::Ready(Ok(n))
    }

    /// Waits for the write that is under way, and returns its error.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(job) = &mut self.job else { return Poll::Ready(Ok(())) };
        let written = ready!(Pin::new(job).poll(cx));
        self.job = None;
        Poll::Ready(written.map_err(job_failed)?)
    }
}

fn job_failed(error: JoinError) -> io::Error {
    io::Error::other(error)
}
