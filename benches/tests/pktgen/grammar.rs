//! What the control files of pktgen take, as far as Linux 6.1 does; stricter where the kernel is lenient without a word.
//!
//! Sources: Linux 6.1, net/core/pktgen.c (`pgctrl_write`, `pktgen_thread_write`, `pktgen_if_write`) and
//! Documentation/networking/pktgen.rst. The kernel reads at most ten digits, raises sizes that are too small, ignores
//! what follows a number, and answers some wrong values with success: all these are errors here. IPv6, MPLS and IPsec
//! are not covered: their commands count as unknown.
//!
//! Pure functions over one recorded run; no state outlives a call.

use super::fake::Write;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Headers of Ethernet, IPv4 and UDP, and pktgen's own in the payload: what the kernel never goes below, in bytes.
const LEAST_FRAME: u64 = 14 + 20 + 8 + 16;
const TAG: u64 = 4;
/// What fits into `name@cpu` (`odevname`), without the final zero.
const LONGEST_DEVICE: usize = 31;
const MOST_IMIX: usize = 20;
const TEN_DIGITS: u64 = 9_999_999_999;

/// Flags of 6.1; `IPV6` can only be taken away, `SHARED` came later. `FLOW_RND` is the opposite of `FLOW_SEQ`.
const FLAGS: [&str; 18] = [
    "IPSRC_RND",
    "IPDST_RND",
    "TXSIZE_RND",
    "UDPSRC_RND",
    "UDPDST_RND",
    "UDPCSUM",
    "NO_TIMESTAMP",
    "MPLS_RND",
    "QUEUE_MAP_RND",
    "QUEUE_MAP_CPU",
    "FLOW_SEQ",
    "FLOW_RND",
    "IPSEC",
    "MACSRC_RND",
    "MACDST_RND",
    "VID_RND",
    "SVID_RND",
    "NODE",
];

/// The form of a command's arguments.
#[derive(Clone, Copy)]
enum Form {
    None,
    Number(u64, u64),
    Hex2,
    Mac,
    Ip,
    Flag,
    Imix,
    Mode,
}

/// The commands of a device file.
const DEVICE: [(&str, Form); 41] = [
    ("burst", Form::Number(1, 65_535)),
    ("clear_counters", Form::None),
    ("clone_skb", Form::Number(0, 2_147_483_647)),
    ("count", Form::Number(0, TEN_DIGITS)),
    ("debug", Form::Number(0, 1)),
    ("delay", Form::Number(0, TEN_DIGITS)),
    ("dst", Form::Ip),
    ("dst_mac", Form::Mac),
    ("dst_mac_count", Form::Number(0, 4_294_967_295)),
    ("dst_max", Form::Ip),
    ("dst_min", Form::Ip),
    ("flag", Form::Flag),
    ("flowlen", Form::Number(0, 4_294_967_295)),
    ("flows", Form::Number(0, 65_536)),
    ("frags", Form::Number(0, 17)),
    ("imix_weights", Form::Imix),
    ("max_pkt_size", Form::Number(LEAST_FRAME, 65_549)),
    ("min_pkt_size", Form::Number(LEAST_FRAME, 65_549)),
    ("node", Form::Number(0, 1023)),
    ("pkt_size", Form::Number(LEAST_FRAME, 65_549)),
    ("queue_map_max", Form::Number(0, 65_535)),
    ("queue_map_min", Form::Number(0, 65_535)),
    ("rate", Form::Number(1, TEN_DIGITS)),
    ("ratep", Form::Number(1, 1_000_000_000)),
    ("skb_priority", Form::Number(0, 999_999_999)),
    ("src_mac", Form::Mac),
    ("src_mac_count", Form::Number(0, 4_294_967_295)),
    ("src_max", Form::Ip),
    ("src_min", Form::Ip),
    ("svlan_cfi", Form::Number(0, 1)),
    ("svlan_id", Form::Number(0, 4095)),
    ("svlan_p", Form::Number(0, 7)),
    ("tos", Form::Hex2),
    ("udp_dst_max", Form::Number(0, 65_535)),
    ("udp_dst_min", Form::Number(0, 65_535)),
    ("udp_src_max", Form::Number(0, 65_535)),
    ("udp_src_min", Form::Number(0, 65_535)),
    ("vlan_cfi", Form::Number(0, 1)),
    ("vlan_id", Form::Number(0, 4095)),
    ("vlan_p", Form::Number(0, 7)),
    ("xmit_mode", Form::Mode),
];

