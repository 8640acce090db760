//! Batches by io_uring: so many requests, one system call.

use crate::frames::whole;
use io_uring::{IoUring, squeue};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A ring for one descriptor. Requests run in the thread that submits them, in their order, and complete
/// when that waits for them (IORING_SETUP_DEFER_TASKRUN, since Linux 6.1).
pub(crate) struct Uring {
    pub(crate) ring: IoUring,
    /// What requests call the descriptor.
    fd: i32,
    registered: bool,
}

impl Uring {
    /// With `registered`, the kernel looks the descriptor up only once.
    pub(crate) fn new(fd: &OwnedFd, entries: u32, registered: bool) -> io::Result<Self> {
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries)?;
        if registered {
            ring.submitter().register_files(&[fd.as_raw_fd()])?;
        }
        Ok(Self { ring, fd: if registered { 0 } else { fd.as_raw_fd() }, registered })
    }

    pub(crate) fn fd(&self) -> io_uring::types::Fd {
        io_uring::types::Fd(self.fd)
    }

    /// The request as it has to be for this descriptor.
    pub(crate) fn entry(&self, entry: squeue::Entry) -> squeue::Entry {
        if self.registered { entry.flags(squeue::Flags::FIXED_FILE) } else { entry }
    }

    /// Submits requests and waits for all: each has to move `len` bytes.
    ///
    /// # Safety
    /// Everything the requests point to is valid until this returns.
    pub(crate) unsafe fn run(&mut self, entries: &[squeue::Entry], len: usize) -> io::Result<()> {
        // SAFETY: the caller's promise; after an error of the wait the ring is not used any more.
        unsafe { self.ring.submission().push_multiple(entries) }.map_err(io::Error::other)?;
        self.ring.submit_and_wait(entries.len())?;
        let mut all = Ok(());
        for completion in self.ring.completion() {
            let result = completion.result();
            let one = if result < 0 {
                Err(io::Error::from_raw_os_error(-result))
            } else {
                whole(result as isize, len)
            };
            all = all.and(one);
        }
        all
    }
}
