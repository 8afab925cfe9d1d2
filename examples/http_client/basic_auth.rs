//! Basic authentication (RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Returns the value of `Authorization` for a user, or why there is none.
pub(crate) fn basic_auth(user: &[u8], password: &[u8]) -> Result<HeaderValue, &'static str> {
    if user.contains(&b':') {
        return Err("the user name for basic authentication contains a colon");
    }
    let token = STANDARD.encode([user, b":", password].concat());
    let value = HeaderValue::try_from(format!("Basic {token}"));
    let mut value = value.map_err(|_| "the credentials are too long")?;
    value.set_sensitive(true); // so that no debug output shows it
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_joined_and_encoded() {
        let value = basic_auth(b"Aladdin", b"open sesame").unwrap();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{value:?}"), "Sensitive");
        assert_eq!(basic_auth(b"", b":").unwrap(), "Basic Ojo=");
        assert!(basic_auth(b"a:b", b"c").is_err());
    }
}
