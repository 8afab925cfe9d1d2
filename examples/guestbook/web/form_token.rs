//! The token that tells this site's forms from those of others.

use std::io;

use cookie::{Cookie, SameSite};
use subtle::ConstantTimeEq;
use time::Duration;
use tiny_http::{HttpError, Request, Response};

use crate::random::random_name;

/// A random value that a browser holds in a cookie, and each form in a hidden field (*double
/// submit*). Another site can make the browser send a form here, but it can read neither the cookie
/// nor the form, so that its own form cannot carry the value.
///
/// A signature with a key of the server would add nothing: visitors do not log in, so anyone can get
/// a signed value. And without a key, forms outlive a restart of the server.
#[derive(Clone, Debug)]
pub(crate) struct FormToken(String);

const COOKIE: &str = "guestbook";

/// How long a form may stay open in a browser.
const MAX_AGE: Duration = Duration::days(7);

impl FormToken {
    /// The token of the browser that sends this request, if it has one that is of our making.
    pub(crate) fn of(request: &Request<'_>) -> Option<FormToken> {
        let token = request.cookie(COOKIE)?;
        let is_ours = token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_ours.then_some(FormToken(token))
    }

    /// A new token.
    ///
    /// # Errors
    /// If the kernel has no random bits.
    pub(crate) fn random() -> io::Result<FormToken> {
        random_name().map(FormToken)
    }

    /// Whether a form has this token. Takes the same time however many characters are right.
    pub(crate) fn is(&self, sent: &str) -> bool {
        self.0.as_bytes().ct_eq(sent.as_bytes()).into()
    }

    /// The value for the form's field.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Sets the cookie. Scripts cannot read it, and other sites' forms do not send it. `is_secure`:
    /// the browser sends it over HTTPS only.
    ///
    /// # Errors
    /// As [`Response::with_cookie`].
    pub(crate) fn set(&self, response: Response, is_secure: bool) -> Result<Response, HttpError> {
        let cookie = Cookie::build((COOKIE, self.as_str()))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(is_secure)
            .max_age(MAX_AGE);
        Ok(response.with_cookie(&cookie.build())?)
    }
}
