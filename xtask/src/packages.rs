//! The host's tools that tests and demo need, from Debian's packages.

use crate::run::{is_root, program};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Stdio;

/// Programs, and the packages that have them.
const ALL: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("tcpdump", "tcpdump"),
    ("ethtool", "ethtool"),
    ("iperf3", "iperf3"),
    ("dpdk-testpmd", "dpdk-dev"),
];

/// Makes sure that these programs are there: installs their packages, or names them.
pub(crate) fn need(programs: &[&str]) -> Result<()> {
    let missing: Vec<&str> = ALL
        .iter()
        .filter(|(p, _)| programs.contains(p) && !is_there(p))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !is_root() || !is_there("apt-get") {
        bail!("this needs the Debian packages {}; install them with `{install}` as root", missing.join(", "));
    }
    println!("Installing the Debian packages {}", missing.join(", "));
    // A machine that was never updated has no lists yet; one without a network may have the package cached.
    let quiet = |line: &str| {
        let mut words = line.split(' ');
        let mut apt = program(words.next().unwrap_or_default(), words);
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).stderr(Stdio::null());
        apt.status().is_ok_and(|s| s.success())
    };
    let done = quiet(&install) || (quiet("apt-get update") && quiet(&install));
    if !done {
        bail!("the Debian packages {} could not be installed; try `{install}` by hand", missing.join(", "));
    }
    Ok(())
}

/// Makes the guest for the tests with virtual machines, if it can be made here; otherwise says why not, and
/// those tests are skipped.
pub(crate) fn guest() {
    println!("== a guest for virtual machines (Debian packages and QEMU, kept in the user's cache)");
    match program("tests/guest/make-guest", [""; 0]).stdout(Stdio::null()).stderr(Stdio::piped()).output() {
        Ok(made) if made.status.success() => {}
        Ok(failed) => println!("   {}", String::from_utf8_lossy(&failed.stderr).trim()),
        Err(e) => println!("   tests/guest/make-guest cannot be run: {e}"),
    }
}

/// Whether it is on the path; `/usr/sbin` is not on everybody's.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([Path::new("/usr/sbin").into(), Path::new("/sbin").into()]);
    dirs.into_iter().any(|dir| dir.join(program).is_file())
}
