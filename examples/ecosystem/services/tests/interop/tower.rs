//! tower's middleware: what waits in a queue runs on squall as it is, what waits for a time needs
//! tokio's timers.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use async_compat::Compat;
use futures_util::future::join_all;
use squall_net::{spawn, stats, yield_now};
use tower::buffer::Buffer;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::run;

#[test]
fn a_limit_lets_only_so_many_requests_in_and_needs_no_send() {
    run(async {
        let (inside, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let seen = Rc::clone(&most);
        let service = ServiceBuilder::new().concurrency_limit(3).service_fn(move |n: usize| {
            let (inside, most) = (Rc::clone(&inside), Rc::clone(&seen));
            async move {
                inside.set(inside.get() + 1);
                most.set(most.get().max(inside.get()));
                yield_now().await;
                inside.set(inside.get() - 1);
                Ok::<_, Infallible>(n * 2)
            }
        });
        let answers = join_all((0..20).map(|n| service.clone().oneshot(n))).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..20).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(most.get(), 3);
    });
}

#[test]
fn a_buffer_s_worker_is_a_task_of_squall() {
    run(async {
        let mut calls = 0;
        let counting = service_fn(move |()| {
            calls += 1; // one worker owns the service, so no lock is needed
            std::future::ready(Ok::<usize, Infallible>(calls))
        });
        let (service, worker) = Buffer::pair(counting, 4);
        let worker = spawn(worker);
        let answers = join_all((0..10).map(|_| service.clone().oneshot(()))).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (1..=10).collect::<Vec<_>>());
        drop(service);
        worker.await.unwrap(); // ends with its last handle
        assert_eq!(stats().messages, 0, "no other thread takes part");
    });
}

#[test]
fn a_shed_answers_at_once_when_its_service_is_full() {
    run(async {
        let never = service_fn(|()| pending::<Result<(), Infallible>>());
        let mut service = ServiceBuilder::new().load_shed().concurrency_limit(1).service(never);
        let _waiting = service.ready().await.unwrap().call(());
        let error = service.ready().await.unwrap().call(()).await.unwrap_err();
        assert!(error.is::<Overloaded>(), "{error}");
    });
}

#[test]
fn a_timeout_of_tower_runs_through_async_compat() {
    run(Compat::new(async {
        let never = service_fn(|()| pending::<Result<(), Infallible>>());
        let limit = Duration::from_millis(10);
        let service = ServiceBuilder::new().timeout(limit).service(never);
        let error: BoxError = service.oneshot(()).await.unwrap_err();
        assert!(error.is::<Elapsed>(), "{error}");
    }));
}

#[test]
fn the_layers_of_a_stack_work_together() {
    run(Compat::new(async {
        let double = service_fn(|n: usize| async move { Ok::<_, Infallible>(n * 2) });
        let inner = ServiceBuilder::new()
            .concurrency_limit(2)
            .rate_limit(1000, Duration::from_secs(1))
            .timeout(Duration::from_secs(20))
            .service(double);
        let (service, worker) = Buffer::pair(inner, 8);
        spawn(Compat::new(worker)); // the worker polls the rate limit, so it needs tokio's timers
        let answers = join_all((0..20).map(|n| service.clone().oneshot(n))).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..20).map(|n| n * 2).collect::<Vec<_>>());
    }));
}
