//! Network namespaces, as files that stand for them: `/run/netns/NAME` or `/proc/PID/ns/net`.
//!
//! A thread that enters a namespace never comes back; it ends. So no namespace but its own is ever the
//! caller's. All functions may be called from any thread.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which namespace it is: equal for two files that stand for the same one, and never used again as long
/// as anybody (a socket in it, for example) keeps that alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// The namespace that the file stands for now.
///
/// # Errors
/// NotFound when it is gone, or its process.
pub fn identity(file: &Path) -> io::Result<Identity> {
    let meta = fs::metadata(file)?;
    Ok(Identity { device: meta.dev(), inode: meta.ino() })
}

/// Runs `f` in a namespace, on a thread of its own, and waits for it.
///
/// # Errors
/// When the namespace cannot be entered: NotFound without the file; EINVAL when the file stands for no
/// network namespace; EPERM without CAP_SYS_ADMIN. `f` was not called then.
pub fn run_in<T: Send>(file: &Path, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = File::open(file)?;
    std::thread::scope(|scope| {
        let entered = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(f())
        })?;
        entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What people call it: "network namespace `blue`".
pub fn describe(file: &Path) -> String {
    if let Some(name) = named(file) {
        return format!("network namespace `{name}`");
    }
    match process(file) {
        Some(pid) => format!("the network namespace of process {pid}"),
        None => format!("the network namespace {}", file.display()),
    }
}

/// Why it cannot be entered and what to do, for the error of [`run_in`] or [`identity`].
pub fn explain(file: &Path, error: &io::Error) -> (String, String) {
    let what = describe(file);
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, _) => match (named(file), process(file)) {
            (Some(name), _) => (
                format!("{what} does not exist ({})", file.display()),
                format!("create it with `ip netns add {name}`"),
            ),
            (_, Some(pid)) => (format!("there is no process {pid}"), "name one that runs".into()),
            _ => (format!("{what} does not exist"), "create it".into()),
        },
        (_, Some(libc::EINVAL)) => (
            format!("{} is a file but stands for no network namespace", file.display()),
            "remove it and create the namespace again with `ip netns add`".into(),
        ),
        (io::ErrorKind::PermissionDenied, _) => (
            format!("entering {what} is not allowed"),
            "run as root, or with CAP_SYS_ADMIN and CAP_SYS_PTRACE".into(),
        ),
        _ => (format!("{what} cannot be entered: {error}"), "see `ip netns`".into()),
    }
}

fn named(file: &Path) -> Option<&str> {
    let name = file.strip_prefix("/run/netns").or_else(|_| file.strip_prefix("/var/run/netns")).ok()?;
    name.to_str()
}

fn process(file: &Path) -> Option<&str> {
    file.strip_prefix("/proc").ok()?.to_str()?.strip_suffix("/ns/net")
}
