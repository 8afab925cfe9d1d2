//! The application: an ordered list of routes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use http::{Method, StatusCode};

use crate::application::any_handler::AnyHandler;
use crate::application::method_table::MethodTable;
use crate::application::pattern::{Matched, Pattern};
use crate::server::arguments::decode;
use crate::server::http_error::HttpError;
use crate::server::request::{PathArguments, Request};
use crate::server::request_handler::{HandlerResult, RequestHandler};
use crate::server::response::Response;

/// Passes each request to the first route whose pattern matches its path. Tornado: `Application`.
///
/// In a pattern, `{name}` stands for a part of one segment that is not empty, and `{*name}` at the
/// end for the rest of the path. The pattern is compared with the path as the client has encoded it;
/// [`Request::path_argument`] returns the decoded argument.
///
/// A path without a route is answered with 404.
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
    /// Answers what no route matches.
    default_handler: Option<Box<dyn AnyHandler>>,
    error_page: Option<Box<ErrorPage>>,
}

type ErrorPage = dyn Fn(StatusCode, &str) -> Response;

struct Route {
    /// The text of the pattern. A method is added to the route with the same text.
    text: String,
    pattern: Pattern,
    /// The name for [`Application::reverse`]; empty if it has none.
    name: &'static str,
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
    #[track_caller]
    pub fn route(self, pattern: &str, handler: impl RequestHandler + 'static) -> Application {
        self.with_route(pattern, Target::Handler(Box::new(handler)))
    }

    /// Adds a handler for `GET` and `HEAD`.
    ///
    /// # Panics
    /// If the pattern is malformed.
    #[track_caller]
    pub fn get(self, pattern: &str, handler: impl RequestHandler + 'static) -> Application {
        self.method(Method::GET, pattern, handler)
    }

    /// Adds a handler for `POST`.
    ///
    /// # Panics
    /// If the pattern is malformed.
    #[track_caller]
    pub fn post(self, pattern: &str, handler: impl RequestHandler + 'static) -> Application {
        self.method(Method::POST, pattern, handler)
    }

    /// Adds a handler for one method. A route with the same pattern that was made by this function
    /// gets it; else it is a new route.
    ///
    /// # Panics
    /// If the pattern is malformed.
    #[track_caller]
    pub fn method(
        mut self,
        method: Method,
        pattern: &str,
        handler: impl RequestHandler + 'static,
    ) -> Application {
        let handler = Box::new(handler);
        for route in &mut self.routes {
            if let (true, Target::Methods(table)) = (route.text == pattern, &mut route.target) {
                table.add(method, handler);
                return self;
            }
        }
        let mut table = MethodTable::default();
        table.add(method, handler);
        self.with_route(pattern, Target::Methods(table))
    }

    /// Names the route that was added last, for [`reverse`](Self::reverse).
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Application {
        if let Some(route) = self.routes.last_mut() {
            route.name = name;
        }
        self
    }

    /// Asks `application` first for requests to this host. A path that it has no route for falls
    /// through. The port of the request's Host does not matter.
    #[must_use]
    pub fn host(mut self, host: &str, application: Application) -> Application {
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
    /// and makes the body. The status is the error's, whatever `page` returns. If `page` panics, the
    /// client gets an empty 500.
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
        let route = self.routes.iter().find(|route| route.name == name)?;
        route.pattern.path(arguments)
    }

    #[track_caller]
    fn with_route(mut self, text: &str, target: Target) -> Application {
        let pattern =
            Pattern::parse(text).unwrap_or_else(|why| panic!("the pattern {text:?}: {why}"));
        self.routes.push(Route { text: text.to_owned(), pattern, name: "", target });
        self
    }

    /// The first route that matches.
    fn find<'p>(&self, host: &str, path: &'p str) -> Option<(&Route, Matched<'p>)> {
        let of_host = self.hosts.iter().filter(|(name, _)| name.eq_ignore_ascii_case(host));
        of_host.filter_map(|(_, application)| application.find(host, path)).next().or_else(|| {
            self.routes.iter().find_map(|route| Some((route, route.pattern.matches(path)?)))
        })
    }

    async fn dispatch(&self, request: &mut Request<'_>) -> HandlerResult {
        let Some((route, matched)) = self.find(request.host(), request.path()) else {
            return match &self.default_handler {
                Some(handler) => handler.handle_boxed(request).await,
                None => Err(HttpError::new(StatusCode::NOT_FOUND, "")),
            };
        };
        if !matched.is_empty() {
            request.path_arguments = Some(Box::new(decoded(matched)?));
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

fn decoded(matched: Matched<'_>) -> Result<PathArguments, HttpError> {
    matched.into_iter().map(|(name, value)| Ok((name, decode(value.as_bytes())?))).collect()
}

fn page_of(error: &HttpError, page: &ErrorPage) -> Response {
    match catch_unwind(AssertUnwindSafe(|| page(error.status(), error.message()))) {
        Ok(response) => response.with_status(error.status()),
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
