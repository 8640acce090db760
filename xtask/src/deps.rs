//! The dependency check, from what `cargo metadata` knows without a network: licences and sources of all,
//! and crates and native libraries that are not wanted in what users run (benches may compare with them). `deny.toml` tells `cargo deny` the same, and that knows advisories too.

use crate::run::{cargo, output};
use anyhow::{Result, bail};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Licences that go with Apache-2.0.
const LICENCES: [&str; 9] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What users run.
const PROGRAMS: [&str; 3] = ["vswd", "vswcontrold", "vswctl"];

/// Each with what is used in its place, or why it is not wanted.
const BANNED: [(&str, &str); 8] = [
    ("openssl-sys", "rustls with ring needs no library of the host"),
    ("native-tls", "rustls with ring needs no library of the host"),
    ("aws-lc-sys", "needs cmake and a long build; ring does not"),
    ("pnet_datalink", "one read a system call; ports are our own"),
    ("tun-tap", "no offloads, no queues, no namespaces; ports are our own"),
    ("libbpf-sys", "builds a C library; the programs are a few instructions"),
    ("bindgen", "needs clang"),
    ("dashmap", "a lock in the packet path; see the record on dependencies"),
];

/// `links` says that a crate brings or wants a native library. These do not want one of the host:
/// `prettyplease` and `rayon-core` only keep themselves from being there twice, `ring` brings its own.
const LINKS: [&str; 3] = ["prettyplease", "rayon-core", "ring"];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check() -> Result<()> {
    let words =
        ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let metadata: Value = serde_json::from_str(&output(&mut cargo(words))?)?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let shipped = shipped(&metadata);
    let found: Vec<String> = packages.iter().filter_map(|p| fault(p, shipped.contains(id(p)))).collect();
    if !found.is_empty() {
        bail!("{}", found.join("\n       "));
    }
    println!("   {} packages, {} of them in what users run", packages.len(), shipped.len());
    Ok(())
}

fn id(package: &Value) -> &str {
    package["id"].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The packages that the programs are built from or with.
fn shipped(metadata: &Value) -> HashSet<&str> {
    let nodes: HashMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).iter().map(|n| (id(n), n)).collect();
    let programs = list(&metadata["packages"]).iter();
    let programs = programs.filter(|p| PROGRAMS.contains(&p["name"].as_str().unwrap_or_default()));
    let (mut todo, mut found): (Vec<&str>, _) = (programs.map(id).collect(), HashSet::new());
    while let Some(next) = todo.pop() {
        if !found.insert(next) {
            continue;
        }
        let dependencies = nodes.get(next).map_or(&[][..], |n| list(&n["deps"])).iter();
        let real = dependencies.filter(|d| list(&d["dep_kinds"]).iter().any(|k| k["kind"] != "dev"));
        todo.extend(real.filter_map(|d| d["pkg"].as_str()));
    }
    found
}

/// What is wrong with one package.
fn fault(package: &Value, shipped: bool) -> Option<String> {
    let text = |field: &str| package[field].as_str().unwrap_or_default();
    let (name, version) = (text("name"), text("version"));
    let source = text("source");
    if source.is_empty() {
        // Of this workspace.
        return (text("license") != "Apache-2.0").then(|| format!("{name}: is not under Apache-2.0"));
    }
    if source != REGISTRY {
        return Some(format!("{name} {version}: comes from {source}; only crates.io is wanted"));
    }
    if let Some((_, why)) = BANNED.iter().find(|(banned, _)| shipped && *banned == name) {
        return Some(format!("{name} {version}: is not wanted: {why}"));
    }
    if shipped && !package["links"].is_null() && !LINKS.contains(&name) {
        return Some(format!("{name} {version}: wants the native library {}", text("links")));
    }
    let licence = text("license").replace('/', " OR ");
    (!allowed(&licence)).then(|| format!("{name} {version}: its licence `{licence}` is not on the list"))
}

/// Whether an SPDX expression can be met: `AND` binds closer than `OR` (SPDX 2.3, annex D.4).
fn allowed(expression: &str) -> bool {
    let expression = expression.trim();
    let any = |at: &str, every: bool| {
        let parts = split(expression, at);
        (parts.len() > 1)
            .then(|| if every { parts.iter().all(|p| allowed(p)) } else { parts.iter().any(|p| allowed(p)) })
    };
    if let Some(met) = any(" OR ", false).or_else(|| any(" AND ", true)) {
        return met;
    }
    match expression.strip_prefix('(').and_then(|e| e.strip_suffix(')')) {
        Some(inner) => allowed(inner),
        None => LICENCES.contains(&expression),
    }
}

/// Split where no parenthesis is open.
fn split<'a>(text: &'a str, at: &str) -> Vec<&'a str> {
    let (mut parts, mut open, mut start) = (Vec::new(), 0, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ if open == 0 && i >= start && text[i..].starts_with(at) => {
                parts.push(&text[start..i]);
                start = i + at.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn licences_are_read_as_spdx_says() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "GPL-2.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "GPL-3.0 AND MIT OR Zlib",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in ["", "GPL-2.0", "MIT AND GPL-2.0", "(GPL-2.0 OR LGPL-2.1) AND MIT", "MIT AND (GPL-2.0)"] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn each_fault_is_found() {
        let good =
            json!({"name": "a", "version": "1.0.0", "source": REGISTRY, "license": "MIT", "links": null});
        assert_eq!(fault(&good, true), None);
        for (field, value) in [
            ("name", "openssl-sys"),
            ("source", "git+https://example.org/a"),
            ("license", "AGPL-3.0"),
            ("links", "z"),
        ] {
            let mut bad = good.clone();
            bad[field] = value.into();
            assert!(fault(&bad, true).is_some(), "{field}");
        }
    }

    #[test]
    fn what_only_benches_and_tests_use_is_not_shipped() {
        let dep = |pkg: &str, kind: Value| json!({"pkg": pkg, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [{"id": "vswd 1", "name": "vswd"}, {"id": "benches 1", "name": "benches"}],
            "resolve": {"nodes": [
                {"id": "vswd 1", "deps": [dep("a", Value::Null), dep("b", "build".into()), dep("c", "dev".into())]},
                {"id": "a", "deps": [dep("d", Value::Null)]},
                {"id": "benches 1", "deps": [dep("e", Value::Null)]},
            ]}
        });
        assert_eq!(shipped(&metadata), HashSet::from(["vswd 1", "a", "b", "d"]));
    }
}
