//! Quality of service as users have it: does a TCP stream get the rate that was set, and how long does a ping
//! wait behind a bulk transfer?
//!
//! Rates count whole Ethernet frames; TCP tells payload, 1,448 of 1,514 bytes. What is compared is the
//! line's rate. The kernel's own way, HTB with a first-in first-out queue behind the Linux bridge, and a plain
//! queue of ours stand beside CoDel in the same run.

use super::stream::{Connect, Rooms, SERVER};
use super::vsw::Vsw;
use super::{process, talk};
use crate::Effort;
use crate::report::Row;
use crate::stats::Sample;
use anyhow::{Context, Result};
use std::any::Any;

/// Line bits for each bit of payload: an MTU of 1,500 and TCP with timestamps.
const LINE: f64 = 1514.0 / 1448.0;
/// Name, bits per second.
const RATES: [(&str, f64); 4] = [("1m", 1e6), ("10m", 1e7), ("100m", 1e8), ("1g", 1e9)];

type Kind = (&'static str, fn(&Rooms) -> Result<Vsw>, &'static str, &'static str);

/// Kinds of port, and the names of the ports that the client and the server are behind.
const KINDS: [Kind; 3] = [
    ("tap", Rooms::taps, "ta", "tb"),
    ("packet", |rooms| rooms.ports("packet"), "s0", "s1"),
    ("afxdp", |rooms| rooms.ports("afxdp"), "s0", "s1"),
];

/// Goodput as a part of what was set, of one TCP stream; changed live from rate to rate.
pub(crate) fn qos_rate(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (kind, open, client, server) in KINDS {
        let rooms = Rooms::new()?;
        let switch = open(&rooms)?;
        for (way, port) in [("sent-to", server), ("sent-by", client)] {
            for (name, rate) in RATES {
                switch.ctl(&format!("set-port br0 {port} --{way} {name}"))?;
                let mut got = Sample::default();
                for _ in 0..effort.rounds {
                    let [gbits, _] = talk::tcp(&rooms.a, &rooms.b, SERVER, 1, effort)?;
                    got.push(gbits * 1e9 * LINE / rate * 100.0);
                }
                rows.push(
                    Row::alone(format!("{kind}, {way} {name}, one TCP stream"), "% of the rate", &got)
                        .goal_above(97.0),
                );
            }
            switch.ctl(&format!("set-port br0 {port} --no-qos"))?;
        }
    }
    Ok(rows)
}

/// 99th percentile of round trips while a TCP stream fills 100 Mbit/s, above that of an idle port.
pub(crate) fn qos_ping(effort: Effort) -> Result<Vec<Row>> {
    let shaped = |how: &'static str| {
        move |rooms: &Rooms| -> Result<Box<dyn Any>> {
            let switch = rooms.taps()?;
            switch.ctl(&format!("set-port br0 tb --sent-to 100m {how}"))?;
            Ok(Box::new(switch) as Box<dyn Any>)
        }
    };
    let htb: Connect = |rooms| {
        let bridge = rooms.over_bridge()?;
        let tc = |words: &str| process::finish(rooms.switch.command("tc").args(words.split(' '))).map(drop);
        tc("qdisc add dev s1 root handle 1: htb default 1")?;
        tc("class add dev s1 parent 1: classid 1:1 htb rate 100mbit")?;
        tc("qdisc add dev s1 parent 1:1 pfifo limit 1000")?;
        Ok(bridge)
    };
    let codel = above_idle(&shaped(""), effort)?;
    let plain = above_idle(&shaped("--classes rest:codel=off:flows=off"), effort)?;
    let kernel = above_idle(&htb, effort)?;
    let row = |peer, value| {
        Row::alone("ping beside bulk at 100m, p99 above idle", "ms", &codel)
            .beside_cost(peer, value)
            .goal_below(10.0)
    };
    Ok(vec![row("a plain queue", &plain), row("Linux bridge, HTB and a fifo", &kernel)])
}

fn above_idle(connect: &dyn Fn(&Rooms) -> Result<Box<dyn Any>>, effort: Effort) -> Result<Sample> {
    let mut above = Sample::default();
    for _ in 0..effort.rounds {
        let rooms = Rooms::new()?;
        let _switch = connect(&rooms)?;
        let [_, idle] = talk::ping(&rooms.a, SERVER, effort)?;
        // One second that does not count, and more than is pinged.
        let longer = Effort { seconds: effort.seconds + 2, ..effort };
        let busy = std::thread::scope(|scope| {
            let bulk = scope.spawn(|| talk::tcp(&rooms.a, &rooms.b, SERVER, 1, longer));
            std::thread::sleep(std::time::Duration::from_millis(2500));
            let busy = talk::ping(&rooms.a, SERVER, effort);
            bulk.join().ok().context("the transfer ended badly")??;
            busy
        })?[1];
        above.push((busy - idle) / 1000.0);
    }
    Ok(above)
}
