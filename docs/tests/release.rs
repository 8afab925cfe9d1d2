//! What a release must have: licences, pages, features that are explained, and dependencies that
//! the stated Rust can compile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const CRATES: [&str; 3] = ["reactor", "executor", "net"];
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn cargo(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO")).args(arguments).current_dir(WORKSPACE).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn metadata() -> Value {
    let arguments = ["metadata", "--format-version=1", "--all-features"];
    serde_json::from_str(&cargo(&arguments)).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().expect(name).iter()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect(name)
}

#[test]
fn each_package_has_its_page_and_both_licences() {
    for name in CRATES {
        let package = format!("squall-{name}");
        let files = cargo(&["package", "--list", "--allow-dirty", "--package", &package]);
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"] {
            assert!(files.lines().any(|line| line == file), "{package} lacks {file}: {files}");
        }
    }
}

#[test]
fn each_feature_is_explained_in_the_page_and_the_documentation_of_its_crate() {
    let metadata = metadata();
    for name in CRATES {
        let directory = Path::new(WORKSPACE).join("crates").join(name);
        let package = list(&metadata, "packages")
            .find(|package| text(package, "name") == format!("squall-{name}"))
            .expect("it is in the workspace");
        let features = package["features"].as_object().expect("features");
        for feature in features.keys().filter(|feature| *feature != "default") {
            for file in ["README.md", "src/lib.rs"] {
                let page = fs::read_to_string(directory.join(file)).unwrap();
                assert!(
                    page.contains(&format!("| `{feature}` |")),
                    "{feature} is not in {name}'s {file}"
                );
            }
        }
        for key in ["description", "license", "readme", "rust_version"] {
            assert!(package[key].is_string(), "{name} has no {key}");
        }
        for key in ["keywords", "categories"] {
            assert!(matches!(list(package, key).count(), 1..=5), "{name}: {key}");
        }
    }
}

/// A version of Rust: `1.88` and `1.88.0` are the same.
fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().expect("a number"));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[test]
fn the_stated_rust_can_compile_every_dependency_of_the_crates() {
    let metadata = metadata();
    let packages: BTreeMap<_, _> =
        list(&metadata, "packages").map(|package| (text(package, "id"), package)).collect();
    let nodes: BTreeMap<_, _> =
        list(&metadata["resolve"], "nodes").map(|node| (text(node, "id"), node)).collect();
    let is_net = |(_, package): &(&&str, &&Value)| text(package, "name") == "squall-net";
    let (net, package) = packages.iter().find(is_net).expect("it is in the workspace");
    let stated = version(text(package, "rust_version"));

    // Everything below squall-net that is no dependency of tests.
    let (mut seen, mut left) = (BTreeSet::from([*net]), vec![*net]);
    while let Some(id) = left.pop() {
        for dependency in list(nodes[id], "deps") {
            let is_needed = list(dependency, "dep_kinds").any(|kind| kind["kind"] != "dev");
            let id = text(dependency, "pkg");
            if is_needed && seen.insert(id) {
                left.push(id);
            }
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
    let needs_more = |id: &&&str| {
        packages[**id]["rust_version"].as_str().is_some_and(|needed| version(needed) > stated)
    };
    let too_new: Vec<_> = seen.iter().filter(needs_more).collect();
    assert!(too_new.is_empty(), "these need more than Rust {stated:?}: {too_new:?}");
}
