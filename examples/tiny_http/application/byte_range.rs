//! The range of bytes that a request asks for (RFC 9110, 14).

/// A range of a file that is not empty, or the whole of an empty file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) start: u64,
    /// The end, exclusive.
    pub(crate) end: u64,
}

/// What the field Range asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requested {
    /// Everything: the field is malformed, or asks for several ranges, which a server may ignore.
    Whole,
    Part(ByteRange),
    /// A part that the file does not have.
    Nothing,
}

impl ByteRange {
    /// The range that `field` asks for, of a file of `length` bytes.
    pub(crate) fn requested(field: &[u8], length: u64) -> Requested {
        let Some((first, last)) = parse(field) else { return Requested::Whole };
        let range = match (first, last) {
            (Some(start), Some(last)) if start > last => return Requested::Whole,
            (Some(start), last) => {
                let end = last.map_or(length, |last| last.saturating_add(1).min(length));
                ByteRange { start, end }
            }
            (None, Some(suffix)) => ByteRange { start: length.saturating_sub(suffix), end: length },
            (None, None) => return Requested::Whole,
        };
        if range.start < range.end { Requested::Part(range) } else { Requested::Nothing }
    }
}

/// Parses `bytes=first-last`, of which one may be missing.
fn parse(field: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = str::from_utf8(field).ok()?.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !unit.trim().eq_ignore_ascii_case("bytes") || !is_number(first) || !is_number(last) {
        return None;
    }
    // A number beyond 64 bits is beyond every file.
    let number = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX));
    Some((number(first), number(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file() {
        let part = |start, end| Requested::Part(ByteRange { start, end });
        for (field, wanted) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-4", part(2, 5)),
            ("BYTES= 2-4", part(2, 5)),
            ("bytes=2-", part(2, 10)),
            ("bytes=2-99999999999999999999999", part(2, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-99", part(0, 10)),
            ("bytes=10-", Requested::Nothing),
            ("bytes=99999999999999999999999-", Requested::Nothing),
            ("bytes=-0", Requested::Nothing),
            ("bytes=4-2", Requested::Whole),
            ("bytes=0-1,3-4", Requested::Whole),
            ("bytes=-", Requested::Whole),
            ("bytes=+1-2", Requested::Whole),
            ("lines=1-2", Requested::Whole),
            ("1-2", Requested::Whole),
        ] {
            assert_eq!(ByteRange::requested(field.as_bytes(), 10), wanted, "{field}");
        }
        assert_eq!(ByteRange::requested(b"bytes=0-", 0), Requested::Nothing);
    }
}
