//! The public API of the crates is the one that was accepted, line by line, in `docs/public-api`.
//!
//! So a change of the API is seen in review, and a line that goes or changes needs a new minor
//! version before 1.0, and a major one after. `SQUALL_ACCEPT=1 cargo test -p squall-docs --test
//! public_api` accepts what there is now. Traits that the compiler implements by itself, and
//! implementations for all types, are left out.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use public_api::Builder;

const CRATES: [&str; 3] = ["squall-reactor", "squall-executor", "squall-net"];
const FEATURES: &str = "squall-net/tls,squall-net/hyper,squall-net/sim-std";
/// The only format of rustdoc's JSON that this version of the crate `public-api` reads.
const FORMAT: &str = "\"format_version\":57";

/// Lets a stable rustdoc write JSON. Set for cargo too, the variable would change how other crates
/// are compiled.
const RUSTDOC: &str = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n";

/// Documents the crates as JSON, and returns the directory of the files.
fn document() -> PathBuf {
    let test = env::current_exe().unwrap(); // in target/debug/deps
    let target = test.ancestors().nth(3).expect("the target directory").to_owned();
    let rustdoc = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rustdoc-json");
    fs::write(&rustdoc, RUSTDOC).unwrap();
    fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["doc", "--no-deps", "--features", FEATURES]);
    command.args(CRATES.iter().flat_map(|name| ["--package", name]));
    command.env("CARGO_TARGET_DIR", &target).env("RUSTDOC", rustdoc);
    command.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("doc")
}

/// The lines of `one` that are not in `other`.
fn missing<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    let there: std::collections::HashSet<_> = other.lines().collect();
    one.lines().filter(|line| !there.contains(line)).collect()
}

#[test]
fn the_public_api_is_the_accepted_one() {
    let directory = document();
    let mut changes = String::new();
    for name in CRATES {
        let json = directory.join(name.replace('-', "_") + ".json");
        if !fs::read_to_string(&json).unwrap().contains(FORMAT) {
            let text =
                "skipped: the public API: this rustdoc has another JSON format than Rust 1.95's";
            return writeln!(std::io::stderr(), "{text}").unwrap();
        }
        let api = Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true);
        let now = api.build().unwrap().to_string();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("public-api/{name}.txt"));
        if env::var_os("SQUALL_ACCEPT").is_some() {
            fs::write(&path, now).unwrap();
            continue;
        }
        let accepted = fs::read_to_string(&path).unwrap();
        changes.extend(missing(&accepted, &now).iter().map(|line| format!("- {line}\n")));
        changes.extend(missing(&now, &accepted).iter().map(|line| format!("+ {line}\n")));
    }
    assert!(
        changes.is_empty(),
        "the public API has changed; SQUALL_ACCEPT=1 accepts it:\n{changes}"
    );
}
