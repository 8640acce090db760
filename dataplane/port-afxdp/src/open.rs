//! Opening a port: what is asked of the host, in which order, and what is told when it says no.
//!
//! First everything is looked at ([`survey`]), then changed: settings, program, promiscuous mode, sockets.
//! Each of these undoes itself when dropped, so a failure on the way leaves nothing.
//!
//! Thread-safety: functions; they wait for the kernel.

use crate::attachment::{Attachment, Promiscuous};
use crate::device::Afxdp;
use crate::program::{self, Program};
use crate::queue::{MAX_PARTS, Queue};
use crate::settings::Settings;
use crate::socket::{Binding, Failed, QueueId, Socket, Step};
use std::io;
use std::path::Path;
use std::sync::Arc;
use vsw_mem::{FramePool, SMALL_DATA};
use vsw_port::{OpenPort, PortError, PortQueue, PortSpec};
use vsw_port_os::ethtool::{self, Channels};
use vsw_port_os::link::{Features, Link, Links};
use vsw_port_os::shortcut::{Board, BoardCell};

/// Bytes around the L3 payload: an Ethernet header and two tags.
const L2: usize = 14 + 2 * 4;
/// Slots of a ring.
const FEWEST_ENTRIES: u32 = 64;
const MOST_ENTRIES: u32 = 2048;

/// What there is, before anything is changed.
struct Survey {
    links: Links,
    link: Link,
    driver: String,
    /// Queues that the port will have.
    queues: u32,
    /// The channels for that, where they must be changed, and what they are now.
    channels: Option<(Channels, Channels)>,
}

pub(crate) fn check(spec: &PortSpec) -> Result<(), PortError> {
    survey(spec).map(drop)
}

pub(crate) fn open(
    journals: &Path,
    shortcut: Option<&BoardCell>,
    spec: &PortSpec,
    pool: &'static FramePool,
) -> Result<OpenPort, PortError> {
    let Survey { links, link, driver, queues, channels } = survey(spec)?;
    let name = spec.ifname.as_str();
    let failed = |what: &'static str| move |e: io::Error| os_error(name, what, &e);

    let own = Links::open().map_err(failed("be read"))?;
    let mut settings = Settings::new(journals, own, &link);
    if let Some((was, set)) = channels {
        settings.set_channels(name, was, set).map_err(failed("get other channels"))?;
    }
    settings.set_mtu(spec.mtu.map(u32::from)).map_err(failed("take that MTU"))?;
    let tags_lost = settings.keep_vlan_tags(name).is_err();

    let board = shortcut.and_then(board);
    let program = Program::attach(link.index, queues, board, driver == "veth").map_err(|e| {
        if program::is_taken(&e) {
            let cause = format!("another XDP program is on {name} (`ip link show dev {name}` shows it)");
            return PortError::refused(cause, format!("stop its owner, or `ip link set dev {name} xdp off`"));
        }
        os_error(name, "take an XDP program", &e)
    })?;
    let promiscuous = Promiscuous::new(&link).map_err(failed("be made promiscuous"))?;
    let mtu = spec.mtu.map_or(link.mtu, u32::from);
    let (sockets, binding, why) = bind(pool, &link, queues, &program, mtu)?;
    for (queue, socket) in (0..).zip(&sockets) {
        program.set(queue, socket).map_err(failed("have its frames redirected"))?;
    }

    let mode = mode(&driver, &program, binding, why.as_ref(), tags_lost);
    // Whoever sends through a veth, or to a device that has but the generic hook (a virtual one), may be a
    // kernel that leaves checksums to be finished. What comes from a wire is complete.
    let unfinished = driver == "veth" || program.not_native.is_some();
    let attachment = Arc::new(Attachment::new(program, promiscuous, settings));
    let queue = |(queue, socket)| -> Box<dyn PortQueue> {
        let at = QueueId { ifindex: link.index, queue };
        Box::new(Queue::new(socket, pool, at, binding, unfinished, attachment.clone()))
    };
    let queues = (0..).zip(sockets).map(queue).collect();
    let (ifname, ifindex) = (spec.ifname.clone(), link.index);
    let features = Features::open().ok();
    let device = Box::new(Afxdp { ifname, ifindex, mode, binding, links, features, attachment });
    Ok(OpenPort { device, queues })
}

