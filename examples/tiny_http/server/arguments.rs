//! Named values that a client sends: in the query, or in a form.

use std::borrow::Cow;
use std::str::FromStr;

use http::StatusCode;
use percent_encoding::percent_decode;

use crate::server::http_error::HttpError;

/// The most fields of a query or form. Each costs memory, however short it is.
const MAX_FIELDS: usize = 1000;

/// The decoded fields of a query or form, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// Decodes `a=b&c=d`, with `%XX` and `+` for a space.
    ///
    /// # Errors
    /// 400, if a field is not UTF-8, or there are more than 1,000.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Arguments, HttpError> {
        let fields = encoded.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
        let mut arguments = Vec::new();
        for field in fields {
            if arguments.len() == MAX_FIELDS {
                return Err(bad_request("there are too many fields"));
            }
            let split = memchr::memchr(b'=', field).unwrap_or(field.len());
            let value = field.get(split + 1..).unwrap_or_default();
            arguments.push((decode_field(&field[..split])?, decode_field(value)?));
        }
        Ok(Arguments(arguments))
    }

    /// The value of `name`; the last one, if there are several. It may be empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next_back()
    }

    /// All values of `name`, in the order in which they came.
    pub fn all<'a>(&'a self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.0.iter().filter(move |field| field.0 == name).map(|field| &*field.1)
    }

    /// The value of `name`, parsed.
    ///
    /// # Errors
    /// 400, if it is missing or malformed.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<T, HttpError> {
        let value = self.get(name).ok_or_else(|| bad_request(format!("{name} is missing")))?;
        value.parse().map_err(|_| bad_request(format!("{name} is malformed")))
    }

    /// All fields, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

fn bad_request(message: impl Into<Cow<'static, str>>) -> HttpError {
    HttpError::of_client(StatusCode::BAD_REQUEST, message)
}

fn decode_field(encoded: &[u8]) -> Result<String, HttpError> {
    let spaced: Vec<u8> =
        encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    decode_bytes(&spaced).map(Cow::into_owned)
}

/// Decodes the `%XX` of a part of a path.
///
/// # Errors
/// 400, if the result is not UTF-8.
pub(crate) fn decode(encoded: &str) -> Result<Cow<'_, str>, HttpError> {
    decode_bytes(encoded.as_bytes())
}

fn decode_bytes(encoded: &[u8]) -> Result<Cow<'_, str>, HttpError> {
    percent_decode(encoded).decode_utf8().map_err(|_| bad_request("an argument is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // HTS-05
    #[test]
    fn empty_and_repeated_values_are_kept() {
        let arguments = Arguments::parse(b"a=1&b=&a=2&c&&d=e%3Df+g%20h&=x").unwrap();
        assert_eq!(arguments.get("a"), Some("2"));
        assert_eq!(arguments.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((arguments.get("b"), arguments.get("c")), (Some(""), Some("")));
        assert_eq!(arguments.get("d"), Some("e=f g h"));
        assert_eq!((arguments.get(""), arguments.get("e")), (Some("x"), None));
        assert_eq!(arguments.parsed::<u8>("a").unwrap(), 2);
        assert!(arguments.parsed::<u8>("d").is_err() && arguments.parsed::<u8>("e").is_err());
    }

    // WEB-04
    #[test]
    fn invalid_utf_8_and_too_many_fields_are_400() {
        for bad in [&b"a=%ff"[..], b"%C3=a", &b"a&".repeat(MAX_FIELDS + 1)] {
            assert_eq!(Arguments::parse(bad).unwrap_err().status(), StatusCode::BAD_REQUEST);
        }
        assert_eq!(Arguments::parse(&b"a&".repeat(MAX_FIELDS)).unwrap().iter().count(), MAX_FIELDS);
    }
}
