//! A second decoder of chunked bodies, which is slow and plain: RFC 9112, 7.1, with the limits of the
//! server. It sees the whole input at once.

use tiny_http::chunked::ChunkLimits;

use crate::chunked_body::{Decoded, End};

/// The longest chunk-size line, with its end.
const MAX_LINE: usize = 256;
const MAX_EXTENSIONS: usize = 16 << 10;
const MAX_TRAILERS: usize = 32;

pub(crate) fn decode(input: &[u8], limits: ChunkLimits) -> Decoded {
    let mut body = Vec::new();
    let end = match chunks(input, limits, &mut body) {
        Ok(after) => End::Complete(after),
        Err(end) => end,
    };
    Decoded { body, end }
}

/// Returns the length of the coded body.
fn chunks(input: &[u8], limits: ChunkLimits, body: &mut Vec<u8>) -> Result<usize, End> {
    let (mut at, mut extensions) = (0, 0);
    loop {
        let line = line(&input[at..], MAX_LINE)?.ok_or(End::Malformed)?;
        at += line.len();
        let line = line.strip_suffix(b"\r\n").ok_or(End::Malformed)?;
        let line = str::from_utf8(line).map_err(|_| End::Malformed)?;
        let digits = line.split(';').next().unwrap_or_default();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_printable = line.bytes().all(|byte| byte == b'\t' || matches!(byte, 0x20..0x7f));
        extensions += line.len() - digits.len();
        if !is_number || !is_printable || extensions > MAX_EXTENSIONS {
            return Err(End::Malformed);
        }
        let size = u64::from_str_radix(digits, 16).map_err(|_| End::Malformed)?;
        if size > limits.body_bytes - body.len() as u64 {
            return Err(End::BodyTooLarge);
        }
        if size == 0 {
            return Ok(at + trailers(&input[at..], limits.trailer_bytes)?);
        }
        let size = usize::try_from(size).expect("it is within the limit");
        let data = &input[at..input.len().min(at + size)];
        body.extend_from_slice(data);
        at += data.len();
        match &input[at..] {
            _ if data.len() < size => return Err(End::Incomplete),
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Err(End::Incomplete),
            _ => return Err(End::Malformed),
        }
    }
}

/// The first line with its end. `None` if it has more than `most` bytes.
///
/// # Errors
/// The line is incomplete.
fn line(input: &[u8], most: usize) -> Result<Option<&[u8]>, End> {
    let window = &input[..input.len().min(most)];
    match window.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(&window[..=end])),
        None if window.len() == most => Ok(None),
        None => Err(End::Incomplete),
    }
}

/// Returns the length of the trailers, with the empty line that ends them.
///
/// What a trailer may hold is left to httparse, which the decoder asks too. This function looks for
/// the first prefix that is complete or in error.
fn trailers(input: &[u8], most: usize) -> Result<usize, End> {
    for end in 0..=input.len() {
        if end > most {
            return Err(End::TrailersTooLarge);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        match httparse::parse_headers(&input[..end], &mut fields) {
            Ok(httparse::Status::Complete((length, _))) => return Ok(length),
            Ok(httparse::Status::Partial) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(End::TrailersTooLarge),
            Err(_) => return Err(End::Malformed),
        }
    }
    Err(if input.len() >= most { End::TrailersTooLarge } else { End::Incomplete })
}
