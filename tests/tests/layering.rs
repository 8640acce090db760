//! Who may know whom: the layout of the repository as a promise (`docs/ARCHITECTURE.md`).
//!
//! Reads manifests and sources as text, and builds nothing. Every broken rule is a sentence of its own.

mod tree;

use tree::{Crate, crates, sources, workspace};

/// Files have at most so many lines.
const LONGEST: usize = 400;

/// What the packet path decides by: no clock, thread, system call, packet or device. Of packet memory's
/// crate it knows the memory that tables lie in.
const SWITCH_NEVER: [&str; 7] =
    ["std::time", "std::thread", "libc", "Frame", "vsw_port", "vsw_engine", "std::fs"];

fn holds(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Who may depend on whom: a crate, and the crates of this repository that it may name. `port-*` stands for
/// every kind of port.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("vsw-types", &[]),
    ("vsw-config", &["vsw-types"]),
    ("vsw-api", &["vsw-types", "vsw-config"]),
    // What both daemons do alike; theirs alone.
    ("vsw-process", &["vsw-api"]),
    ("vsw-wire", &["vsw-types"]),
    ("vsw-mem", &[]),
    // Meters and scheduler: arithmetic.
    ("vsw-qos", &["vsw-types"]),
    ("vsw-port", &["vsw-types", "vsw-mem"]),
    ("vsw-port-os", &["vsw-types"]),
    ("port-*", &["vsw-types", "vsw-mem", "vsw-wire", "vsw-port", "vsw-port-os"]),
    ("vsw-switch", &["vsw-types", "vsw-config", "vsw-wire", "vsw-mem", "vsw-qos"]),
    ("vsw-engine", &["vsw-types", "vsw-wire", "vsw-mem", "vsw-port", "vsw-switch", "vsw-qos"]),
    // A subscriber of FDB and snapshot. Of what ports need it knows the kernel's maps.
    ("vsw-accel", &["vsw-types", "vsw-switch", "vsw-port-os"]),
    ("vsw-control", &["vsw-types", "vsw-config", "vsw-api"]),
    ("vswcontrold", &["vsw-types", "vsw-config", "vsw-api", "vsw-process", "vsw-control"]),
    ("vswctl", &["vsw-types", "vsw-config", "vsw-api"]),
];

#[test]
fn crates_know_only_those_below() {
    let mut broken = Vec::new();
    for c in crates() {
        let kind = if c.is_kind_of_port() { "port-*" } else { &c.name };
        let Some((_, may)) = MAY_KNOW.iter().find(|(name, _)| *name == kind) else {
            // The dataplane's daemon knows all of its half; tests, benches and tasks know everything.
            if c.folder.starts_with("dataplane/") && c.name != "vswd" || c.folder.starts_with("proto/") {
                broken.push(format!("{}: is a new crate; say in layering.rs what it may know", c.name));
            }
            continue;
        };
        for known in c.dependencies.iter().filter(|d| d.starts_with("vsw") && !may.contains(&d.as_str())) {
            broken.push(format!("{}: depends on {known}, which it must not know", c.name));
        }
    }
    holds(broken);
}

#[test]
fn the_halves_meet_only_in_proto() {
    let all = crates();
    let half = |name: &str| {
        let c = all.iter().find(|c| c.name == name)?;
        ["control/", "dataplane/"].into_iter().find(|h| c.folder.starts_with(h))
    };
    let mut broken = Vec::new();
    for c in &all {
        let Some(mine) = half(&c.name) else { continue };
        for d in c.dependencies.iter().chain(&c.dev_dependencies) {
            if half(d).is_some_and(|theirs| theirs != mine) {
                broken.push(format!("{}: depends on {d}; the halves meet only in proto/", c.name));
            }
        }
    }
    holds(broken);
}

