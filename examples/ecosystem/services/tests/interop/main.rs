//! Web frameworks and databases on squall's loop, each as a program of a user would use it.

mod axum;
mod http2;
mod https;
mod local_server;
mod postgres;
mod redis;
mod reqwest;
mod sqlx;
mod support;
mod tower;
mod web_sockets;