/// The arguments of the commands that a device was given, by command; of `flag`, the last.
type Device = BTreeMap<String, Vec<String>>;

#[derive(Default)]
struct State {
    /// By name, with the thread that has it.
    devices: BTreeMap<String, (String, Device)>,
    started: bool,
    /// Sends without end, and nobody has said stop.
    endless: bool,
}

/// Whether the kernel takes these writes, in this order, and is left as it was found. The error names the first write
/// that is wrong.
pub(crate) fn check(writes: &[Write]) -> Result<(), String> {
    let mut state = State::default();
    for (number, write) in writes.iter().enumerate() {
        state
            .take(write)
            .map_err(|why| format!("write {number}, {} < {:?}: {why}", write.file, write.line))?;
    }
    match state.devices.keys().next() {
        _ if !state.started => Err("nothing was started".into()),
        _ if state.endless => Err("an endless run was not stopped".into()),
        Some(device) => Err(format!("{device} was not removed")),
        None => Ok(()),
    }
}

impl State {
    fn take(&mut self, write: &Write) -> Result<(), String> {
        let words: Vec<&str> = write.line.split(' ').collect();
        if words.iter().any(|word| word.is_empty() || !word.chars().all(|c| c.is_ascii_graphic())) {
            return Err("words are separated by one blank".into());
        }
        let (command, arguments) = (words[0], &words[1..]);
        if write.file == "pgctrl" {
            self.control(command, arguments)
        } else if let Some(cpu) = write.file.strip_prefix("kpktgend_") {
            self.thread(cpu, command, arguments)
        } else if self.started {
            Err("the run has begun".into())
        } else {
            let (_, device) = self.devices.get_mut(&write.file).ok_or("no such device was added")?;
            configure(device, command, arguments)
        }
    }

    fn control(&mut self, command: &str, arguments: &[&str]) -> Result<(), String> {
        if !arguments.is_empty() {
            return Err("takes no argument".into());
        }
        match command {
            "reset" => *self = Self { started: self.started, ..Self::default() },
            "stop" if !self.started => return Err("there is no run to stop".into()),
            "stop" => self.endless = false,
            "start" if self.started => return Err("started twice".into()),
            "start" if self.devices.is_empty() => return Err("no device to start".into()),
            "start" => {
                for (name, (_, device)) in &self.devices {
                    complete(device).map_err(|why| format!("{name}: {why}"))?;
                    self.endless |= number(device, "count") == Some(0);
                }
                self.started = true;
            }
            _ => return Err("pgctrl knows start, stop and reset".into()),
        }
        Ok(())
    }

    fn thread(&mut self, cpu: &str, command: &str, arguments: &[&str]) -> Result<(), String> {
        match (command, arguments) {
            ("rem_device_all", []) => self.devices.retain(|_, (owner, _)| owner != cpu),
            ("add_device", _) if self.started => return Err("the run has begun".into()),
            ("add_device", [name]) => {
                // Behind the @ anything will do for the kernel, but the custom, and our reader, want the thread.
                let (interface, at) = name.split_once('@').ok_or("a device is INTERFACE@THREAD")?;
                if interface.is_empty() || interface.len() > 15 || name.len() > LONGEST_DEVICE || at != cpu {
                    return Err("a device is INTERFACE@THREAD".into());
                }
                if self.devices.insert((*name).into(), (cpu.into(), Device::new())).is_some() {
                    return Err("added twice".into());
                }
            }
            _ => return Err("a thread knows add_device DEVICE and rem_device_all".into()),
        }
        Ok(())
    }
}

/// One command to a device file.
fn configure(device: &mut Device, command: &str, arguments: &[&str]) -> Result<(), String> {
    let form = DEVICE.iter().find(|(name, _)| *name == command).map(|(_, form)| *form);
    fits(form.ok_or("no such command")?, arguments)?;
    // `pktgen_if_write` refuses these; the tags' with no more than a note in the result, or none.
    let has = |name: &str| device.contains_key(name);
    let above = |name: &str, least: u64| number(device, name) > Some(least);
    let value = arguments.first().and_then(|word| word.parse::<u64>().ok());
    match command {
        "burst" if value > Some(1) && mode(device) == "queue_xmit" => {
            return Err("not with queue_xmit".into());
        }
        "xmit_mode" if arguments == ["queue_xmit"] && above("burst", 1) => {
            return Err("not with burst".into());
        }
        "clone_skb" if value > Some(0) && (has("imix_weights") || mode(device) == "netif_receive") => {
            return Err("not with imix_weights, nor with netif_receive".into());
        }
        "imix_weights" if above("clone_skb", 0) => return Err("not with clone_skb".into()),
        "xmit_mode" if arguments == ["netif_receive"] && above("clone_skb", 0) => {
            return Err("not with clone_skb".into());
        }
        "vlan_p" | "vlan_cfi" | "svlan_id" if !has("vlan_id") => return Err("vlan_id comes first".into()),
        "svlan_p" | "svlan_cfi" if !has("svlan_id") => return Err("svlan_id comes first".into()),
        _ => {}
    }
    device.insert(command.into(), arguments.iter().map(|&word| word.into()).collect());
    Ok(())
}

