//! The kinds of pictures that every browser shows.

/// A kind of picture, known by the first bytes of the file. What the client says of the kind, and
/// the file's name there, do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureKind {
    Png,
    Jpeg,
    Gif,
    WebP,
}

impl PictureKind {
    /// The number of bytes at the beginning of a file by which every kind can be told.
    pub(crate) const PREFIX: usize = 12;

    /// The kind of the file that begins with these bytes; at least [`PREFIX`](Self::PREFIX) of them,
    /// unless the file is shorter. `None` if it is no picture.
    pub(crate) fn of(beginning: &[u8]) -> Option<PictureKind> {
        match beginning {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(PictureKind::Png),
            [0xff, 0xd8, 0xff, ..] => Some(PictureKind::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(PictureKind::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                Some(PictureKind::WebP)
            }
            _ => None,
        }
    }

    /// The end of the file's name, by which `StaticFiles` knows the type.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            PictureKind::Png => "png",
            PictureKind::Jpeg => "jpg",
            PictureKind::Gif => "gif",
            PictureKind::WebP => "webp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_and_a_part_of_them_is_not_enough() {
        let beginnings: [(&[u8], PictureKind); 5] = [
            (b"\x89PNG\r\n\x1a\n", PictureKind::Png),
            (b"\xff\xd8\xff", PictureKind::Jpeg),
            (b"GIF87a", PictureKind::Gif),
            (b"GIF89a", PictureKind::Gif),
            (b"RIFF\x10\0\0\0WEBP", PictureKind::WebP),
        ];
        for (beginning, kind) in beginnings {
            assert_eq!(PictureKind::of(&[beginning, b"and more"].concat()), Some(kind));
            assert_eq!(PictureKind::of(beginning), Some(kind));
            assert_eq!(PictureKind::of(&beginning[..beginning.len() - 1]), None);
            assert!(beginning.len() <= PictureKind::PREFIX);
        }
        for other in [&b""[..], b"<svg xmlns=", b"RIFF\x10\0\0\0WAVE", b"BM", b" \x89PNG\r\n\x1a\n"]
        {
            assert_eq!(PictureKind::of(other), None);
        }
    }
}
