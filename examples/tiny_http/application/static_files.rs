//! The handler that serves the files of a directory.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderValue, LAST_MODIFIED, LOCATION};
use http::{Method, StatusCode};
use rustix::fs::{Mode, OFlags};

use crate::application::byte_range::{ByteRange, Requested};
use crate::application::cached_file::{CachedFile, Found, Root};
use crate::application::file_type::file_type;
use crate::server::http_error::HttpError;
use crate::server::request::Request;
use crate::server::request_handler::{HandlerResult, RequestHandler};
use crate::server::response::Response;

/// The end of the year 9999, since 1970.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Serves the files of a directory. Tornado: `StaticFileHandler`.
///
/// Its route ends in `{*path}`, for example `/static/{*path}`. A path that is empty or ends in a
/// slash means the `index.html` there. Names that begin with a dot do not exist, and no path, `..` or
/// symbolic link leads out of the directory: the kernel refuses that (`openat2` with
/// `RESOLVE_BENEATH`, Linux 5.6). A slash that is encoded as `%2F` names no file.
///
/// Understands `Range` with one range, `If-Range`, `If-None-Match` and `If-Modified-Since`.
///
/// # Cost
/// What the kernel has in its caches is opened and sent on the loop: `openat2`, `fstat`, and for each 256 KiB a `sendfile` and
/// 64 `preadv2` of one byte, which tell that the kernel has each page. What a disk has to be asked for is first read by a job of
/// [`spawn_blocking`](squall_net::spawn_blocking), so that a slow disk does not stop the loop. What is less than 32 KiB is copied.
#[derive(Clone, Debug)]
pub struct StaticFiles {
    root: Root,
}

impl StaticFiles {
    /// Opens the directory. It stays the same one if it is renamed.
    ///
    /// # Errors
    /// As `open`.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<StaticFiles> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory.as_ref(), flags, Mode::empty())?;
        Ok(StaticFiles { root: Root::new(root) })
    }
}

impl RequestHandler for StaticFiles {
    fn methods(&self) -> &[Method] {
        &[Method::GET]
    }

    async fn get(&self, request: &mut Request<'_>) -> HandlerResult {
        let path = match request.path_argument("path") {
            path if path.is_empty() || path.ends_with('/') => format!("{path}index.html"),
            path => path.to_owned(),
        };
        match self.find(request.path(), &path).await? {
            Found::File(file) => answer(request, file, file_type(&path)),
            Found::Directory if !request.path().ends_with('/') => {
                // The browser resolves relative links against the last slash. A path that begins
                // with two slashes would name a host.
                let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
                let location = format!("/{}/{query}", request.path().trim_matches('/'));
                let location = HeaderValue::from_str(&location)?;
                Ok(Response::status(StatusCode::MOVED_PERMANENTLY).with(LOCATION, location))
            }
            Found::Directory | Found::Nothing => {
                Err(HttpError::of_client(StatusCode::NOT_FOUND, ""))
            }
        }
    }
}

impl StaticFiles {
    /// Opens the file of a path. `encoded` is the path of the request.
    async fn find(&self, encoded: &str, path: &str) -> Result<Found, HttpError> {
        let is_hidden = path.split('/').any(|name| name.starts_with('.'));
        // A route before this one may guard a directory. It did not see this slash.
        let hides_slash = encoded.to_ascii_lowercase().contains("%2f");
        if is_hidden || hides_slash {
            return Ok(Found::Nothing);
        }
        match CachedFile::open(&self.root, path).await {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
            }
            found => Ok(found?),
        }
    }
}

/// The response to a request for this file, or for a part of it.
fn answer(request: &Request<'_>, file: CachedFile, content_type: HeaderValue) -> HandlerResult {
    // A date of HTTP is one of the years 1970 to 9999.
    let modified = file.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let modified = modified.min(LAST_DATE);
    let entity_tag = format!("\"{:x}-{:x}\"", modified.as_nanos(), file.length);
    let entity_tag_field = HeaderValue::from_str(&entity_tag)?;
    let last_modified =
        HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + modified))?;
    let with_validators = |response: Response| {
        let response = response.with(ETAG, entity_tag_field);
        response
            .with(LAST_MODIFIED, last_modified)
            .with(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
    };
    if is_current(request, &entity_tag, modified) {
        return Ok(with_validators(Response::status(StatusCode::NOT_MODIFIED)));
    }
    let requested = match request.header("range") {
        Some(range) if may_be_part(request, &entity_tag, modified) => {
            ByteRange::requested(range, file.length)
        }
        _ => Requested::Whole,
    };
    let length = file.length;
    let response = match requested {
        Requested::Whole => {
            let whole = ByteRange { start: 0, end: length };
            Response::of_pieces(Some(content_type), length, file.pieces(whole))
        }
        Requested::Part(part) => {
            let field = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            Response::of_pieces(Some(content_type), part.end - part.start, file.pieces(part))
                .with_status(StatusCode::PARTIAL_CONTENT)
                .with(CONTENT_RANGE, HeaderValue::from_str(&field)?)
        }
        Requested::Nothing => Response::status(StatusCode::RANGE_NOT_SATISFIABLE)
            .with(CONTENT_RANGE, HeaderValue::from_str(&format!("bytes */{length}"))?),
    };
    Ok(with_validators(response))
}

/// Whether the client has this version of the file already. An entity tag counts more than a date
/// (RFC 9110, 13.2.2).
fn is_current(request: &Request<'_>, entity_tag: &str, modified: Duration) -> bool {
    match request.header("if-none-match") {
        Some(_) => request.has_current(entity_tag),
        None => date(request, "if-modified-since").is_some_and(|since| modified.as_secs() <= since),
    }
}

/// Whether a part of the file fits to the parts that the client has: the field If-Range is missing,
/// or names this version.
fn may_be_part(request: &Request<'_>, entity_tag: &str, modified: Duration) -> bool {
    match request.header("if-range") {
        None => true,
        Some(value) if value.ends_with(b"\"") => value == entity_tag.as_bytes(),
        Some(_) => date(request, "if-range") == Some(modified.as_secs()),
    }
}

/// The date in a field, in seconds since 1970.
fn date(request: &Request<'_>, name: &str) -> Option<u64> {
    let text = str::from_utf8(request.header(name)?).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}
