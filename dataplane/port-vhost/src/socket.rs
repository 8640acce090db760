//! The two ways to a front end: its socket, to which we connect, and ours, at which it does.
//!
//! Nothing here waits: a Unix socket connects at once or not at all.

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};
use std::fs::Permissions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use vsw_port::PortError;

/// `sun_path` less its end, unix(7).
pub(crate) const LONGEST_PATH: usize = 107;
/// Front ends that may wait while one is served.
const BACKLOG: i32 = 4;

fn stream() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// A connection to who listens there.
pub(crate) fn dial(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = stream()?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Whether somebody may come to listen there by itself.
pub(crate) fn may_come(e: Errno) -> bool {
    // AGAIN: it listens, but is not quick to accept.
    matches!(e, Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN | Errno::INTR)
}

/// Our socket, and its file, which goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Somebody may have put another one there.
        if look(&self.path).is_ok_and(|stat| identity(&stat) == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn look(path: &Path) -> Result<Stat, Errno> {
    rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Whether a socket can be made there. Changes nothing.
///
/// # Errors
/// When something is in its place that is no socket, or at which somebody listens.
pub(crate) fn check(path: &Path) -> Result<(), PortError> {
    let name = path.display();
    match look(path) {
        Err(_) => Ok(()),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => Err(PortError::refused(
            format!("{name} exists and is no socket"),
            "choose another path with --socket, or remove it",
        )),
        // What nobody listens at was left by a process that was killed.
        Ok(_) => match dial(path) {
            Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
            _ => Err(PortError::refused(
                format!("another process listens at {name}"),
                "end it, choose another path with --socket, or connect to it with --mode client",
            )),
        },
    }
}

impl Listener {
    /// # Errors
    /// `Refused` as [`check`], `Missing` when the folder is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, PortError> {
        check(path)?;
        let name = path.display();
        let failed = |e: Errno| match e {
            Errno::NOENT | Errno::NOTDIR => {
                PortError::missing(format!("there is no folder for the socket {name}"), "make it")
            }
            Errno::ACCESS | Errno::PERM | Errno::ROFS => PortError::refused(
                format!("a socket {name} cannot be made: {e}"),
                "choose another path with --socket",
            ),
            _ => PortError::missing(format!("a socket {name} cannot be made: {e}"), "it is tried again"),
        };
        if look(path).is_ok() {
            std::fs::remove_file(path).map_err(|e| failed(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        }
        let socket = stream().map_err(failed)?;
        bind(&socket, &SocketAddrUnix::new(path).map_err(failed)?).map_err(failed)?;
        let stat = look(path).map_err(failed)?;
        let listener = Self { socket, path: path.to_owned(), file: identity(&stat) };
        // Whoever connects is on the network: nobody but us, until the operator says otherwise.
        let owner_only = Mode::RUSR | Mode::WUSR;
        std::fs::set_permissions(path, Permissions::from_mode(owner_only.as_raw_mode()))
            .map_err(|e| failed(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        listen(&listener.socket, BACKLOG).map_err(failed)?;
        Ok(listener)
    }

    pub(crate) fn accept(&self) -> Result<OwnedFd, Errno> {
        accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_uses_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        let first = Listener::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let e = Listener::open(&path).unwrap_err().to_string();
        assert!(e.contains("another process listens"), "{e}");
        dial(&path).unwrap();
        // As a killed process leaves it.
        let stale = folder.path().join("stale.sock");
        std::fs::rename(&path, &stale).unwrap();
        drop(first);
        let second = Listener::open(&stale).unwrap();
        drop(second);
        assert!(!stale.exists());
        std::fs::write(&path, "a file of somebody's").unwrap();
        let e = Listener::open(&path).unwrap_err().to_string();
        assert!(e.contains("is no socket"), "{e}");
        assert!(path.exists());
        let e = Listener::open(&folder.path().join("none/p.sock")).unwrap_err();
        assert!(matches!(e, PortError::Missing { .. }), "{e}");
    }

    #[test]
    fn a_file_that_took_our_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        let ours = Listener::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "somebody's").unwrap();
        drop(ours);
        assert!(path.exists());
    }
}
