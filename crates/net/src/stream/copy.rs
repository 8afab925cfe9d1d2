//! Copies one stream into another, in one direction or in both, without a buffer of its own.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::stream::io_reader::IoReader;
use crate::stream::io_stream::IoStream;
use crate::stream::io_writer::IoWriter;
use crate::stream::stream_error::StreamError;

/// Copies what `reader` reads to `writer`, until the reader's end, and flushes. Returns the number
/// of bytes.
///
/// Reads only as fast as the writer accepts bytes. The writer stays open: call
/// [`shutdown`](IoWriter::shutdown) to pass the end on.
///
/// ```
/// use squall_net::{IoStream, block_on, copy, duplex, spawn};
///
/// block_on(async {
///     let (client, server) = duplex(64);
///     spawn(async move {
///         let (mut reader, mut writer) = IoStream::new(server).split();
///         copy(&mut reader, &mut writer).await // an echo
///     });
///     let mut client = IoStream::new(client);
///     client.write_all(b"hello").await?;
///     client.shutdown().await?;
///     assert_eq!(client.read_until_close().await?, "hello");
///     Ok::<(), squall_net::StreamError>(())
/// })?;
/// # Ok::<(), squall_net::StreamError>(())
/// ```
///
/// # Errors
/// The error of the read or write that failed.
///
/// # Cancel safety
/// Cancel safe: bytes that the writer has not accepted stay in the reader's buffer.
pub async fn copy<A, B>(
    reader: &mut IoReader<A>,
    writer: &mut IoWriter<B>,
) -> Result<u64, StreamError>
where
    A: AsyncRead + Unpin,
    B: AsyncWrite + Unpin + 'static,
{
    let mut copied = 0;
    poll_fn(|cx| poll_copy(cx, reader, writer, &mut copied)).await?;
    Ok(copied)
}

/// Copies between two streams in both directions, until both have ended. Returns how many bytes went
/// from `a` to `b` and from `b` to `a`.
///
/// The end of one direction is passed on by a [`shutdown`](IoStream::shutdown) of its target, and
/// the other direction goes on. Each direction reads only as fast as its target accepts bytes.
///
/// ```no_run
/// use squall_net::{IoStream, TcpServer, TcpStream, block_on, copy_bidirectional};
///
/// block_on(async {
///     let proxy = TcpServer::new(async |mut client: IoStream, _peer| {
///         let mut upstream = IoStream::new(TcpStream::connect("127.0.0.1:8080").await?);
///         copy_bidirectional(&mut client, &mut upstream).await?;
///         Ok(())
///     });
///     proxy.listen("127.0.0.1:9090")?;
///     proxy.closed().await
/// })
/// # .unwrap();
/// ```
///
/// # Errors
/// The error of the read or write that failed first. A stream whose writing direction has not ended
/// in order is [reset](IoStream::reset) then, so that a reset of one peer reaches the other one as a
/// reset. The numbers of bytes are lost.
///
/// # Cancel safety
/// Cancel safe: bytes that were not accepted stay in the buffer of the stream that read them.
pub async fn copy_bidirectional<A, B>(
    a: &mut IoStream<A>,
    b: &mut IoStream<B>,
) -> Result<(u64, u64), StreamError>
where
    A: AsyncRead + AsyncWrite + Unpin + 'static,
    B: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (mut forth, mut back) = (Direction::default(), Direction::default());
    let copied = {
        let (a_reader, a_writer) = a.halves();
        let (b_reader, b_writer) = b.halves();
        poll_fn(|cx| {
            let forth = forth.poll(cx, a_reader, b_writer)?;
            let back = back.poll(cx, b_reader, a_writer)?;
            if forth.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    };
    if copied.is_err() {
        a.state().reset_unless_ended();
        b.state().reset_unless_ended();
    }
    copied.map(|()| (forth.copied, back.copied))
}

/// One direction of a bidirectional copy.
#[derive(Default)]
struct Direction {
    copied: u64,
    step: Step,
}

#[derive(Clone, Copy, Default)]
enum Step {
    #[default]
    Copying,
    ShuttingDown,
    Ended,
}

impl Direction {
    fn poll<A, B>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut IoReader<A>,
        writer: &mut IoWriter<B>,
    ) -> Poll<Result<(), StreamError>>
    where
        A: AsyncRead + Unpin,
        B: AsyncWrite + Unpin + 'static,
    {
        if let Step::Copying = self.step {
            ready!(poll_copy(cx, reader, writer, &mut self.copied))?;
            self.step = Step::ShuttingDown;
        }
        if let Step::ShuttingDown = self.step {
            ready!(writer.state.poll_close(cx))?;
            self.step = Step::Ended;
        }
        Poll::Ready(Ok(()))
    }
}

/// Copies until the reader's end, and flushes.
fn poll_copy<A, B>(
    cx: &mut Context<'_>,
    reader: &mut IoReader<A>,
    writer: &mut IoWriter<B>,
    copied: &mut u64,
) -> Poll<Result<(), StreamError>>
where
    A: AsyncRead + Unpin,
    B: AsyncWrite + Unpin + 'static,
{
    loop {
        while !reader.buffer().is_empty() {
            let n = ready!(writer.poll_write_some(cx, reader.buffer()))?;
            reader.consume(n);
            *copied += n as u64;
        }
        if ready!(reader.poll_fill(cx))? == 0 {
            return writer.poll_flush(cx);
        }
    }
}
