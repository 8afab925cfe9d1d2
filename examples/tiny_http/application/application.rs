//! The application: an ordered list of routes.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use http::header::ALLOW;
use http::{Method, StatusCode};

use crate::application::any_handler::AnyHandler;
use crate::application::method_table::MethodTable;
use crate::application::pattern::{Pattern, decoded_segments};
use crate::server::http_error::HttpError;
use crate::server::request::{PathArguments, Request};
use crate::server::request_handler::{HandlerResult, RequestHandler};
use crate::server::response::Response;

/// Passes each request to the first route whose pattern matches its path. Tornado: `Application`.
///
/// In a pattern, `{name}` stands for a part of one segment that is not empty, and `{*name}` at the
/// end for the rest of the path. Segments are compared decoded: `/%61` is `/a`, but the slash in
/// `a%2Fb` does not end a segment. [`Request::path_argument`] returns the decoded argument.
///
/// A path without a route is answered with 404. If a route has no handler for the request's method,
/// the next routes that match are asked; if none has one, the answer is 405.
///
/// ```
/// use tiny_http::{Application, Config, HttpServer, Request, Response};
///
/// # squall_net::block_on(async {
/// let application = Application::new()
///     .get("/", async |_: &mut Request<'_>| Ok(Response::text("hello")))
///     .get("/hello/{name}", async |request: &mut Request<'_>| {
///         Ok(Response::text(format!("hello, {}", request.path_argument("name"))))
///     })
///     .post("/echo", async |request: &mut Request<'_>| Ok(Response::text(request.body().await?)));
/// let server = HttpServer::new(Config::default(), application);
/// server.listen("127.0.0.1:0")?;
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Default)]
pub struct Application {
    /// Applications for hosts of their own, which are asked before the routes.
    hosts: Vec<(String, Application)>,
    routes: Vec<Route>,
    /// The index of the route that was added or extended last.
    last: Option<usize>,
    /// Answers what no route matches.
    default_handler: Option<Box<dyn AnyHandler>>,
    error_page: Option<Box<ErrorPage>>,
}

type ErrorPage = dyn Fn(StatusCode, &str) -> Response;

struct Route {
    /// The text of the pattern. A method is added to the route with the same text.
    text: String,
    pattern: Pattern,
    /// The name for [`Application::reverse`].
    name: Option<&'static str>,
    target: Target,
}

enum Target {
    /// A handler for each method.
    Methods(MethodTable),
    /// One handler for all methods.
    Handler(Box<dyn AnyHandler>),
}

impl Application {
    /// An application without a route.
    pub fn new() -> Application {
        Application::default()
    }

    /// Adds a route whose handler gets the requests of all methods.
    ///
    /// # Panics
    /// If the pattern is malformed.
    #[must_use]
    #[track_caller]
    pub fn route(self, pattern: &str, handler: impl RequestHandler + 'static) -> Application {
        self.with_route(pattern, Target::Handler(Box::new(handler)))
    }

    /// Adds a handler for `GET` and `HEAD`.
    ///
    /// # Panics
    /// If the pattern is malformed.
    #[must_use]
    #[track_caller]
    pub fn get(self, pattern: &str, handler: impl RequestHandler + 'static) -> Application {
        self.method(Method::GET, pattern, handler)
    }

    /// Adds a handler for `POST`.
    ///
    /// # Panics
    /// If the pattern is malformed.
    #[must_use]
    #[track_caller]
    pub fn post(self, pattern: &str, handler: impl RequestHandler + 'static) -> Application {
        self.method(Method::POST, pattern, handler)
    }

    /// Adds a handler for one method. A route with the same pattern that was made by this function
    /// gets it; else it is a new route.
    ///
    /// # Panics
    /// If the pattern is malformed.
    #[must_use]
    #[track_caller]
    pub fn method(
        mut self,
        method: Method,
        pattern: &str,
        handler: impl RequestHandler + 'static,
    ) -> Application {
        let handler = Box::new(handler);
        for (index, route) in self.routes.iter_mut().enumerate() {
            if let (true, Target::Methods(table)) = (route.text == pattern, &mut route.target) {
                table.add(method, handler);
                self.last = Some(index);
                return self;
            }
        }
        let mut table = MethodTable::default();
        table.add(method, handler);
        self.with_route(pattern, Target::Methods(table))
    }

    /// Names the route that was added or extended last, for [`reverse`](Self::reverse).
    ///
    /// # Panics
    /// If there is no route, or another one has the name.
    #[must_use]
    #[track_caller]
    pub fn named(mut self, name: &'static str) -> Application {
        let is_new = self.routes.iter().all(|route| route.name != Some(name));
        assert!(is_new, "two routes are called {name:?}");
        let last = self.last.expect("a route is added before it is named");
        self.routes[last].name = Some(name);
        self
    }

