//! The visitor that a request comes from.

use std::net::IpAddr;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use tiny_http::{HandlerResult, HttpError, Request, Response};

use crate::pages::board_page::BoardPage;
use crate::web::client_address::ClientAddress;
use crate::web::form_token::FormToken;

/// After how many seconds a client may ask again while the database is away.
const RETRY_SECONDS: u64 = 5;

/// A visitor: a browser with its token.
#[derive(Debug)]
pub(crate) struct Visitor {
    address: ClientAddress,
    /// The token of the browser's cookie, or a new one.
    token: FormToken,
    has_cookie: bool,
}

impl Visitor {
    /// The sender of this request. `behind_proxy`: see [`ClientAddress::of`].
    ///
    /// # Errors
    /// If the connection is broken, or the kernel has no random bits.
    pub(crate) fn of(request: &Request<'_>, behind_proxy: bool) -> Result<Visitor, HttpError> {
        let address = ClientAddress::of(request, behind_proxy)?;
        let cookie = FormToken::of(request);
        let has_cookie = cookie.is_some();
        let token = cookie.map_or_else(FormToken::random, Ok)?;
        Ok(Visitor { address, token, has_cookie })
    }

    /// What the limit on posts counts by.
    pub(crate) fn network(&self) -> IpAddr {
        self.address.network
    }

    /// The token that the browser's forms carry. `None` if it has got none yet.
    pub(crate) fn known_token(&self) -> Option<&FormToken> {
        self.has_cookie.then_some(&self.token)
    }

    /// The response that shows `board`, whose form carries this visitor's token.
    ///
    /// # Errors
    /// As [`Response::with_cookie`].
    pub(crate) fn answer(&self, status: StatusCode, board: &BoardPage) -> HandlerResult {
        let page = board.html(self.token.as_str()).into_string();
        let mut response = Response::html(page)
            .with_status(status)
            .with(CACHE_CONTROL, HeaderValue::from_static("no-store")); // the token is in it
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response = response.with(RETRY_AFTER, RETRY_SECONDS.into());
        }
        if self.has_cookie {
            Ok(response)
        } else {
            self.token.set(response, self.address.is_secure)
        }
    }
}
