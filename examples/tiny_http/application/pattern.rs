//! The pattern of a route: which paths it matches, and which parts of them are arguments.

use std::borrow::Cow;
use std::fmt::Write;
use std::rc::Rc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::server::arguments::decode;
use crate::server::http_error::HttpError;
use crate::server::request::PathArguments;

/// What an argument may hold as it is: the characters that RFC 3986 does not reserve.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path in which `{name}` stands for a part of one segment that is not empty. `{*name}` is the
/// last segment, and stands for the whole rest of the path.
#[derive(Debug)]
pub(crate) struct Pattern {
    segments: Vec<Segment>,
    /// The name of the rest of the path. `None` if the segments are the whole path.
    rest: Option<Rc<str>>,
}

/// One segment: `prefix{name}suffix`. Without a name, the prefix is the whole segment.
#[derive(Debug)]
struct Segment {
    prefix: Box<str>,
    name: Option<Rc<str>>,
    suffix: Box<str>,
}

/// The segments of a path, each decoded by itself: `/a%20b/c%2Fd` is `a b` and `c/d`. So a slash that
/// was encoded does not end a segment, and every way to encode a name is the same name.
pub(crate) fn decoded_segments(path: &str) -> Result<Vec<Cow<'_, str>>, HttpError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(decode).collect()
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Pattern, &'static str> {
        let mut pattern = Pattern { segments: Vec::new(), rest: None };
        let path = text.strip_prefix('/').ok_or("it does not begin with a slash")?;
        for part in path.split('/') {
            if pattern.rest.is_some() {
                return Err("`{*name}` is not its last segment");
            }
            match part.strip_prefix("{*").and_then(|name| name.strip_suffix('}')) {
                Some(name) => pattern.rest = Some(checked_name(name)?),
                None => pattern.segments.push(Segment::parse(part)?),
            }
        }
        let mut names: Vec<_> = pattern.names().collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a name is repeated");
        }
        Ok(pattern)
    }

    /// The arguments of a path with these segments, or `None` if the pattern does not match it.
    pub(crate) fn matches(&self, path: &[Cow<'_, str>]) -> Option<PathArguments> {
        let (own, rest) = path.split_at_checked(self.segments.len())?;
        let mut arguments = Vec::new();
        for (segment, part) in self.segments.iter().zip(own) {
            segment.matches(part, &mut arguments)?;
        }
        match &self.rest {
            Some(name) if !rest.is_empty() => arguments.push((Rc::clone(name), rest.join("/"))),
            None if rest.is_empty() => {}
            _ => return None,
        }
        Some(arguments)
    }

    /// The path with these arguments, percent-encoded. `None` if their number is not the pattern's.
    pub(crate) fn path(&self, arguments: &[&str]) -> Option<String> {
        if arguments.len() != self.names().count() {
            return None;
        }
        let mut arguments = arguments.iter();
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            path.push_str(&segment.prefix);
            if segment.name.is_some() {
                path.extend(utf8_percent_encode(arguments.next()?, RESERVED));
            }
            path.push_str(&segment.suffix);
        }
        if self.rest.is_some() {
            for part in arguments.next()?.split('/') {
                let _ = write!(path, "/{}", utf8_percent_encode(part, RESERVED)); // never fails
            }
        }
        Some(path)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.segments
            .iter()
            .filter_map(|segment| segment.name.as_deref())
            .chain(self.rest.as_deref())
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Segment, &'static str> {
        let Some((prefix, rest)) = text.split_once('{') else {
            let whole = Segment { prefix: text.into(), name: None, suffix: "".into() };
            return if text.contains('}') { Err("a `}` has no `{`") } else { Ok(whole) };
        };
        let (name, suffix) = rest.split_once('}').ok_or("a `{` has no `}`")?;
        if prefix.contains('}') || suffix.contains(['{', '}']) {
            return Err("a segment has more than one name");
        }
        Ok(Segment {
            prefix: prefix.into(),
            name: Some(checked_name(name)?),
            suffix: suffix.into(),
        })
    }

    /// Adds the argument in `part` to `arguments`. `None` if this segment does not match it.
    fn matches(&self, part: &str, arguments: &mut PathArguments) -> Option<()> {
        let Some(name) = &self.name else { return (*part == *self.prefix).then_some(()) };
        let argument = part.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?;
        if argument.is_empty() {
            return None;
        }
        arguments.push((Rc::clone(name), argument.to_owned()));
        Some(())
    }
}

fn checked_name(name: &str) -> Result<Rc<str>, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match name {
        "" => Err("a name is empty"),
        _ if !name.bytes().all(is_name) => Err("a name has other characters than a-z, 0-9 and _"),
        _ => Ok(name.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(pattern: &str, path: &str) -> Option<Vec<String>> {
        let segments = decoded_segments(path).unwrap();
        let matched = Pattern::parse(pattern).unwrap().matches(&segments)?;
        Some(matched.into_iter().map(|(_, argument)| argument).collect())
    }

    // WEB-03
    #[test]
    fn names_match_parts_of_a_path() {
        for (pattern, path, wanted) in [
            ("/", "/", Some(vec![])),
            ("/", "/a", None),
            ("/", "//", None),
            ("/a", "/a", Some(vec![])),
            ("/a", "/a/", None),
            ("/a/", "/a", None),
            ("/{x}", "/", None),
            ("/{x}", "/a%2Fb", Some(vec!["a/b"])),
            ("/a b/{x}", "/%61%20b/%63", Some(vec!["c"])),
            ("/a/b", "/a%2Fb", None),
            ("/{x}/{y}", "/a/b", Some(vec!["a", "b"])),
            ("/{x}/{y}", "/a/b/c", None),
            ("/page-{n}.html", "/page-12.html", Some(vec!["12"])),
            ("/page-{n}.html", "/page-.html", None),
            ("/{x}aa", "/aaa", Some(vec!["a"])),
            ("/files/{*path}", "/files/", Some(vec![""])),
            ("/files/{*path}", "/files/a/b", Some(vec!["a/b"])),
            ("/files/{*path}", "/files", None),
            ("/{*path}", "/a//b", Some(vec!["a//b"])),
        ] {
            let wanted: Option<Vec<String>> =
                wanted.map(|wanted| wanted.into_iter().map(str::to_owned).collect());
            assert_eq!(arguments(pattern, path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn a_malformed_pattern_is_refused() {
        for pattern in [
            "", "a", "/{", "/}", "/{}", "/{*}", "/{a b}", "/{a}{b}", "/{*a}/b", "/{a}/{a}",
            "/x{*a}",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    // WEB-16
    #[test]
    fn arguments_of_a_reversed_path_are_escaped() {
        let path = |pattern, arguments: &[&str]| Pattern::parse(pattern).unwrap().path(arguments);
        assert_eq!(path("/a/{x}.html", &["b c/d"]).unwrap(), "/a/b%20c%2Fd.html");
        assert_eq!(path("/{a}/{*rest}", &["ä", "b/c d"]).unwrap(), "/%C3%A4/b/c%20d");
        assert_eq!(path("/{a}", &[]), None);
        assert_eq!(path("/a", &["b"]), None);
    }
}
