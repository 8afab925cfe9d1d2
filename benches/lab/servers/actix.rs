//! actix-web, with one worker.

use std::io;
use std::net::TcpListener;

use actix_web::{App, HttpServer, rt, web};

use crate::service::{HELLO, Service};

pub(crate) fn serve(listener: TcpListener, _: Service) -> io::Result<()> {
    rt::System::new().block_on(async {
        let app = || App::new().route("/", web::get().to(async || HELLO));
        HttpServer::new(app).workers(1).listen(listener)?.run().await
    })
}
