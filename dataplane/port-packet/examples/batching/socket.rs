//! Packet sockets, and messages for many frames a system call.
//!
//! A socket is open as the port opens its own. It fills queues and checks what others sent, too.

use crate::bench::{BATCH, Step};
use crate::frames::{Frame, Layout, Slots, whole};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use vsw_port::vnet;

// include/uapi/linux/if_packet.h
pub(crate) const PACKET_QDISC_BYPASS: i32 = 20;
const PACKET_IGNORE_OUTGOING: i32 = 23;
/// Bytes that may wait in a socket, either way: more than a section.
const BUFFER: i32 = 32 << 20;

/// A socket that sends to an interface.
pub(crate) fn open(vnet: bool) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: a plain system call; the result is checked. Protocol 0 receives nothing.
    let fd = checked(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: just made for us.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &i32::from(vnet))?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)?;
    set(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &BUFFER)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &BUFFER)?;
    Ok(socket)
}

/// Joins it to an interface, from which it receives everything if it is to receive at all.
pub(crate) fn bind(socket: &OwnedFd, index: u32, receives: bool) -> io::Result<()> {
    // SAFETY: plain data, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = if receives { (libc::ETH_P_ALL as u16).to_be() } else { 0 };
    address.sll_ifindex = index as i32;
    let len = size_of_val(&address) as u32;
    // SAFETY: `address` is as long as said.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
    Ok(())
}

pub(crate) fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as u32;
    // SAFETY: `value` is as long as said.
    let r = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const *value).cast(), len) };
    checked(r).map(drop)
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Room for the tag that the kernel takes out of a frame.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control {
    header: libc::cmsghdr,
    auxdata: libc::tpacket_auxdata,
}

/// A batch of messages, each with its buffers.
pub(crate) struct Messages {
    pub(crate) slots: Slots,
    list: Vec<libc::mmsghdr>,
    control: Vec<Control>,
}

impl Messages {
    pub(crate) fn new(frame: &Frame, header_len: usize, layout: Layout, receive: bool) -> Self {
        let slots = Slots::new(frame, header_len, layout, receive);
        // SAFETY: plain data, for which zero is a value.
        let (message, control) = unsafe { (std::mem::zeroed::<libc::mmsghdr>(), std::mem::zeroed()) };
        let control = vec![control; if receive { BATCH } else { 0 }];
        Self { slots, list: vec![message; BATCH], control }
    }

    /// Message `i`, written anew: calls and requests use it up. Valid until `self` moves or is touched.
    pub(crate) fn prepare(&mut self, i: usize) -> &mut libc::msghdr {
        let message = &mut self.list[i].msg_hdr;
        let iovecs = self.slots.iovecs(i);
        message.msg_iov = iovecs.as_mut_ptr();
        message.msg_iovlen = iovecs.len();
        if let Some(control) = self.control.get_mut(i) {
            message.msg_control = (&raw mut *control).cast();
            message.msg_controllen = size_of::<Control>();
        }
        message.msg_flags = 0;
        message
    }

    /// recvmmsg(2) of a batch.
    pub(crate) fn receive(&mut self, fd: &OwnedFd) -> io::Result<()> {
        (0..BATCH).for_each(|i| _ = self.prepare(i));
        let (list, count) = (self.list.as_mut_ptr(), BATCH as u32);
        let none = std::ptr::null_mut();
        // SAFETY: the messages point to buffers of ours.
        let got = unsafe { libc::recvmmsg(fd.as_raw_fd(), list, count, libc::MSG_DONTWAIT, none) };
        self.moved(got)
    }

    /// sendmmsg(2) of a batch.
    pub(crate) fn send(&mut self, fd: &OwnedFd) -> io::Result<()> {
        (0..BATCH).for_each(|i| _ = self.prepare(i));
        let (list, count) = (self.list.as_mut_ptr(), BATCH as u32);
        // SAFETY: the messages point to buffers of ours.
        let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), list, count, libc::MSG_DONTWAIT) };
        self.moved(sent)
    }

    fn moved(&self, messages: i32) -> io::Result<()> {
        whole(messages as isize, BATCH)?;
        self.list.iter().try_for_each(|m| whole(m.msg_len as isize, self.slots.len))
    }
}

/// Sends copies of a frame out of an interface, past its queueing discipline.
pub(crate) fn filler(index: u32, frame: &Frame) -> io::Result<Step> {
    let socket = open(true)?;
    set(&socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, &1_i32)?;
    bind(&socket, index, false)?;
    let mut messages = Messages::new(frame, vnet::LEN_LEGACY, Layout::Apart, false);
    Ok(Box::new(move |frames| (0..frames / BATCH).try_for_each(|_| messages.send(&socket))))
}

/// Has `run` send a batch, and fails unless just that arrives at the interface.
pub(crate) fn check_sender(index: u32, frame: &Frame, run: &mut Step) -> io::Result<()> {
    let socket = open(true)?;
    bind(&socket, index, true)?;
    let mut messages = Messages::new(frame, vnet::LEN_LEGACY, Layout::Apart, true);
    run(BATCH)?;
    messages.receive(&socket)?;
    messages.slots.check()
}
