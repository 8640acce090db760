//! One AF_XDP socket with its own registration of the pool's UMEM and its four rings.
//!
//! The area is registered once per socket, never with XDP_SHARED_UMEM, which would force the copy mode of
//! one port on all others (net/xdp/xsk_buff_pool.c, `xp_assign_dev_shared`). An address means the same
//! chunk in every registration, so a descriptor received by one socket can be sent by another.
//!
//! Closing a socket ends reception (`xsk_unbind_dev`), but what the kernel calls the buffer pool goes later,
//! from a work item (`xp_release_deferred`): only then does a zero-copy driver let go of its chunks, and
//! only then can the queue be bound again. So binding waits a moment for a busy queue, and
//! [`wait_until_released`] tells when it is free.
//!
//! Thread-safety: a socket is moved between threads as a whole.

use crate::ring::{Consumer, Layout, Producer};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use vsw_mem::{FramePool, SMALL};

/// How long a queue that is bound already may take to become free.
const BUSY_PATIENCE: Duration = Duration::from_secs(1);
/// How long a closed socket's buffer pool is waited for. Its release needs no more than a turn of the
/// kernel's workqueue and of the RTNL lock.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// An NIC queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueId {
    pub(crate) ifindex: u32,
    pub(crate) queue: u32,
}

/// How a socket came to be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) zero_copy: bool,
    /// Frames of more than one chunk (XDP_USE_SG, since Linux 6.6).
    pub(crate) multi_buffer: bool,
}

/// An open and bound socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) fill: Producer<u64, Mapping>,
    pub(crate) completion: Consumer<u64, Mapping>,
    pub(crate) rx: Consumer<libc::xdp_desc, Mapping>,
    pub(crate) tx: Producer<libc::xdp_desc, Mapping>,
    fd: OwnedFd,
}

/// A step that failed, and what the kernel said.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Register,
    Rings,
    Bind,
}

impl Step {
    fn failed(self) -> impl Fn(io::Error) -> Failed {
        move |error| Failed { step: self, error }
    }
}

impl Socket {
    /// Opens a socket on a queue with rings of `entries` slots, bound as `binding` says.
    pub(crate) fn open(
        at: QueueId,
        pool: &FramePool,
        entries: u32,
        binding: Binding,
    ) -> Result<Self, Failed> {
        let fd = create().map_err(Step::Create.failed())?;
        register(fd.as_fd(), pool.umem()).map_err(Step::Register.failed())?;
        let rings = rings(fd.as_fd(), entries).map_err(Step::Rings.failed())?;
        bind(fd.as_fd(), at, flags(binding)).map_err(Step::Bind.failed())?;
        if binding.zero_copy {
            // Faster, where it can be had; all else is the same without.
            let _ = prefer_busy_polling(fd.as_fd());
        }
        let (fill, completion, rx, tx) = rings;
        Ok(Self { fill, completion, rx, tx, fd })
    }

    /// Frames that came and found no chunk in the fill ring, or no slot in the RX ring, since the socket
    /// was opened.
    pub(crate) fn lost(&self) -> io::Result<u64> {
        // SAFETY: plain integers, for which zero is a value.
        let mut all: libc::xdp_statistics = unsafe { zeroed() };
        option(self.fd.as_fd(), libc::XDP_STATISTICS, &mut all)?;
        // `rx_fill_ring_empty_descs` counts attempts to find a chunk, not frames; a frame that died of it
        // is in `rx_dropped` (net/xdp/xsk.c, `__xsk_rcv`).
        Ok(all.rx_dropped + all.rx_ring_full)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until the kernel has no buffer pool for the queue any more. Returns after ten seconds also if it
/// has one: then it is that of a later socket of ours, opened on the queue as soon as it was free.
pub(crate) fn wait_until_released(at: QueueId, pool: &FramePool) {
    // A queue takes one pool at a time: a probe with a UMEM of two chunks, none of which it ever offers
    // to the kernel, can be bound when the other is gone.
    let (base, _) = pool.umem();
    let probe = || -> io::Result<()> {
        let fd = create()?;
        register(fd.as_fd(), (base, 2 * SMALL))?;
        let _rings = rings(fd.as_fd(), 2)?;
        bind_once(fd.as_fd(), at, libc::XDP_COPY)
    };
    let end = Instant::now() + RELEASE_PATIENCE;
    while Instant::now() < end && probe().is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY)) {
        std::thread::sleep(POLL);
    }
}

fn flags(binding: Binding) -> u16 {
    let mode = if binding.zero_copy { libc::XDP_ZEROCOPY } else { libc::XDP_COPY };
    let more = if binding.multi_buffer { libc::XDP_USE_SG } else { 0 };
    libc::XDP_USE_NEED_WAKEUP | mode | more
}

/// Has a NIC's driver work in our calls (`sendto`) rather than beside us in interrupts, which on one core
/// fight with the worker for the CPU (Documentation/networking/napi.rst, busy polling; Linux 5.11). The
/// interrupts stay on unless the host defers them (`napi_defer_hard_irqs`, `gro_flush_timeout`), so a
/// sleeping worker is woken as ever.
fn prefer_busy_polling(fd: BorrowedFd<'_>) -> io::Result<()> {
    const MICROSECONDS: i32 = 20;
    const FRAMES: i32 = 64;
    let set = |option, value: i32| set_socket_option(fd.as_raw_fd(), libc::SOL_SOCKET, option, &value);
    set(libc::SO_PREFER_BUSY_POLL, 1)?;
    set(libc::SO_BUSY_POLL, MICROSECONDS)?;
    set(libc::SO_BUSY_POLL_BUDGET, FRAMES)
}

