//! The run directory: one process of each role in it, and where its clients come in.
//!
//! Who holds the lock on the role's pid file owns its socket. The lock goes with the
//! process, however that ends; the number in the file is for people only, and the file stays, since removing a
//! locked file would let two processes hold "the" lock.
//!
//! [`RunDir::listen`] is the only place that makes connections; another kind of door (TCP with TLS) goes there.

use anyhow::{Context, Result, bail};
use rustix::fs::Mode;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;

/// Who a process is in its run directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// vswd.
    Dataplane,
    /// vswcontrold.
    Control,
}

impl Role {
    pub const fn program(self) -> &'static str {
        match self {
            Self::Dataplane => "vswd",
            Self::Control => "vswcontrold",
        }
    }
    const fn socket(self) -> &'static str {
        match self {
            Self::Dataplane => "datapath.sock",
            Self::Control => "control.sock",
        }
    }
}

/// A run directory that is ours, in our role, until this is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    role: Role,
    _lock: File,
}

impl RunDir {
    /// # Errors
    /// One sentence for people: it cannot be made or written, or another process has it.
    pub fn take(path: &Path, role: Role) -> Result<Self> {
        create_dir(path, 0o755)?;
        let file = path.join(format!("{}.pid", role.program()));
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&file)
            .with_context(|| {
                format!("{}: cannot be written; run as root or choose --run-dir", file.display())
            })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.read_to_string(&mut pid);
                bail!(
                    "run directory {}: another {} (process {}) uses it; stop that one, or give this one its own \
                     --run-dir",
                    path.display(),
                    role.program(),
                    pid.trim()
                );
            }
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("{}: cannot be locked", file.display()));
            }
        }
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { path: path.to_owned(), role, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
    pub fn socket(&self) -> PathBuf {
        self.path.join(self.role.socket())
    }

    /// The clients. A socket that an earlier process left behind makes way. Call in a tokio runtime.
    ///
    /// # Errors
    /// When nothing can listen there.
    pub fn listen(&self) -> Result<UnixListenerStream> {
        let socket = self.socket();
        match std::fs::remove_file(&socket) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("{}: is in the way", socket.display()));
            }
            _ => {}
        }
        // The socket must never be open to others, not even for a moment.
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(&socket);
        rustix::process::umask(before);
        let listener = listener.with_context(|| format!("{}: cannot listen there", socket.display()))?;
        Ok(UnixListenerStream::new(listener))
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.socket());
    }
}

/// Makes a directory if it is not there. One that is there stays as it is.
///
/// # Errors
/// One sentence for people.
pub fn create_dir(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    // Whatever the umask is.
    made.and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))).with_context(
        || format!("directory {}: cannot be made; run as root, or choose another one", path.display()),
    )
}
