//! ntex on tokio, with one worker.

use std::io;
use std::net::TcpListener;

use ::ntex::rt::System;
use ::ntex::util::Bytes;
use ::ntex::web::{self, App, HttpServer};

use crate::service::{HELLO, Service};

pub(crate) fn serve(listener: TcpListener, _: Service) -> io::Result<()> {
    System::new("lab", ::ntex::rt::DefaultRuntime).block_on(async {
        let app = async || {
            App::new()
                .route("/", web::get().to(async || HELLO))
                .route("/echo", web::post().to(async |body: Bytes| body))
        };
        HttpServer::new(app).workers(1).listen(listener)?.run().await
    })
}
