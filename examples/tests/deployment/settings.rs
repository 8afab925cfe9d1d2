//! The units and the kernel settings are valid.

use std::fs;
use std::path::Path;

use crate::program::{Directory, deploy, example};
use crate::support::{say, tool};

#[test]
fn systemd_accepts_the_units_and_finds_little_that_the_service_could_do() {
    let directory = Directory::new("units", u16::MAX);
    let at = |name: &str| directory.path().join(name);
    fs::copy(deploy("squall.socket"), at("squall.socket")).unwrap();
    let service = fs::read_to_string(deploy("squall.service")).unwrap();
    let program = example("prefork").display().to_string(); // it must exist
    fs::write(at("squall.service"), service.replace("/usr/local/bin/prefork", &program)).unwrap();
    let path = at("squall.service").display().to_string();
    // Fails, with what it found, if it warns of anything.
    if tool("systemd-analyze", &["verify", &path]).is_none() {
        return;
    }
    // 0 is a service that can do nothing, 10 one that can do everything.
    let report = tool(
        "systemd-analyze",
        &["security", "--no-pager", "--offline=true", "--threshold=20", &path],
    );
    let summary = report.unwrap_or_default();
    say(summary.lines().last().unwrap_or_default());
}

#[test]
fn the_kernel_has_every_setting_and_takes_those_of_the_network() {
    let text = fs::read_to_string(deploy("90-squall.conf")).unwrap();
    let settings = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for setting in settings {
        let (name, value) = setting.split_once(" = ").expect(setting);
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        assert!(path.exists(), "{name}");
        // The others belong to the whole machine.
        if name.starts_with("net.") {
            let write = "sysctl -q -w \"$0=$1\" && sysctl -n \"$0\"";
            let Some(now) = tool("unshare", &["--net", "sh", "-c", write, name, value]) else {
                return;
            };
            assert!(now.split_whitespace().eq(value.split_whitespace()), "{name}: {now:?}");
        }
    }
}