    /// Asks `application` first for requests to this host. A path that it has no route for falls
    /// through. The port of the request's Host does not matter.
    ///
    /// # Panics
    /// If `host` has a port, or `application` a default handler or an error page: only those of the
    /// outer application are used.
    #[must_use]
    #[track_caller]
    pub fn host(mut self, host: &str, application: Application) -> Application {
        assert!(host.ends_with(']') || !host.contains(':'), "the host {host:?} has a port");
        let has_pages = application.default_handler.is_some() || application.error_page.is_some();
        assert!(!has_pages, "the application of a host has a default handler or an error page");
        self.hosts.push((host.to_owned(), application));
        self
    }

    /// Sets the handler for paths without a route. Tornado: `default_handler_class`.
    #[must_use]
    pub fn default_handler(mut self, handler: impl RequestHandler + 'static) -> Application {
        self.default_handler = Some(Box::new(handler));
        self
    }

    /// Sets what an [`HttpError`] of a handler looks like: `page` gets the status and the message,
    /// and makes the body. The message may hold text of the client, so escape it. The status is the
    /// error's, whatever `page` returns. If `page` panics, the client gets an empty 500.
    ///
    /// A request that is malformed or too large, and a handler that panics, get the server's own
    /// page.
    #[must_use]
    pub fn error_page(
        mut self,
        page: impl Fn(StatusCode, &str) -> Response + 'static,
    ) -> Application {
        self.error_page = Some(Box::new(page));
        self
    }

    /// The path of the route with this name, whose arguments are these in the pattern's order.
    /// `None` if no route has the name, or another number of arguments. Tornado: `reverse_url`.
    pub fn reverse(&self, name: &str, arguments: &[&str]) -> Option<String> {
        let route = self.routes.iter().find(|route| route.name == Some(name))?;
        route.pattern.path(arguments)
    }

    #[track_caller]
    fn with_route(mut self, text: &str, target: Target) -> Application {
        let pattern =
            Pattern::parse(text).unwrap_or_else(|why| panic!("the pattern {text:?}: {why}"));
        self.routes.push(Route { text: text.to_owned(), pattern, name: None, target });
        self.last = Some(self.routes.len() - 1);
        self
    }

    /// The first route that matches and has a handler for the method. If none has one, the first that
    /// matches, which answers with 405 or to `OPTIONS`.
    fn find(
        &self,
        request: &Request<'_>,
        path: &[Cow<'_, str>],
    ) -> Option<(&Route, PathArguments)> {
        let of_host =
            self.hosts.iter().filter(|(name, _)| name.eq_ignore_ascii_case(request.host()));
        if let Some(found) = of_host.filter_map(|(_, inner)| inner.find(request, path)).next() {
            return Some(found);
        }
        let mut without_method = None;
        for route in &self.routes {
            let Some(arguments) = route.pattern.matches(path) else { continue };
            match &route.target {
                Target::Methods(table) if !table.serves(request) => {
                    without_method.get_or_insert((route, arguments));
                }
                _ => return Some((route, arguments)),
            }
        }
        without_method
    }

    async fn dispatch(&self, request: &mut Request<'_>) -> HandlerResult {
        let found = self.find(request, &decoded_segments(request.path())?);
        let Some((route, arguments)) = found else {
            return match &self.default_handler {
                Some(handler) => handler.handle_boxed(request).await,
                None => Err(HttpError::of_client(StatusCode::NOT_FOUND, "")),
            };
        };
        if !arguments.is_empty() {
            request.path_arguments = Some(Box::new(arguments));
        }
        match &route.target {
            Target::Methods(table) => table.handle(request).await,
            Target::Handler(handler) => handler.handle_boxed(request).await,
        }
    }
}

impl RequestHandler for Application {
    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        let outcome = self.dispatch(request).await;
        match (outcome, &self.error_page) {
            (Err(error), Some(page)) if !error.ends_connection() => {
                error.log(request.method(), request.path());
                Ok(page_of(&error, page))
            }
            (outcome, _) => outcome,
        }
    }
}

fn page_of(error: &HttpError, page: &ErrorPage) -> Response {
    match catch_unwind(AssertUnwindSafe(|| page(error.status(), error.message()))) {
        Ok(response) => {
            let response = response.with_status(error.status());
            match error.allow() {
                Some(allow) => response.with(ALLOW, allow.clone()),
                None => response,
            }
        }
        Err(_) => {
            log::error!("the error page for {} panicked", error.status());
            Response::new(None, "").with_status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|route| &route.text)).finish()
    }
}