fn create() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    match unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel just made this descriptor for us.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

fn register(fd: BorrowedFd<'_>, (base, bytes): (NonNull<u8>, usize)) -> io::Result<()> {
    let area = libc::xdp_umem_reg {
        addr: base.as_ptr().expose_provenance() as u64,
        len: bytes as u64,
        chunk_size: SMALL as u32,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    set_option(fd, libc::XDP_UMEM_REG, &area)
}

type Rings = (
    Producer<u64, Mapping>,
    Consumer<u64, Mapping>,
    Consumer<libc::xdp_desc, Mapping>,
    Producer<libc::xdp_desc, Mapping>,
);

fn rings(fd: BorrowedFd<'_>, entries: u32) -> io::Result<Rings> {
    let kinds =
        [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING];
    for kind in kinds {
        set_option(fd, kind, &entries)?;
    }
    // SAFETY: plain integers, for which zero is a value.
    let mut at: libc::xdp_mmap_offsets = unsafe { zeroed() };
    option(fd, libc::XDP_MMAP_OFFSETS, &mut at)?;
    let (fill, m0) = map::<u64>(fd, &at.fr, entries, libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t)?;
    let (completion, m1) =
        map::<u64>(fd, &at.cr, entries, libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t)?;
    let (rx, m2) = map::<libc::xdp_desc>(fd, &at.rx, entries, libc::XDP_PGOFF_RX_RING)?;
    let (tx, m3) = map::<libc::xdp_desc>(fd, &at.tx, entries, libc::XDP_PGOFF_TX_RING)?;
    Ok((Producer::new(fill, m0), Consumer::new(completion, m1), Consumer::new(rx, m2), Producer::new(tx, m3)))
}

/// Ring memory, mapped from a socket; it outlives the socket's descriptor.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; the ring that used it is being dropped.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

fn map<T>(
    fd: BorrowedFd<'_>,
    at: &libc::xdp_ring_offset,
    entries: u32,
    which: libc::off_t,
) -> io::Result<(Layout<T>, Mapping)> {
    let bytes = at.desc as usize + entries as usize * size_of::<T>();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let how = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: a fresh mapping aliases nothing; the result is checked.
    let p = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, how, fd.as_raw_fd(), which) };
    if p == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let base = NonNull::new(p.cast::<u8>()).ok_or_else(|| io::Error::other("mmap returned the zero page"))?;
    let mapping = Mapping { base, bytes };
    // SAFETY: the kernel says that these parts are in the mapping, which lives as long as the ring; one
    // ring is made of it.
    let layout = unsafe {
        let index = |offset: u64| base.add(offset as usize).cast::<AtomicU32>();
        let slots = base.add(at.desc as usize).cast::<T>();
        Layout::new(index(at.producer), index(at.consumer), index(at.flags), slots, entries)
    };
    Ok((layout, mapping))
}

/// Binds, and waits a moment for a queue whose earlier socket is not quite gone.
fn bind(fd: BorrowedFd<'_>, at: QueueId, flags: u16) -> io::Result<()> {
    let end = Instant::now() + BUSY_PATIENCE;
    loop {
        match bind_once(fd, at, flags) {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < end => {
                std::thread::sleep(POLL);
            }
            result => return result,
        }
    }
}

fn bind_once(fd: BorrowedFd<'_>, at: QueueId, flags: u16) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: at.ifindex,
        sxdp_queue_id: at.queue,
        sxdp_shared_umem_fd: 0,
    };
    let length = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    // SAFETY: the address is as long as said.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })
}

fn set_option<T>(fd: BorrowedFd<'_>, option: i32, value: &T) -> io::Result<()> {
    set_socket_option(fd.as_raw_fd(), libc::SOL_XDP, option, value)
}

pub(crate) fn set_socket_option<T>(fd: RawFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is as long as said; the kernel only reads it.
    check(unsafe { libc::setsockopt(fd, level, option, std::ptr::from_ref(value).cast(), length) })
}

/// `T` is one of the kernel's plain structures of integers.
fn option<T>(fd: BorrowedFd<'_>, option: i32, value: &mut T) -> io::Result<()> {
    let mut length = size_of::<T>() as libc::socklen_t;
    let to = std::ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most `length` bytes, all of which make a valid `T`.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, to, &mut length) })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No NIC with zero-copy is at hand where this is tested; that the kernel takes the options is.
    #[test]
    fn busy_polling_is_asked_for() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root: busy_polling_is_asked_for");
            return;
        }
        let fd = create().unwrap();
        prefer_busy_polling(fd.as_fd()).unwrap();
        let mut value = 0_i32;
        let mut length = 4;
        // SAFETY: the kernel writes at most four bytes, as long as the integer is.
        check(unsafe {
            let to = (&raw mut value).cast();
            libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, to, &mut length)
        })
        .unwrap();
        assert_eq!(value, 1);
    }
}
