//! Tables: each request, and each way to get one wrong.

use super::*;
use crate::fault::Fault;

fn fds(n: usize) -> Fds {
    (0..n).map(|_| OwnedFd::from(std::fs::File::open("/dev/null").unwrap())).collect()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

fn halves(halves: &[u32]) -> Vec<u8> {
    halves.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

fn said(request: u32, payload: &[u8], n: usize) -> Result<String, ProtocolError> {
    let parsed = Request::parse(request, payload, fds(n))?;
    // Descriptors have other numbers each time.
    let text = format!("{parsed:?}");
    Ok(text.split("OwnedFd").next().unwrap_or_default().to_owned())
}

#[test]
fn each_request_is_understood() {
    let region = [0x1000, 0x2000, 0x7f00_0000, 0x40];
    let table = [halves(&[1, 0]), words(&region)].concat();
    let inflight = [words(&[0x100, 0x10]), vec![2, 0, 0, 1]].concat();
    let padded = [&inflight[..], &[0; 4]].concat();
    let address = [halves(&[3, 1]), words(&[10, 20, 30, 40])].concat();
    let single = words(&[0, 0x1000, 0x2000, 0x7f00_0000, 0x40]);
    let spec = "RegionSpec { guest: 4096, size: 8192, user: 2130706432, offset: 64 }";
    #[rustfmt::skip]
    let rows: &[(u32, &[u8], usize, &str)] = &[
        (1, &[], 0, "GetFeatures"),
        (2, &words(&[1 << 32]), 0, "SetFeatures(4294967296)"),
        (3, &[], 0, "SetOwner"),
        (4, &[], 0, "ResetOwner"),
        (5, &table, 1, &format!("SetMemTable([({spec}, ")),
        (5, &halves(&[0, 0]), 0, "SetMemTable([])"),
        (6, &words(&[0x100, 0x10]), 1, "SetLogBase { len: 256, offset: 16, file: Some("),
        (6, &words(&[0x100]), 0, "SetLogBase { len: 256, offset: 0, file: None }"),
        (7, &[], 1, "SetLogFd"),
        (8, &halves(&[1, 256]), 0, "SetVringNum { ring: 1, size: 256 }"),
        (9, &address, 0, "SetVringAddr(RingAddress { ring: 3, desc: 10, used: 20, avail: 30, log: Some(40) })"),
        (10, &halves(&[1, 7]), 0, "SetVringBase { ring: 1, base: 7 }"),
        (11, &halves(&[1, 0]), 0, "GetVringBase { ring: 1 }"),
        (12, &words(&[1]), 1, "SetVringKick { ring: 1, fd: Some("),
        (12, &words(&[0x101]), 0, "SetVringKick { ring: 1, fd: None }"),
        (13, &words(&[2]), 1, "SetVringCall { ring: 2, fd: Some("),
        (14, &words(&[0x1ff]), 0, "SetVringErr { ring: 255, fd: None }"),
        (15, &[], 0, "GetProtocolFeatures"),
        (16, &words(&[9]), 0, "SetProtocolFeatures(9)"),
        (17, &[], 0, "GetQueueNum"),
        (18, &halves(&[1, 1]), 0, "SetVringEnable { ring: 1, on: true }"),
        (19, &[2, 0, 0, 0, 0, 1, 0, 0], 0, "SendRarp([2, 0, 0, 0, 0, 1])"),
        (20, &words(&[9000]), 0, "NetSetMtu(9000)"),
        (31, &inflight, 0, "GetInflightFd(InflightArea { len: 256, offset: 16, rings: 2, size: 256, padded: false })"),
        (31, &padded, 0, "GetInflightFd(InflightArea { len: 256, offset: 16, rings: 2, size: 256, padded: true })"),
        (32, &padded, 1, "SetInflightFd(InflightArea { len: 256, offset: 16, rings: 2, size: 256, padded: true }, "),
        (34, &[], 0, "ResetDevice"),
        (36, &[], 0, "GetMaxMemSlots"),
        (37, &single, 1, &format!("AddMemReg({spec}, ")),
        (38, &single, 0, &format!("RemMemReg({spec})")),
        (38, &single, 1, &format!("RemMemReg({spec})")),
        (39, &words(&[4]), 0, "SetStatus(4)"),
        (40, &[], 0, "GetStatus"),
    ];
    for (request, payload, n, meant) in rows {
        assert_eq!(said(*request, payload, *n).as_deref(), Ok(*meant), "request {request}");
        // One byte more or less is another length, and one descriptor more is too many.
        let longer = [*payload, &[0]].concat();
        assert_eq!(said(*request, &longer, *n), Err(ProtocolError::Length(*request, longer.len())));
        if let Some((_, shorter)) = payload.split_last() {
            let e = said(*request, &payload[..shorter.len()], *n).unwrap_err();
            assert_eq!(e, ProtocolError::Length(*request, shorter.len()));
        }
        if !matches!(request, 6 | 38) {
            assert_eq!(said(*request, payload, n + 1), Err(ProtocolError::TooManyFds(*request, 1)));
        }
        if *n > 0 && !matches!(request, 6 | 38) {
            assert_eq!(said(*request, payload, 0), Err(ProtocolError::TooFewFds(*request, 1)));
        }
    }
}

#[test]
fn each_malformation_has_a_name() {
    use ProtocolError::{Table, TooFewFds, TooManyFds, Unknown, Value};
    let two = [halves(&[2, 0]), words(&[0; 8])].concat();
    let address = [halves(&[0, 2]), words(&[0; 4])].concat();
    #[rustfmt::skip]
    let rows: &[(u32, &[u8], usize, ProtocolError)] = &[
        (0, &[], 0, Unknown(0)),
        (21, &[], 1, Unknown(21)),
        (24, &[0; 12], 0, Unknown(24)),
        (41, &[], 0, Unknown(41)),
        (u32::MAX, &[], 3, Unknown(u32::MAX)),
        (5, &halves(&[33, 0]), 0, Table(33, 32)),
        (5, &halves(&[u32::MAX, 0]), 32, Table(u32::MAX, 32)),
        (5, &two, 1, TooFewFds(5, 1)),
        (5, &two, 4, TooManyFds(5, 2)),
        (6, &words(&[1, 1]), 2, TooManyFds(6, 1)),
        (9, &address, 0, Value(9, 2)),
        (12, &words(&[0x200]), 1, Value(12, 0x200)),
        (12, &words(&[0x100]), 1, TooManyFds(12, 1)),
        (18, &halves(&[0, 2]), 0, Value(18, 2)),
        (38, &words(&[0; 5]), 2, TooManyFds(38, 1)),
    ];
    for (request, payload, n, error) in rows {
        assert_eq!(said(*request, payload, *n).as_ref(), Err(error), "request {request}");
    }
    assert!(ProtocolError::from(Fault::NoSuchRing(9)).to_string().contains("vring 9"));
}

#[test]
fn headers_are_checked() {
    let parse = |request: u32, flags: u32, size: u32| {
        let bytes = halves(&[request, flags, size]);
        Header::parse(bytes.try_into().unwrap())
    };
    assert_eq!(parse(5, 1, 40), Ok(Header { request: 5, need_reply: false, size: 40 }));
    assert_eq!(parse(5, 9, 4096), Ok(Header { request: 5, need_reply: true, size: 4096 }));
    assert_eq!(parse(5, 1, 4097), Err(ProtocolError::TooLong(4097)));
    assert_eq!(parse(5, 1, u32::MAX), Err(ProtocolError::TooLong(u32::MAX)));
    assert_eq!(parse(5, 0, 0), Err(ProtocolError::Version(0)));
    assert_eq!(parse(5, 2, 0), Err(ProtocolError::Version(2)));
    assert_eq!(parse(5, 5, 0), Err(ProtocolError::NotARequest(5)));
}

#[test]
fn replies_are_as_long_as_the_front_end_expects() {
    assert_eq!(number(1, 7).bytes.as_slice(), [halves(&[1, 5, 8]), words(&[7])].concat());
    assert_eq!(vring_state(11, 3, 9).bytes.as_slice(), halves(&[11, 5, 8, 3, 9]));
    for (padded, len) in [(false, 20), (true, 24)] {
        let wanted = InflightArea { len: 0, offset: 0, rings: 2, size: 256, padded };
        let reply = inflight(wanted, 4096, fds(1).pop().unwrap());
        assert_eq!(reply.bytes.len(), HEADER + len);
        assert_eq!(reply.bytes[..20], [halves(&[31, 5, len as u32]), words(&[4096])].concat());
        assert!(reply.file.is_some());
    }
}
