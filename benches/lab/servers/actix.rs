//! actix-web, with one worker.

use std::io;
use std::net::TcpListener;

use actix_files::Files;
use actix_web::{App, HttpServer, rt, web};

use crate::service::{HELLO, Service};

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    rt::System::new().block_on(async {
        match service {
            Service::HttpFile => {
                let app = || App::new().service(Files::new("/", "."));
                HttpServer::new(app).workers(1).listen(listener)?.run().await
            }
            _ => {
                let app = || {
                    App::new()
                        .route("/", web::get().to(async || HELLO))
                        .route("/echo", web::post().to(async |body: web::Bytes| body))
                };
                HttpServer::new(app).workers(1).listen(listener)?.run().await
            }
        }
    })
}
