//! Standard input and output of every kind, in programs that the tests start.

#![allow(unsafe_code, reason = "pseudo-terminals and flags, for which std has no names")]

mod watched;

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use squall_net::{IoStream, block_on, copy, sleep, spawn, stderr, stdin, stdout, timeout};
use watched::WATCHDOG;

/// More than a pipe holds.
const MUCH: usize = 1 << 20;

fn main() {
    let tests: [(&str, fn()); 9] = [
        ("pipes_are_read_and_written_and_keep_their_flags", pipes),
        ("a_socket_is_read_and_written_and_keeps_its_flags", socket),
        ("files_are_read_and_written_off_the_loop", files),
        ("the_null_device_has_an_end_and_takes_everything", null_device),
        ("a_terminal_is_read_by_lines_and_keeps_its_flags", terminal),
        ("standard_error_is_another_output", error_output),
        ("a_reader_that_is_gone_is_an_error", closed_output),
        ("a_read_that_waits_does_not_prevent_the_end_of_the_process", waiting_read),
        ("a_pipe_that_cannot_be_opened_again_is_read_off_the_loop", not_opened_again),
    ];
    watched::run(program, &tests);
}

/// The programs that the tests start.
fn program(name: &str) {
    let result = block_on(timeout(WATCHDOG, async {
        match name {
            "cat" => {
                let (mut reader, _) = IoStream::new(stdin()).split();
                let mut output = IoStream::new(stdout());
                copy(&mut reader, output.halves().1).await?;
            }
            "lines" => {
                let (mut input, mut output) = (IoStream::new(stdin()), IoStream::new(stdout()));
                // Something else goes on beside the read that waits.
                spawn(async {
                    loop {
                        sleep(Duration::from_millis(1)).await;
                    }
                });
                while let Ok(line) = input.read_until(b"\n").await {
                    output.write(line.to_ascii_uppercase())?;
                    output.flush().await?;
                }
            }
            "error" => {
                let mut output = IoStream::new(stderr());
                output.write("a warning\n")?;
                output.flush().await?;
            }
            "hangs" => {
                let mut input = IoStream::new(stdin());
                let read = timeout(Duration::from_millis(20), input.read_until(b"\n")).await;
                assert!(read.is_err());
            }
            "no /proc" => {
                let mut input = IoStream::new(stdin());
                let bytes = input.read_until_close().await?;
                std::process::exit(i32::from(bytes.len() != MUCH));
            }
            other => panic!("no program {other}"),
        }
        io::Result::Ok(())
    }));
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            eprintln!("{error}");
            std::process::exit(2);
        }
        Err(_) => std::process::exit(3),
    }
}

fn start(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["as", name]);
    command
}

fn end(child: &mut Child) -> ExitStatus {
    watched::until("the program ends", || child.try_wait().unwrap().is_some());
    child.wait().unwrap()
}

fn is_nonblocking(fd: impl AsFd) -> bool {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0);
    flags & libc::O_NONBLOCK != 0
}

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// Writes on a thread, since the pipe or socket holds less.
fn write_all(mut to: impl Write + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || to.write_all(&bytes(MUCH)).unwrap())
}

fn pipes() {
    let ((input, to_input), (from_output, output)) = (io::pipe().unwrap(), io::pipe().unwrap());
    let (kept_input, kept_output) = (input.try_clone().unwrap(), output.try_clone().unwrap());
    let mut child = start("cat").stdin(input).stdout(output).spawn().unwrap();
    let writer = write_all(to_input);
    let mut received = vec![0; MUCH];
    let mut from_output = from_output;
    from_output.read_exact(&mut received).unwrap();
    assert!(!is_nonblocking(&kept_input) && !is_nonblocking(&kept_output));
    writer.join().unwrap();
    assert!(end(&mut child).success());
    assert!(received == bytes(MUCH));
}

