//! The guestbook as an application of `tiny_http`.
//!
//! ```text
//!   GET  /                the form and the newest entries; /?before=N and /?after=N: other pages
//!   POST /                adds an entry: 303 to the list, or the form with what is wrong
//!   GET  /pictures/NAME   a picture
//!   GET  /static/NAME     the files of the pages
//! ```

use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use squall_net::spawn;
use tiny_http::{Application, HandlerResult, HttpError, Request, RequestHandler, Response};

use crate::form::draft::{Draft, Problems};
use crate::form::posting::{MAX_PICTURE, Posting, Upload};
use crate::pages::board_page::BoardPage;
use crate::pages::error_page::error_page;
use crate::pictures::partial_file::{PartialFile, Picture};
use crate::pictures::picture_directory::PictureDirectory;
use crate::random::random_name;
use crate::store::entry::{Added, NewEntry, Position, key};
use crate::store::store::Store;
use crate::store::store_error::StoreError;
use crate::web::asset::Asset;
use crate::web::post_limit::PostLimit;
use crate::web::safe_headers::SafeHeaders;
use crate::web::visitor::Visitor;

const UNREADABLE: &str =
    "The entries cannot be read at the moment. Please try again in a few seconds.";

const UNCONFIRMED: &str = "The guestbook did not confirm your entry. Please send it again in a few \
     seconds, and choose the picture again if there was one. It will not be there twice.";

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Guestbook {
    pub(crate) store: Store,
    pub(crate) pictures: PictureDirectory,
    pub(crate) limit: PostLimit,
    /// Whether a proxy passes on all requests, so that its fields name the clients.
    pub(crate) behind_proxy: bool,
}

