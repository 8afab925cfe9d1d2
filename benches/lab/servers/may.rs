//! may_minihttp, on coroutines with stacks.

use std::io::{self, Read};
use std::net::TcpListener;

use may_minihttp::{HttpServer, HttpService, Request, Response};

use crate::service::{HELLO, Service};

#[derive(Clone)]
struct Hello;

impl HttpService for Hello {
    fn call(&mut self, _: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        response.header("Content-Type: text/plain; charset=utf-8");
        response.body(HELLO);
        Ok(())
    }
}

#[derive(Clone)]
struct Echo;

impl HttpService for Echo {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        let mut body = Vec::new();
        request.body().read_to_end(&mut body)?;
        response.header("Content-Type: text/plain; charset=utf-8");
        response.body_vec(body);
        Ok(())
    }
}

/// Listens anew on the same port, because may_minihttp takes no listener. So its sockets lack the
/// options that all other servers inherit.
pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    let address = listener.local_addr()?;
    drop(listener);
    let server = match service {
        Service::HttpEcho => HttpServer(Echo).start(address)?,
        _ => HttpServer(Hello).start(address)?,
    };
    server.join().map_err(|_| io::Error::other("the server has panicked"))
}
