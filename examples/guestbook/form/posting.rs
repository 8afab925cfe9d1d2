//! Reads the form that a visitor sends.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tiny_http::{HttpError, Request};

use crate::form::draft::Draft;
use crate::form::parts::{Part, Parts, read_parts};
use crate::pictures::partial_file::PartialFile;
use crate::pictures::picture_directory::PictureDirectory;
use crate::pictures::picture_kind::PictureKind;
use crate::web::form_token::FormToken;

/// The most bytes of a picture.
pub(crate) const MAX_PICTURE: u64 = 2 << 20;

/// The most bytes of a form. It is far more than what is accepted, so that a picture that is too
/// large is answered with a page, and not with a closed connection.
const MAX_BODY: u64 = 64 << 20;

/// The time for a whole form: 2 MiB at 60 kbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);

/// The most bytes of a text field. It is more than what is accepted, so that a visitor who has
/// written somewhat too much gets it back.
const MAX_TEXT: usize = 32 << 10;

/// A form as it came. Its fields are not checked yet, but for the token.
#[derive(Debug)]
pub(crate) struct Posting {
    pub(crate) draft: Draft,
    pub(crate) picture: Upload,
}

/// The form's picture.
#[derive(Debug)]
pub(crate) enum Upload {
    /// The visitor has chosen none.
    None,
    Received(PartialFile),
    /// It is longer than [`MAX_PICTURE`]. The rest is not read.
    TooLarge,
    /// It is no picture of a known kind. The rest is not read.
    Unknown,
}

impl Posting {
    /// Reads the form in the body of `request`. The picture goes to a file in `pictures`; without
    /// that directory, it is not read.
    ///
    /// # Errors
    /// 403, if the form does not carry `token`. It comes first in the form, so that nothing is
    /// written for a stranger's form. 400, if the form is malformed; 413, if a text field is far too
    /// long; 415, if it is of another format. And the errors of [`Request::next`].
    pub(crate) async fn read(
        request: &mut Request<'_>,
        token: Option<&FormToken>,
        pictures: Option<&PictureDirectory>,
    ) -> Result<Posting, HttpError> {
        request.set_max_body_bytes(MAX_BODY);
        request.set_body_timeout(BODY_TIMEOUT);
        let content_type = request.header("content-type").map(<[u8]>::to_vec);
        let reading = async |parts| read(parts, token, pictures).await;
        read_parts(content_type.as_deref(), async || request.next().await, reading).await
    }
}

/// What has come of a form so far.
#[derive(Default)]
struct Fields {
    has_token: bool,
    form_number: Option<String>,
    name: Option<String>,
    message: Option<String>,
    picture: Option<Upload>,
}

async fn read(
    mut parts: Parts,
    token: Option<&FormToken>,
    pictures: Option<&PictureDirectory>,
) -> Result<Posting, HttpError> {
    let mut fields = Fields::default();
    while let Some(part) = parts.next().await? {
        if part.name() == "picture" {
            check(fields.has_token)?;
            let Some(pictures) = pictures else { break };
            let upload = receive(part, pictures).await?;
            let is_complete = matches!(upload, Upload::None | Upload::Received(_));
            set_once(&mut fields.picture, upload)?;
            if !is_complete {
                break;
            }
            continue;
        }
        let field = match part.name() {
            "token" => {
                let sent = part.text(MAX_TEXT).await?;
                fields.has_token = token.is_some_and(|token| token.is(&sent));
                check(fields.has_token)?;
                continue;
            }
            "form_number" => &mut fields.form_number,
            "name" => &mut fields.name,
            "message" => &mut fields.message,
            _ => continue,
        };
        set_once(field, part.text(MAX_TEXT).await?)?;
    }
    check(fields.has_token)?;
    let draft = Draft {
        form_number: fields.form_number.unwrap_or_default(),
        name: fields.name.unwrap_or_default(),
        message: fields.message.unwrap_or_default(),
    };
    Ok(Posting { draft: draft.tidied(), picture: fields.picture.unwrap_or(Upload::None) })
}

fn check(has_token: bool) -> Result<(), HttpError> {
    if has_token {
        return Ok(());
    }
    let message = "this form is not from this guestbook, or it is too old; load the page again";
    Err(HttpError::new(StatusCode::FORBIDDEN, message))
}

fn set_once<T>(field: &mut Option<T>, value: T) -> Result<(), HttpError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(HttpError::new(StatusCode::BAD_REQUEST, "a field is there twice")),
    }
}

/// Receives a picture. A browser sends an empty one if the visitor has chosen none.
async fn receive(mut part: Part, pictures: &PictureDirectory) -> Result<Upload, HttpError> {
    let mut beginning = Vec::new();
    while beginning.len() < PictureKind::PREFIX {
        match part.chunk().await? {
            Some(chunk) => beginning.extend_from_slice(&chunk),
            None if beginning.is_empty() => return Ok(Upload::None),
            None => break,
        }
    }
    let Some(kind) = PictureKind::of(&beginning) else { return Ok(Upload::Unknown) };
    let mut file = pictures.partial_file(kind);
    let mut chunk = Some(Bytes::from(beginning));
    while let Some(bytes) = chunk {
        if file.length() + bytes.len() as u64 > MAX_PICTURE {
            return Ok(Upload::TooLarge);
        }
        file.write(&bytes).await?;
        chunk = part.chunk().await?;
    }
    Ok(Upload::Received(file))
}
