//! Folders in which sockets may appear.
//!
//! Thread-safety: owned by the service thread.

use rustix::fs::inotify;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// As the kernel names a watched folder.
pub(crate) type Folder = i32;

/// See the module.
#[derive(Debug)]
pub(crate) struct Folders(OwnedFd);

impl Folders {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The folder's name; the same each time. `None`: it cannot be watched, or is not there.
    pub(crate) fn watch(&self, folder: &Path) -> Option<Folder> {
        let what = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::ONLYDIR;
        inotify::add_watch(&self.0, folder, what).ok()
    }

    /// Nobody waits there any more, except perhaps `others`.
    pub(crate) fn leave(&self, folder: Option<Folder>, mut others: impl Iterator<Item = Folder>) {
        if let Some(folder) = folder
            && !others.any(|other| other == folder)
        {
            // It may be gone itself.
            let _ = inotify::remove_watch(&self.0, folder);
        }
    }

    /// Calls `appeared` for each file that appeared.
    pub(crate) fn read(&mut self, mut appeared: impl FnMut(Folder, &OsStr)) {
        let mut room = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut room);
        while let Ok(event) = reader.next() {
            if let Some(name) = event.file_name() {
                appeared(event.wd(), OsStr::from_bytes(name.to_bytes()));
            }
        }
    }
}
