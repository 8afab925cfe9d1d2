//! The set-ups of docs/deployment.md, with the files of `examples/deploy` as they are but for
//! addresses: behind nginx and HAProxy, under systemd, and as process 1 of a container.

#[path = "../support/mod.rs"]
mod support;

mod cgroup;
mod container;
mod haproxy;
mod load;
mod nginx;
mod program;
mod settings;
mod socket_activation;
mod systemd;