fn socket() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let kept = theirs.try_clone().unwrap();
    let input = Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
    let mut child = start("cat").stdin(input).stdout(OwnedFd::from(theirs)).spawn().unwrap();
    let writer = thread::spawn({
        let mut ours = ours.try_clone().unwrap();
        move || {
            ours.write_all(&bytes(MUCH)).unwrap();
            ours.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut received = vec![0; MUCH];
    (&ours).read_exact(&mut received).unwrap();
    assert!(!is_nonblocking(&kept));
    writer.join().unwrap();
    assert!(end(&mut child).success());
    assert!(received == bytes(MUCH));
}

/// A file that is removed at the end.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> TemporaryFile {
        let name = format!("squall-standard-streams-{name}-{}", std::process::id());
        TemporaryFile(std::env::temp_dir().join(name))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn files() {
    let (input, output) = (TemporaryFile::new("input"), TemporaryFile::new("output"));
    fs::write(&input.0, bytes(MUCH)).unwrap();
    let stdin = File::open(&input.0).unwrap();
    let stdout = File::create(&output.0).unwrap();
    let mut child = start("cat").stdin(stdin).stdout(stdout).spawn().unwrap();
    assert!(end(&mut child).success());
    assert!(fs::read(&output.0).unwrap() == bytes(MUCH));
}

fn null_device() {
    let mut child = start("cat").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    assert!(end(&mut child).success());
    let input = Stdio::from(File::open("/dev/zero").unwrap());
    let full = Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut child = start("cat").stdin(input).stdout(full).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(end(&mut child).code(), Some(2), "no space left on device");
}

fn terminal() {
    // SAFETY: the call takes an integer.
    let ours = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    if ours < 0 {
        return eprintln!("skipped: no terminal, {}", io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and has no other owner.
    let mut ours = unsafe { File::from_raw_fd(ours) };
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::unlockpt(ours.as_raw_fd()) }, 0);
    let mut path = [0; 64];
    // SAFETY: the buffer is alive and has the given length.
    let named = unsafe { libc::ptsname_r(ours.as_raw_fd(), path.as_mut_ptr(), path.len()) };
    assert_eq!(named, 0);
    // SAFETY: the call above has written a string that ends in NUL.
    let path = unsafe { CStr::from_ptr(path.as_ptr()) }.to_str().unwrap();
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    let input = terminal.try_clone().unwrap();
    let output = terminal.try_clone().unwrap();
    let mut child = start("lines").stdin(input).stdout(output).spawn().unwrap();
    ours.write_all(b"hello\n").unwrap();
    let mut shown = Vec::new();
    while !shown.ends_with(b"HELLO\r\n") {
        let mut chunk = [0; 64];
        let n = ours.read(&mut chunk).unwrap();
        shown.extend_from_slice(&chunk[..n]);
    }
    assert_eq!(shown, b"hello\r\nHELLO\r\n", "what was typed, and the answer");
    assert!(!is_nonblocking(&terminal), "a shell would read it next");
    ours.write_all(b"\x04").unwrap(); // Ctrl-D
    assert!(end(&mut child).success());
}

fn error_output() {
    let output = start("error").stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stderr, b"a warning\n");
}

fn closed_output() {
    let (reader, output) = io::pipe().unwrap();
    drop(reader);
    let input = Stdio::from(File::open("/dev/zero").unwrap());
    let mut child = start("cat").stdin(input).stdout(output).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(end(&mut child).code(), Some(2), "a broken pipe, and no signal");
}

fn waiting_read() {
    let (input, _open) = io::pipe().unwrap();
    let begin = Instant::now();
    let mut child = start("hangs").stdin(input).spawn().unwrap();
    assert!(end(&mut child).success());
    assert!(begin.elapsed() < WATCHDOG);
}

/// The descriptor has no name in /proc when it is opened: so is a pipe where /proc is not mounted.
fn not_opened_again() {
    if std::env::var("RUSTFLAGS").is_ok_and(|flags| flags.contains("sanitizer")) {
        return eprintln!("skipped: a program with AddressSanitizer needs /proc");
    }
    let (input, to_input) = io::pipe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount -t tmpfs none /proc && exec \"$0\" as 'no /proc'");
    command.arg(std::env::current_exe().unwrap()).stdin(input);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let allowed = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/proc"])
        .stderr(Stdio::null())
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: this machine allows no mount in a namespace");
    }
    let mut child = command.spawn().unwrap();
    let writer = write_all(to_input);
    let status = end(&mut child);
    writer.join().unwrap();
    assert!(status.success(), "{status}");
}
