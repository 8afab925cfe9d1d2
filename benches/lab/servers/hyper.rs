//! hyper on tokio, `current_thread`.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::TcpListener;

use ::hyper::body::{Bytes, Incoming};
use ::hyper::header::{CONTENT_TYPE, HeaderValue};
use ::hyper::server::conn::http1;
use ::hyper::service::service_fn;
use ::hyper::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;

use crate::service::{HELLO, Service};

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match service {
            Service::HttpEcho => accept(listener, echo).await,
            _ => accept(listener, hello).await,
        }
    })
}

async fn accept<F, E>(listener: TcpListener, handler: fn(Request<Incoming>) -> F) -> io::Result<()>
where
    F: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = ::tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = http1::Builder::new()
            .pipeline_flush(true) // answers to pipelined requests leave together
            .serve_connection(TokioIo::new(stream), service_fn(handler));
        ::tokio::spawn(connection);
    }
}

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(text(Bytes::from_static(HELLO.as_bytes())))
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, ::hyper::Error> {
    Ok(text(request.into_body().collect().await?.to_bytes()))
}

fn text(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
