//! Lookups of names by the system's resolver.

use std::fs;
use std::io::{self, Write};
use std::process::Command;

use squall_net::{
    BindOptions, ConnectError, TcpListener, TcpStream, UdpSocket, bind_sockets, block_on,
};

// getaddrinfo is asked in a namespace without a network, in which one service looks names up.
#[test]
fn an_unknown_name_is_not_found_and_a_name_service_that_fails_is_unreachable() {
    if std::env::var_os("SQUALL_CHILD").is_some() {
        let error = block_on(TcpStream::connect("no-such-name.invalid:80")).unwrap_err();
        let source = error.get_ref().and_then(|error| error.downcast_ref::<ConnectError>());
        assert!(source.expect("a ConnectError").is_lookup());
        println!("kind {:?} of {error}", error.kind());
        return;
    }
    for (service, answer) in [
        ("files", "kind NotFound of cannot connect to no-such-name.invalid:80: failed to lookup"),
        ("dns", "kind HostUnreachable of cannot connect to no-such-name.invalid:80: failed to"),
    ] {
        let name = format!("squall-{}-nsswitch-{service}", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, format!("hosts: {service}\n")).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["-Urnm", "sh", "-c", "mount --bind $0 /etc/nsswitch.conf && exec \"$@\""]);
        unshare.arg(&file).arg(std::env::current_exe().unwrap()).args(["--exact", "--nocapture"]);
        unshare.arg("an_unknown_name_is_not_found_and_a_name_service_that_fails_is_unreachable");
        let output = unshare.env("SQUALL_CHILD", "1").output();
        fs::remove_file(&file).unwrap();
        match output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()) {
            Ok(text) if text.contains("running 1 test") => {
                assert!(text.contains(answer), "{text}");
            }
            // Bypasses the test harness, which captures printed output.
            _ => io::stderr()
                .write_all(b"skipped: this machine allows no mount namespace\n")
                .unwrap(),
        }
    }
}

#[test]
fn an_unknown_name_is_not_found_also_when_it_is_bound() {
    let unknown = "fe80::1%no-interface";
    let errors = [
        TcpListener::bind((unknown, 0)).unwrap_err(),
        UdpSocket::bind((unknown, 0)).unwrap_err(),
        bind_sockets(0, Some(unknown), BindOptions::default()).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == io::ErrorKind::NotFound), "{errors:?}");
}
