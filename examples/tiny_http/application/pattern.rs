//! The pattern of a route: which paths it matches, and which parts of them are arguments.

use std::fmt::Write;
use std::rc::Rc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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

/// The arguments of a path, with their names, as the client has encoded them.
pub(crate) type Matched<'p> = Vec<(Rc<str>, &'p str)>;

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

    /// The arguments of `path`, or `None` if the pattern does not match it. An argument is decoded
    /// later, so that an encoded slash does not end its segment.
    pub(crate) fn matches<'p>(&self, path: &'p str) -> Option<Matched<'p>> {
        let mut matched = Vec::new();
        let mut left = Some(path.strip_prefix('/')?);
        for segment in &self.segments {
            let (part, rest) = match left?.split_once('/') {
                Some((part, rest)) => (part, Some(rest)),
                None => (left?, None),
            };
            segment.matches(part, &mut matched)?;
            left = rest;
        }
        match (&self.rest, left) {
            (Some(name), Some(rest)) => matched.push((Rc::clone(name), rest)),
            (None, None) => {}
            _ => return None,
        }
        Some(matched)
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

    /// Adds the argument in `part` to `matched`. `None` if this segment does not match it.
    fn matches<'p>(&self, part: &'p str, matched: &mut Matched<'p>) -> Option<()> {
        let Some(name) = &self.name else { return (*part == *self.prefix).then_some(()) };
        let argument = part.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?;
        if argument.is_empty() {
            return None;
        }
        matched.push((Rc::clone(name), argument));
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

    fn arguments<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
        let matched = Pattern::parse(pattern).unwrap().matches(path)?;
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
            ("/{x}", "/a%2Fb", Some(vec!["a%2Fb"])),
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