/// The board of the shortcut, made now if it is not yet. Without one there is no shortcut.
fn board(cell: &BoardCell) -> Option<&Arc<Board>> {
    if cell.get().is_none() {
        let _ = cell.set(Arc::new(Board::new().ok()?));
    }
    cell.get()
}

/// Looks at the interface, and refuses what cannot work.
fn survey(spec: &PortSpec) -> Result<Survey, PortError> {
    let name = spec.ifname.as_str();
    if spec.netns.is_some() {
        let cause = "an afxdp port attaches an interface of the switch's own network namespace";
        return Err(PortError::refused(cause, "leave the namespace out, or use a tap port"));
    }
    let links = Links::open().map_err(|e| os_error(name, "be read", &e))?;
    let link = links.by_name(name).map_err(|e| os_error(name, "be read", &e))?;
    if link.loopback {
        let cause = format!("{name} is a loopback interface");
        return Err(PortError::refused(cause, "attach another one"));
    }
    if let Some(master) = &link.master {
        let cause = format!("{name} belongs to {master}");
        return Err(PortError::refused(
            cause,
            format!("take it out first: `ip link set dev {name} nomaster`"),
        ));
    }
    accepts(spec, &link, true)?;
    // A device without a name for its driver is a plain virtual one.
    let driver = links.driver(name).unwrap_or_else(|_| "of this interface".into());
    let (queues, channels) = match ethtool::channels(&links, name) {
        Ok((now, most)) => divide(name, spec.queues.map(u32::from), now, most)?,
        Err(_) => divide(name, spec.queues.map(u32::from), ONE, ONE)?,
    };
    Ok(Survey { links, link, driver, queues, channels })
}

const ONE: Channels = Channels { rx: 0, tx: 0, combined: 1 };

/// How many queues the port gets, and which channels that needs. Every queue that receives needs a socket,
/// or its traffic would miss the switch; and one that transmits beside it.
fn divide(
    name: &str,
    asked: Option<u32>,
    now: Channels,
    most: Channels,
) -> Result<(u32, Option<(Channels, Channels)>), PortError> {
    let possible = most.combined.max(most.rx.min(most.tx));
    let queues = asked.unwrap_or(now.receiving().min(possible));
    if now.receiving() == queues && now.pairs() == queues {
        return Ok((queues, None));
    }
    let set = now.resized(queues, most).ok_or_else(|| {
        let cause =
            format!("{queues} queues were asked for, but {name} has {} and can have {possible}", now.pairs());
        PortError::refused(cause, format!("ask for 1 to {possible}, or leave the number out"))
    })?;
    Ok((queues, Some((now, set))))
}

/// Whether an AF_XDP port can have the MTU and MAC asked for.
pub(crate) fn accepts(spec: &PortSpec, link: &Link, multi_buffer: bool) -> Result<(), PortError> {
    let name = spec.ifname.as_str();
    if spec.mac.is_some() && spec.mac != link.mac {
        let cause = format!("an afxdp port keeps its interface's address {}", link.mac.unwrap_or_default());
        let remedy = format!("leave the MAC out, or `ip link set dev {name} address ..`");
        return Err(PortError::refused(cause, remedy));
    }
    let mtu = spec.mtu.map_or(link.mtu, u32::from);
    let largest = largest_mtu(multi_buffer);
    if mtu > largest {
        let parts =
            if multi_buffer { "" } else { " without multi-buffer (Linux 6.6 and a driver that has it)" };
        let cause = format!("{name} has an MTU of {mtu}; an afxdp port can have at most {largest}{parts}");
        return Err(PortError::refused(
            cause,
            format!("`ip link set dev {name} mtu {largest}`, or set the port's"),
        ));
    }
    Ok(())
}

fn largest_mtu(multi_buffer: bool) -> u32 {
    let parts = if multi_buffer { MAX_PARTS } else { 1 };
    (parts * SMALL_DATA - L2) as u32
}

