//! The process of a host: an event loop on simulated time that runs the host's `main`.

use std::any::Any;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use squall_executor::{EventLoop, JoinHandle, TurnByTurn};

use crate::sim::current::{self, Place};
use crate::sim::machine::Process;
use crate::sim::trace::What;
use crate::sim::world::World;

/// A turn that takes longer, of real time, is reported: something in it has blocked the thread.
const LONGEST_TURN: Duration = Duration::from_millis(100);
/// The longest time before a job of `spawn_blocking` runs, in nanoseconds.
const LONGEST_JOB_DELAY: u64 = 1_000_000;

/// How a `main` has ended.
pub(crate) enum MainEnd {
    Ok,
    Failed(io::Error),
    Panicked(String),
}

impl Place {
    /// Calls `f` as code of this host.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        self.touch();
        let _place = current::enter(self.clone());
        let event_loop = self.machine.event_loop();
        let _entered = event_loop.as_ref().map(|event_loop| event_loop.enter());
        f()
    }

    /// Notes that the host may have something else to do than before.
    pub(crate) fn touch(&self) {
        self.world.agenda.borrow_mut().touch(self.machine.number);
    }

    /// Starts the process. Does nothing if it runs.
    ///
    /// # Panics
    /// If no loop can be made, because this process has no free descriptor.
    pub(crate) fn start(&self) {
        let Place { world, machine } = self;
        if machine.is_running() {
            return;
        }
        machine.power.switch_on();
        world.record(What::Starts(machine.number));
        let event_loop = Rc::new(self.make_loop());
        self.touch();
        let main = machine.main.as_ref().map(|main| {
            world.mains.set(world.mains.get() + 1);
            let main = Rc::clone(main);
            event_loop.spawn_named("main", async move { main().await })
        });
        *machine.process.borrow_mut() = Some(Process { event_loop, main });
    }

    fn make_loop(&self) -> EventLoop {
        let (world, number) = (Rc::downgrade(&self.world), self.machine.number);
        let (random, of_panic) = (world.clone(), world.clone());
        let note_panic = move |payload: &(dyn Any + Send)| {
            if let Some(world) = of_panic.upgrade() {
                world.record(What::TaskPanics(number));
                let first = || (number, panic_text(payload));
                world.panicked.borrow_mut().get_or_insert_with(first);
            }
        };
        let run_job = move |job| {
            if let Some(world) = world.upgrade() {
                schedule_job(&world, number, job);
            }
        };
        EventLoop::builder()
            .clock(self.world.clock.clone())
            .isolated(move || random.upgrade().map_or(0, |world| world.random()))
            .blocking_executor(run_job)
            .on_panic(note_panic)
            .build()
            .unwrap_or_else(|error| panic!("cannot make the loop of a simulated host: {error}"))
    }

    /// Runs one turn of the loop, of which a script is the root if there is one. Returns how `main`
    /// has ended, if it has.
    pub(crate) fn run_turn(&self, script: Option<&mut TurnByTurn<'_>>) -> Option<MainEnd> {
        self.touch();
        let _place = current::enter(self.clone());
        let event_loop = self.machine.event_loop()?;
        let begun = clock_gettime(ClockId::MonotonicCoarse);
        let ran = script.map_or_else(|| event_loop.run_ready(), TurnByTurn::run_ready);
        if let Err(error) = ran {
            panic!("the host {} cannot run: {error}", self.machine.name);
        }
        let taken = Duration::try_from(clock_gettime(ClockId::MonotonicCoarse) - begun);
        if let Ok(taken) = taken
            && taken > LONGEST_TURN
        {
            let name = &self.machine.name;
            log::warn!(
                "the host {name} has held up the whole simulation for {taken:?} of real time"
            );
        }
        let end = outcome(self.take_finished_main()?);
        let number = self.machine.number;
        self.world.record(match end {
            MainEnd::Ok => What::Ends(number),
            MainEnd::Failed(_) => What::Fails(number),
            MainEnd::Panicked(_) => What::Panics(number),
        });
        drop(event_loop);
        self.end_process();
        Some(end)
    }

    fn take_finished_main(&self) -> Option<JoinHandle<io::Result<()>>> {
        let mut process = self.machine.process.borrow_mut();
        let main = &mut process.as_mut()?.main;
        if !main.as_ref()?.is_finished() {
            return None;
        }
        self.main_ended();
        main.take()
    }

    fn main_ended(&self) {
        self.world.mains.set(self.world.mains.get() - 1);
    }

    /// Ends the process as the kernel does: it closes the sockets.
    pub(crate) fn end_process(&self) {
        self.touch();
        let _place = current::enter(self.clone());
        let process = self.machine.process.take();
        if process.as_ref().is_some_and(|process| process.main.is_some()) {
            self.main_ended();
        }
        drop(process);
    }

    pub(crate) fn kill(&self) {
        if self.machine.is_running() {
            self.world.record(What::IsKilled(self.machine.number));
            self.end_process();
        }
    }

    pub(crate) fn crash(&self) {
        let Place { world, machine } = self;
        if !machine.power.is_on() {
            return;
        }
        world.record(What::Crashes(machine.number));
        machine.power.switch_off(world.now());
        machine.open_sockets.set(0);
        let ports = machine.ports.take();
        self.end_process();
        drop(ports);
    }
}

/// Runs a job of `spawn_blocking` on the thread of its host, at a random moment.
fn schedule_job(world: &Rc<World>, number: usize, job: Box<dyn FnOnce() + Send>) {
    let Some(event_loop) = world.machine(number).event_loop() else { return };
    let event_loop = Rc::downgrade(&event_loop);
    let time = world.now() + world.random() % LONGEST_JOB_DELAY;
    world.schedule(time, move |world| {
        // If the loop has ended, the job is dropped.
        let place = Place { world: Rc::clone(world), machine: world.machine(number) };
        let is_current = |running: Rc<EventLoop>| event_loop.ptr_eq(&Rc::downgrade(&running));
        if place.machine.event_loop().is_some_and(is_current) {
            world.record(What::Job(number));
            place.enter(job);
        }
    });
}

fn outcome(finished: JoinHandle<io::Result<()>>) -> MainEnd {
    match pin!(finished).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Ok(()))) => MainEnd::Ok,
        Poll::Ready(Ok(Err(error))) => MainEnd::Failed(error),
        Poll::Ready(Err(error)) => MainEnd::Panicked(match error.into_panic() {
            Ok(payload) => panic_text(&*payload),
            Err(error) => error.to_string(),
        }),
        Poll::Pending => unreachable!("a finished task has an outcome"),
    }
}

/// The message of a panic.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a message".to_owned(),
    }
}
