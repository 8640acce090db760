//! Quality of service on the command line: how it is spelt, and how it is shown.
//!
//! `read` turns what was typed into messages and judges only the spelling; whether it makes sense is for the
//! control process to say. `write` is its inverse. `list` shows profiles, `show` what they did.

pub(crate) mod list;
pub(crate) mod read;
mod settings;
pub(crate) mod show;
pub(crate) mod write;

/// IP protocols by name (IANA protocol numbers).
const PROTOCOLS: &[(&str, u32)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("icmp6", 58),
    ("sctp", 132),
];

/// Ethertypes by name (IEEE registration authority).
const ETHERTYPES: &[(&str, u32)] = &[("ipv4", 0x0800), ("arp", 0x0806), ("ipv6", 0x86dd), ("lldp", 0x88cc)];