#[test]
fn async_stays_out_of_the_packet_path() {
    const ASYNC: [&str; 3] = ["tokio", "tonic", "hyper"];
    const MAY: [&str; 6] =
        ["dataplane/daemon", "control/daemon", "control/core", "control/cli", "proto/api", "proto/process"];
    let mut broken = Vec::new();
    for c in crates() {
        let may = MAY.contains(&c.folder.as_str()) || c.is_tool();
        for d in c.dependencies.iter().filter(|d| ASYNC.iter().any(|a| d.starts_with(a)) && !may) {
            broken.push(format!("{}: depends on {d}; async is for daemons and control only", c.name));
        }
    }
    holds(broken);
}

#[test]
fn the_decision_is_pure() {
    let mut broken = Vec::new();
    for file in sources("dataplane/switch/src") {
        // Tests may do as they like.
        if file.path.contains("tests") {
            continue;
        }
        for (line, code) in file.code() {
            for word in SWITCH_NEVER.iter().filter(|w| code.contains(**w)) {
                broken.push(format!("{}:{line}: uses {word}; the decision is pure", file.path));
            }
        }
    }
    holds(broken);
}

#[test]
fn no_stage_imports_another() {
    let files = sources("dataplane/switch/src/stage");
    let stages: Vec<String> = files.iter().map(|f| f.stem().to_owned()).filter(|s| s != "mod").collect();
    assert!(stages.len() >= 3, "the stages were found");
    let mut broken = Vec::new();
    for file in files.iter().filter(|f| f.stem() != "mod") {
        for (line, code) in file.code() {
            for other in stages.iter().filter(|s| *s != file.stem()) {
                let ways = [format!("super::{other}"), format!("stage::{other}")];
                if ways.iter().any(|w| code.contains(w)) {
                    broken.push(format!("{}:{line}: imports stage {other}", file.path));
                }
            }
        }
    }
    holds(broken);
}

#[test]
fn unsafe_has_addresses() {
    let mut broken = Vec::new();
    for c in crates() {
        let may = c.name == "vsw-mem" || c.folder.starts_with("dataplane/port-");
        let roots = c.roots();
        assert!(!roots.is_empty(), "{}: lib.rs or main.rs", c.folder);
        for root in roots.iter().filter(|_| !may) {
            if !root.text.contains("#![forbid(unsafe_code)]") {
                broken.push(format!("{}: does not say #![forbid(unsafe_code)]", root.path));
            }
        }
        // Tests of ports need it as ports do.
        let files = c.sources().into_iter().chain(sources(&format!("{}/tests", c.folder)));
        for file in files.filter(|_| !may) {
            for (line, _) in file.code().filter(|(_, code)| tree::says(code, "unsafe")) {
                broken.push(format!("{}:{line}: unsafe; only mem and port-* may", file.path));
            }
        }
    }
    holds(broken);
}

#[test]
fn files_are_short_and_introduce_themselves() {
    let mut broken = Vec::new();
    for c in crates() {
        for file in c.sources() {
            let lines = file.text.lines().count();
            if lines > LONGEST {
                broken.push(format!("{}: has {lines} lines; {LONGEST} are the most", file.path));
            }
            if !file.text.starts_with("//!") {
                broken.push(format!("{}: does not begin with a //! header", file.path));
            }
        }
    }
    holds(broken);
}

#[test]
fn the_checks_can_see() {
    assert!(workspace().join("Cargo.toml").exists());
    let names: Vec<String> = crates().into_iter().map(|c: Crate| c.name).collect();
    for name in ["vsw-types", "vsw-switch", "vsw-engine", "vsw-port-tap", "vswd", "vswctl", "vswcontrold"] {
        assert!(names.iter().any(|n| n == name), "{name} is among {names:?}");
    }
    assert!(tree::says("let x = unsafe { y };", "unsafe"));
    assert!(!tree::says("#![forbid(unsafe_code)]", "unsafe"));
    let file = tree::Source { path: "x".into(), text: "a // unsafe\n/// unsafe\n\"unsafe\"".into() };
    assert!(file.code().all(|(_, code)| !tree::says(code, "unsafe")));
}