impl Guestbook {
    /// The handler of all requests.
    ///
    /// # Errors
    /// If the directory of the pictures cannot be opened.
    pub(crate) fn into_application(self) -> io::Result<impl RequestHandler> {
        let files = self.pictures.files()?;
        let list = Rc::new(self);
        let post = Rc::clone(&list);
        let css = Asset::new("text/css; charset=utf-8", include_str!("../pages/style.css"));
        let script = include_str!("../pages/script.js");
        let script = Asset::new("text/javascript; charset=utf-8", script);
        let icon = Asset::new("image/svg+xml", include_str!("../pages/icon.svg"));
        let application = Application::new()
            .get("/", async move |request: &mut Request<'_>| list.list(request).await)
            .post("/", async move |request: &mut Request<'_>| post.post(request).await)
            .get("/pictures/{*path}", async move |request: &mut Request<'_>| {
                // A name stands for the same picture for ever.
                let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
                Ok(files.handle(request).await?.with(CACHE_CONTROL, forever))
            })
            .get("/static/style.css", css)
            .get("/static/script.js", script)
            .get("/static/icon.svg", icon)
            .error_page(error_page);
        Ok(SafeHeaders(application))
    }

    /// A page of the list, with an empty form.
    async fn list(&self, request: &mut Request<'_>) -> HandlerResult {
        let visitor = Visitor::of(request, self.behind_proxy)?;
        let draft = Draft { form_number: random_name()?, ..Draft::default() };
        let board = match self.store.page(position(request)?).await {
            Ok(page) => BoardPage { page: Some(page), draft, ..BoardPage::default() },
            Err(_) => {
                let board = BoardPage { draft, notice: UNREADABLE.into(), ..BoardPage::default() };
                return visitor.answer(StatusCode::SERVICE_UNAVAILABLE, &board);
            }
        };
        visitor.answer(StatusCode::OK, &board)
    }

    /// Adds an entry.
    async fn post(self: &Rc<Self>, request: &mut Request<'_>) -> HandlerResult {
        let visitor = Visitor::of(request, self.behind_proxy)?;
        let too_often = self.limit.count(visitor.network()).err();
        let pictures = too_often.is_none().then_some(&self.pictures);
        let posting = Posting::read(request, visitor.known_token(), pictures).await?;
        if let Some(wait) = too_often {
            return self.refuse_for_now(&visitor, posting.draft, wait).await;
        }
        let Posting { draft, picture } = posting;
        let file = match examine(&draft, picture) {
            Ok(file) => file,
            Err((status, problems)) => {
                let board = BoardPage { draft, problems, ..self.newest().await };
                return visitor.answer(status, &board);
            }
        };
        let picture = match file {
            Some(file) => Some(file.finish().await?),
            None => None,
        };
        // A task of its own: if the client leaves now, it goes on, and the picture stays if the
        // entry does.
        let (guestbook, entry) = (Rc::clone(self), draft.clone());
        let adding = spawn(async move { guestbook.add(entry, picture).await });
        match adding.await?? {
            Ok(id) => Ok(Response::see_other(&format!("/#entry-{id}"))?),
            Err(_) => {
                let board = BoardPage { draft, notice: UNCONFIRMED.into(), ..BoardPage::default() };
                visitor.answer(StatusCode::SERVICE_UNAVAILABLE, &board)
            }
        }
    }

    /// The answer to a client that posts too often: the form again, with what it has typed.
    async fn refuse_for_now(
        &self,
        visitor: &Visitor,
        draft: Draft,
        wait: Duration,
    ) -> HandlerResult {
        let seconds = wait.as_secs() + 1;
        let notice = format!("That was a lot at once. Please send this in {seconds} seconds.");
        let board = BoardPage { draft, notice, ..self.newest().await };
        let response = visitor.answer(StatusCode::TOO_MANY_REQUESTS, &board)?;
        Ok(response.with(RETRY_AFTER, seconds.into()))
    }

    /// The first page of the list, to be shown below a form with problems. Without the database, it
    /// is the form alone.
    async fn newest(&self) -> BoardPage {
        BoardPage { page: self.store.page(Position::Newest).await.ok(), ..BoardPage::default() }
    }

    /// Stores an entry, and returns its number. Its picture stays if the entry may be stored.
    ///
    /// # Errors
    /// The outer one: the kernel has no random bits.
    async fn add(
        &self,
        draft: Draft,
        picture: Option<Picture>,
    ) -> Result<Result<i64, StoreError>, io::Error> {
        let Draft { mut form_number, name, message } = draft;
        if form_number.is_empty() {
            form_number = random_name()?; // not from a browser, which cannot send a form twice
        }
        let length = picture.as_ref().map_or(0, |picture| picture.length);
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let added = self.store.add(NewEntry {
            key: key(&form_number, &name, &message, length),
            name,
            message,
            picture: picture.as_ref().map(|picture| picture.name.clone()),
            posted: i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX),
        });
        let added = added.await;
        let keeps_picture = match &added {
            Ok(Added::New(_)) => true,
            Ok(Added::Before(_)) => false, // that one has its own
            Err(error) => error.may_have_stored,
        };
        if let (true, Some(picture)) = (keeps_picture, picture) {
            picture.keep();
        }
        Ok(added.map(Added::id))
    }
}

/// The page that a request asks for.
fn position(request: &Request<'_>) -> Result<Position, HttpError> {
    let arguments = request.query_arguments()?;
    match (arguments.get("before"), arguments.get("after")) {
        (Some(_), _) => arguments.parsed("before").map(Position::Before),
        (None, Some(_)) => arguments.parsed("after").map(Position::After),
        (None, None) => Ok(Position::Newest),
    }
}

/// Checks a form, and returns the file with its picture.
///
/// # Errors
/// The status of the response, and what is wrong.
fn examine(draft: &Draft, picture: Upload) -> Result<Option<PartialFile>, (StatusCode, Problems)> {
    let mut problems = draft.problems();
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let file = match picture {
        Upload::None => None,
        Upload::Received(file) => Some(file),
        Upload::TooLarge => {
            status = StatusCode::PAYLOAD_TOO_LARGE;
            problems.picture =
                Some(format!("Please choose a picture of at most {} MiB.", MAX_PICTURE >> 20));
            None
        }
        Upload::Unknown => {
            let known = "Please choose a picture of the type PNG, JPEG, GIF or WebP.";
            problems.picture = Some(known.to_owned());
            None
        }
    };
    if problems.is_empty() { Ok(file) } else { Err((status, problems)) }
}
