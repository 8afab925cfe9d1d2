//! The syntax of an authority: the value of Host, and the host of an absolute-form target.

use std::net::Ipv6Addr;

/// Whether `text` is `uri-host [ ":" port ]` (RFC 9110, 7.2) with a host that is not empty.
///
/// Userinfo is not part of that syntax. A comma is refused although RFC 3986 allows it, because it
/// would join two hosts.
#[inline]
pub(crate) fn is_authority(text: &[u8]) -> bool {
    // Most hosts are only a name. The fold is faster than a search, which looks for an end after
    // each byte.
    let is_name = text.iter().fold(true, |is_name, byte| is_name & IN_NAME[usize::from(*byte)]);
    is_name && !text.is_empty() || is_unusual_authority(text)
}

/// As [`is_authority`], of a text with more than a name.
#[inline(never)]
fn is_unusual_authority(text: &[u8]) -> bool {
    match text.strip_prefix(b"[") {
        Some(literal) => memchr::memchr(b']', literal)
            .is_some_and(|end| is_ipv6(&literal[..end]) && is_port(&literal[end + 1..])),
        None => {
            let name = &text[..name_len(text)];
            !name.is_empty() && is_port(&text[name.len()..])
        }
    }
}

/// The length of the `reg-name` of RFC 3986 at the beginning of `text`. IPv4 addresses are such
/// names too.
fn name_len(text: &[u8]) -> usize {
    let mut len = 0;
    loop {
        let rest = &text[len..];
        let end = rest.iter().position(|byte| !IN_NAME[usize::from(*byte)]);
        len += end.unwrap_or(rest.len());
        match &text[len..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                len += 3;
            }
            _ => return len,
        }
    }
}

/// The bytes of a name, without escapes.
static IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~!$&'()*+;=";
    let mut at = 0;
    while at < allowed.len() {
        table[allowed[at] as usize] = true;
        at += 1;
    }
    table
};

fn is_ipv6(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Whether `text` is empty, or a colon and the number of a port. The number may be missing.
fn is_port(text: &[u8]) -> bool {
    let Some((b':', digits)) = text.split_first() else { return text.is_empty() };
    let number = digits.iter().try_fold(0_u16, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u16::from(byte - b'0')),
        _ => None,
    });
    number.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_recognized() {
        for good in [
            "x",
            "x:80",
            "x:",
            "x:0080",
            "a.b-c_d~",
            "1.2.3.4:65535",
            "[::1]",
            "[::1]:80",
            "a%2Fb",
            "[::ffff:1.2.3.4]",
            "!$&'()*+;=",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":",
            ":80",
            "x:80:80",
            "x:+80",
            "x:65536",
            "x:8o",
            "u@x",
            "x/y",
            "x?y",
            "x#y",
            "x y",
            "x,y",
            "x\\y",
            "a%2",
            "a%zz",
            "%",
            "[",
            "[]",
            "[::1",
            "::1",
            "[x]",
            "[1.2.3.4]",
            "[::1]x",
            "x[::1]",
            "[fe80::1%25eth0]",
            "\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