/// Opens a socket for every queue, in the best mode in which all of them can be. Also what the kernel said
/// to zero-copy.
fn bind(
    pool: &FramePool,
    link: &Link,
    queues: u32,
    program: &Program,
    mtu: u32,
) -> Result<(Vec<Socket>, Binding, Option<io::Error>), PortError> {
    let entries = entries(pool, queues);
    let needs_parts = mtu > largest_mtu(false);
    let refused = || {
        let cause = format!(
            "{} has an MTU of {mtu}, and its driver or the kernel has no multi-buffer AF_XDP; the largest is {}",
            link.name,
            largest_mtu(false)
        );
        PortError::refused(cause, "set a smaller MTU, or use a packet port")
    };
    let (mut why, mut last) = (None, refused());
    for (zero_copy, multi_buffer) in [(true, true), (true, false), (false, true), (false, false)] {
        let impossible = zero_copy && program.not_native.is_some() || multi_buffer && !program.frags;
        if impossible || needs_parts && !multi_buffer {
            continue;
        }
        let binding = Binding { zero_copy, multi_buffer };
        let open = |queue| Socket::open(QueueId { ifindex: link.index, queue }, pool, entries, binding);
        match (0..queues).map(open).collect::<Result<Vec<_>, _>>() {
            Ok(sockets) => return Ok((sockets, binding, why)),
            Err(failed) if failed.step != Step::Bind => return Err(socket_error(link, failed)),
            Err(failed) if zero_copy => why = Some(failed.error),
            Err(failed) if needs_parts && failed.error.raw_os_error() == Some(libc::EINVAL) => {
                last = refused()
            }
            Err(failed) => last = socket_error(link, failed),
        }
    }
    Err(last)
}

/// Slots of each ring: a queue at rest holds that many chunks, so that 32 queues take all of the pool.
fn entries(pool: &FramePool, queues: u32) -> u32 {
    let share = (pool.size().small / 32 / queues.max(1)).clamp(FEWEST_ENTRIES, MOST_ENTRIES);
    1 << share.ilog2()
}

/// The mode in words, and why it is not a better one.
fn mode(
    driver: &str,
    program: &Program,
    binding: Binding,
    no_zero_copy: Option<&io::Error>,
    tags_lost: bool,
) -> String {
    let refusal = |e: &io::Error, what: &str| match e.raw_os_error() {
        Some(libc::EOPNOTSUPP) => format!("the driver {driver} has no {what}"),
        // drivers/net/veth.c, `veth_xdp_set`.
        Some(libc::ENOSPC) if driver == "veth" => {
            format!(
                "the driver veth has no {what} while the other end sends by more queues than this one has"
            )
        }
        _ => format!("the driver {driver} refused {what} ({e})"),
    };
    let hook = if program.not_native.is_some() { "generic" } else { "native" };
    let copy = if binding.zero_copy { "zero-copy" } else { "copy" };
    let parts = if binding.multi_buffer { ", multi-buffer" } else { "" };
    let why = match (&program.not_native, no_zero_copy) {
        (Some(e), _) => format!(": {}", refusal(e, "native XDP")),
        (None, Some(e)) if !binding.zero_copy => format!(": {}", refusal(e, "zero-copy")),
        _ => String::new(),
    };
    let tags =
        if tags_lost { "; received VLAN tags are lost: the driver insists on taking them off" } else { "" };
    format!("{hook}, {copy}{parts}{why}{tags}")
}

/// What the operator is told of an error with an interface: it could not `what`.
pub(crate) fn os_error(name: &str, what: &str, e: &io::Error) -> PortError {
    match e.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => {
            PortError::missing(format!("there is no interface {name}"), "it is attached when it appears")
        }
        Some(libc::EPERM | libc::EACCES) => PortError::refused(
            format!("{name} cannot {what}: {e}"),
            "the switch needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK",
        ),
        _ => PortError::refused(
            format!("{name} cannot {what}: {e}"),
            "change the port's or the interface's settings",
        ),
    }
}

fn socket_error(link: &Link, Failed { step, error }: Failed) -> PortError {
    let name = &link.name;
    match (step, error.raw_os_error()) {
        (Step::Create, Some(libc::EAFNOSUPPORT)) => {
            PortError::refused("this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)", "use a packet port")
        }
        (Step::Register, Some(libc::ENOBUFS)) => PortError::refused(
            "the frame pool is more than this process may lock in memory",
            "give it CAP_IPC_LOCK, or raise its RLIMIT_MEMLOCK",
        ),
        (Step::Bind, Some(libc::EBUSY)) => PortError::refused(
            format!("a queue of {name} has an AF_XDP socket of somebody else"),
            "stop its owner (`ss --xdp` shows it)",
        ),
        _ => os_error(name, "have an AF_XDP socket", &error),
    }
}