/// Whether a device has what a run needs for its frames to be what they were meant to be.
fn complete(device: &Device) -> Result<(), String> {
    if let Some(missing) = ["count", "dst_mac"].iter().find(|name| !device.contains_key(**name)) {
        return Err(format!("{missing} is missing"));
    }
    let tags = ["vlan_id", "svlan_id"].iter().filter(|name| device.contains_key(**name)).count() as u64;
    let sizes: Vec<u64> = match (device.get("imix_weights"), number(device, "pkt_size")) {
        // With a range of sizes the kernel does not look at the weights.
        (Some(_), Some(_)) => return Err("a size and imix_weights exclude each other".into()),
        (Some(entries), None) => entries.iter().filter_map(|e| e.split_once(',')?.0.parse().ok()).collect(),
        (None, Some(size)) => vec![size],
        (None, None) => return Err("the size is missing".into()),
    };
    if sizes.iter().any(|size| *size < LEAST_FRAME + TAG * tags) {
        return Err("a frame has no room for its headers".into());
    }
    if number(device, "src_mac_count") > Some(1) && !device.contains_key("src_mac") {
        return Err("addresses would be counted from 00:00:00:00:00:00; src_mac is missing".into());
    }
    Ok(())
}

fn fits(form: Form, arguments: &[&str]) -> Result<(), String> {
    if let Form::Imix = form {
        if arguments.is_empty() || arguments.len() > MOST_IMIX {
            return Err(format!("1 to {MOST_IMIX} pairs SIZE,WEIGHT"));
        }
        for pair in arguments {
            let (size, weight) = pair.split_once(',').ok_or("a pair is SIZE,WEIGHT")?;
            within(size, LEAST_FRAME, 65_549)?;
            within(weight, 1, TEN_DIGITS)?;
        }
        return Ok(());
    }
    let argument = match (form, arguments) {
        (Form::None, []) => return Ok(()),
        (Form::None, _) => return Err("takes no argument".into()),
        (_, [argument]) => *argument,
        _ => return Err("takes one argument".into()),
    };
    let fits = match form {
        Form::Number(least, most) => return within(argument, least, most),
        Form::Hex2 => argument.len() == 2 && u8::from_str_radix(argument, 16).is_ok(),
        Form::Mac => {
            let octets: Vec<&str> = argument.split(':').collect();
            octets.len() == 6
                && octets.iter().all(|o| o.len() == 2 && o.chars().all(|c| c.is_ascii_hexdigit()))
        }
        Form::Ip => argument.parse::<Ipv4Addr>().is_ok(),
        Form::Flag => argument == "!IPV6" || FLAGS.contains(&argument.strip_prefix('!').unwrap_or(argument)),
        Form::Mode => ["start_xmit", "netif_receive", "queue_xmit"].contains(&argument),
        Form::None | Form::Imix => unreachable!("seen above"),
    };
    if fits { Ok(()) } else { Err(format!("{argument} has not the form that this command takes")) }
}

/// A decimal number of at most ten digits, as `num_arg` reads it.
fn within(word: &str, least: u64, most: u64) -> Result<(), String> {
    let digits = !word.is_empty() && word.len() <= 10 && word.bytes().all(|b| b.is_ascii_digit());
    match word.parse::<u64>() {
        Ok(value) if digits && (least..=most).contains(&value) => Ok(()),
        _ => Err(format!("{word} is not a number from {least} to {most}")),
    }
}

fn number(device: &Device, command: &str) -> Option<u64> {
    device.get(command)?.first()?.parse().ok()
}

fn mode(device: &Device) -> &str {
    device.get("xmit_mode").and_then(|words| words.first()).map_or("start_xmit", String::as_str)
}
