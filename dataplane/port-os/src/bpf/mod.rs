//! The few bpf(2) commands that ports need, without a library and without an ELF file.
//!
//! Programs are assembled by hand, the longer ones with [`asm`]; each is loaded by a test. Links (BPF_LINK_CREATE) detach
//! when their descriptor is closed, so a killed process leaves nothing behind.
//! Layouts: `union bpf_attr`, `include/uapi/linux/bpf.h`.

pub mod asm;
pub mod maps;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction: `struct bpf_insn`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Insn {
    code: u8,
    /// Destination in the low, source in the high four bits.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Insn {
    pub const fn new(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: dst | src << 4, offset, immediate }
    }
    /// `r0 = value; exit`: a program of one answer.
    pub const fn answer(value: i32) -> [Self; 2] {
        [Self::new(0xb7, 0, 0, 0, value), Self::new(0x95, 0, 0, 0, 0)]
    }
}

/// `enum bpf_prog_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProgramType {
    /// BPF_PROG_TYPE_SCHED_CLS: tc and tcx.
    Tc = 3,
    /// BPF_PROG_TYPE_XDP.
    Xdp = 6,
}

/// `enum bpf_attach_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum AttachType {
    /// BPF_XDP; since Linux 5.9.
    Xdp = 37,
    /// BPF_TCX_INGRESS; since Linux 6.6.
    TcxIngress = 46,
}

/// `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum MapType {
    /// BPF_MAP_TYPE_HASH: bytes -> bytes.
    Hash = 1,
    /// BPF_MAP_TYPE_ARRAY: number -> value.
    Array = 2,
    /// BPF_MAP_TYPE_PERCPU_ARRAY: number -> a value for each CPU.
    PerCpuArray = 6,
    /// BPF_MAP_TYPE_ARRAY_OF_MAPS: number -> map.
    ArrayOfMaps = 12,
    /// BPF_MAP_TYPE_DEVMAP: number -> interface.
    DevMap = 14,
    /// BPF_MAP_TYPE_XSKMAP: queue number -> AF_XDP socket.
    XskMap = 17,
}

const MAP_CREATE: i32 = 0;
const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;
const LINK_CREATE: i32 = 28;

/// `union bpf_attr`, as far as these commands reach.
type Attr = [u64; 18];

fn bpf(command: i32, attr: &mut Attr) -> io::Result<i32> {
    // SAFETY: `attr` is as large as said, and the callers put only addresses into it that stay valid for
    // the call.
    let r = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of::<Attr>()) };
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r as i32) }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Two 32-bit fields of `bpf_attr` in the order of memory.
const fn pair(first: u32, second: u32) -> u64 {
    first as u64 | (second as u64) << 32
}

/// Loads a program. `flags`: BPF_F_* of the program.
///
/// # Errors
/// EPERM without the capability; EINVAL or EACCES when the verifier refuses it.
pub fn load(kind: ProgramType, program: &[Insn], flags: u32) -> io::Result<OwnedFd> {
    let license = c"Dual MIT/GPL";
    let mut attr = [0; 18];
    attr[0] = pair(kind as u32, program.len() as u32);
    attr[1] = program.as_ptr().addr() as u64;
    attr[2] = license.as_ptr().addr() as u64;
    attr[5] = pair(0, flags); // kern_version, prog_flags
    bpf(PROG_LOAD, &mut attr).map(owned)
}

/// Attaches a program to an interface until the returned descriptor is closed. `flags`: XDP_FLAGS_* for
/// XDP.
///
/// # Errors
/// EBUSY or EEXIST when something else is attached; EOPNOTSUPP when the driver cannot do it; EINVAL on
/// kernels that do not know the attach type.
pub fn attach(program: BorrowedFd<'_>, ifindex: u32, to: AttachType, flags: u32) -> io::Result<OwnedFd> {
    let mut attr = [0; 18];
    attr[0] = pair(program.as_raw_fd() as u32, ifindex);
    attr[1] = pair(to as u32, flags);
    bpf(LINK_CREATE, &mut attr).map(owned)
}

/// Runs an XDP program once on a copy of `frame`, and returns its answer, which nothing is done about.
///
/// # Errors
/// EINVAL for a frame shorter than an Ethernet header or longer than a page takes.
pub fn run_once(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    let mut attr = [0; 18];
    attr[0] = program.as_raw_fd() as u64;
    attr[1] = pair(frame.len() as u32, 0);
    attr[2] = frame.as_ptr().addr() as u64;
    attr[4] = pair(1, 0);
    bpf(PROG_TEST_RUN, &mut attr)?;
    Ok((attr[0] >> 32) as u32)
}

/// Runs an XDP program `repeat` times, each time on a frame of its own that begins as a copy of `frame`,
/// and does with that what the program says: BPF_F_TEST_XDP_LIVE_FRAMES, since Linux 5.18
/// (`Documentation/bpf/bpf_prog_run.rst`). Interfaces are those of the calling thread's namespace. Blocks
/// until all have run, on the calling thread's CPU, and then for an RCU grace period. `batch` frames are made
/// before the first of them leaves, at most 256.
///
/// # Errors
/// EINVAL for a frame shorter than an Ethernet header or longer than a page takes, and on older kernels;
/// EINTR when a signal came.
pub fn run_live(program: BorrowedFd<'_>, frame: &[u8], repeat: u32, batch: u32) -> io::Result<()> {
    const LIVE_FRAMES: u32 = 1 << 1;
    let mut attr = [0; 18];
    attr[0] = program.as_raw_fd() as u64;
    attr[1] = pair(frame.len() as u32, 0);
    attr[2] = frame.as_ptr().addr() as u64;
    attr[4] = pair(repeat, 0);
    attr[8] = pair(LIVE_FRAMES, 0);
    attr[9] = pair(batch, 0);
    bpf(PROG_TEST_RUN, &mut attr).map(drop)
}
