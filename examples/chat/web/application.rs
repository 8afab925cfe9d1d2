//! The routes.

use http::StatusCode;
use tiny_http::{Application, HttpError, Request, Response};

use crate::chat::Chat;
use crate::room::rooms::is_room_name;
use crate::web::asset::Asset;
use crate::web::handshake::upgrade;

/// The room of a visitor who names none.
const DEFAULT_ROOM: &str = "/room/lobby";

/// The pages and WebSockets of a chat.
///
/// ```text
///   GET /                     to the default room
///   GET /room/{name}          the page of a room
///   GET /room/{name}/socket   its WebSocket
///   GET /status               counters, as JSON
/// ```
pub fn application(chat: &Chat) -> Application {
    let page = Asset::new("text/html; charset=utf-8", include_str!("../page/index.html"));
    let script = Asset::new("text/javascript; charset=utf-8", include_str!("../page/chat.js"));
    let style = Asset::new("text/css; charset=utf-8", include_str!("../page/chat.css"));
    let icon = Asset::new("image/svg+xml", include_str!("../page/icon.svg"));
    let (of_socket, of_status) = (chat.clone(), chat.clone());
    Application::new()
        .get("/", async |_: &mut Request<'_>| Ok(Response::see_other(DEFAULT_ROOM)?))
        .get("/room/{name}", async move |request: &mut Request<'_>| {
            checked_room(request)?;
            tiny_http::RequestHandler::handle(&page, request).await
        })
        .get("/room/{name}/socket", async move |request: &mut Request<'_>| {
            upgrade(&of_socket, checked_room(request)?, request)
        })
        .get("/chat.js", script)
        .get("/chat.css", style)
        .get("/icon.svg", icon)
        .get("/status", async move |_: &mut Request<'_>| {
            Ok(Response::json(serde_json::to_vec(&of_status.status())?))
        })
}

/// The room that the path names.
///
/// # Errors
/// 404: no room can have this name.
fn checked_room<'a>(request: &'a Request<'_>) -> Result<&'a str, HttpError> {
    let name = request.path_argument("name");
    if is_room_name(name) {
        Ok(name)
    } else {
        Err(HttpError::new(StatusCode::NOT_FOUND, "a room's name has only a-z, 0-9 and dashes"))
    }
}
