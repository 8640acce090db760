//! Quality of service with real daemons, each story at ports of every kind: what is typed is what happens to
//! frames, and is told of them. How exactly is for the engine's tests and the benchmarks, which have the time.
//!
//! The lab has two workers, and flows of both meet at a shaped port.

use serde_json::Value;
use std::time::{Duration, Instant};
use vsw_netns::flows::{Datagrams, Stream, rates};
use vsw_netns::{Lab, Pair, Role, eventually};

fn lab(test: &str, for_a: &str, for_b: &str) -> Option<(Lab, Vec<Pair>)> {
    let lab = Lab::new(test)?;
    lab.good("add-qos voices --classes voice:prio:dscp=ef,cs5;rest:weight=1 --sent-to 100m");
    lab.good("add-qos slow --sent-to 10m");
    lab.good("add-qos patient --sent-by 10m,red=wait");
    let pairs = Pair::of_each_kind(&lab, for_a, for_b);
    pairs.iter().for_each(Pair::reach);
    Some((lab, pairs))
}

/// What `qos show` says of a port.
fn qos(lab: &Lab, port: &str) -> Value {
    lab.json(&format!("qos show {port}"))[0].clone()
}
fn number(v: &Value) -> u64 {
    v.as_u64().unwrap()
}
fn packets(count: &Value) -> u64 {
    number(&count["packets"])
}
/// Packets that left by the classes of a port, in their order.
fn sent(lab: &Lab, port: &str) -> Vec<u64> {
    qos(lab, port)["classes"].as_array().unwrap().iter().map(|c| packets(&c["sent"])).collect()
}
fn stats(lab: &Lab, port: &str) -> Value {
    lab.json(&format!("stats {port}"))[0].clone()
}

#[test]
fn a_frame_has_the_class_of_its_marks_if_they_are_believed() {
    let test = "a_frame_has_the_class_of_its_marks_if_they_are_believed";
    let Some((lab, pairs)) = lab(test, "", "--qos voices") else { return };
    for pair in &pairs {
        let (a, b) = (pair.port_a(), pair.port_b());
        let ping = |is_voice: bool| {
            let before = sent(&lab, &b);
            // 46 << 2.
            assert!(pair.a.typed("ping -q -c 5 -i 0.01 -Q 0xb8 10.0.0.2").ok());
            eventually("the pings are counted", || {
                let now = sent(&lab, &b);
                now[0] == before[0] + 5 * u64::from(is_voice)
                    && now[1] >= before[1] + 5 * u64::from(!is_voice)
            });
        };
        ping(true);
        lab.good(&format!("set-port {} {a} --trust none", pair.kind));
        ping(false);
        lab.good(&format!("set-port {} {a} --trust dscp", pair.kind));
        ping(true);
        // The port was shaped from the beginning.
        eventually("what left by the classes is what left", || {
            let by_class: u64 = sent(&lab, &b).iter().sum();
            by_class > 15 && by_class == number(&stats(&lab, &b)["tx_packets"])
        });
        // Numbers go on when the profile changes.
        let before = sent(&lab, &b);
        lab.good("set-qos voices --sent-to 50m");
        assert!(sent(&lab, &b).iter().zip(before).all(|(now, before)| *now >= before));
    }
}

#[test]
fn what_is_sent_above_the_rate_is_dropped_by_name() {
    const RATE: u64 = 2_000_000;
    const BURST: u64 = 10_000;
    const FRAME: u64 = 1042;
    let Some((lab, pairs)) = lab("what_is_sent_above_the_rate_is_dropped_by_name", "", "") else { return };
    for pair in &pairs {
        let (kind, a) = (pair.kind, pair.port_a());
        let udp = Datagrams::new(&pair.a, &pair.b, pair.to(), 8);
        let began = Instant::now();
        lab.good(&format!("set-port {kind} {a} --sent-by {RATE},burst={BURST}"));
        // Fewer than any queue on the way to the switch takes, should nobody listen for a while.
        (0..25).for_each(|_| udp.round(1000));
        eventually(&format!("{kind}: what was dropped is told alike, and the rest arrived"), || {
            let by = qos(&lab, &a)["sent_by"].clone();
            let (red, dropped) = (packets(&by["red"]), packets(&by["dropped"]));
            red == dropped && dropped == lab.dropped(&a, "policed") && dropped + udp.arrived() >= 200
        });
        let allowed = (began.elapsed().as_secs_f64() * RATE as f64) as u64 / 8 + BURST;
        let arrived = udp.arrived() * FRAME;
        assert!((BURST - FRAME..=allowed).contains(&arrived), "{kind}: {arrived} of {allowed} bytes");
        let by = qos(&lab, &a)["sent_by"].clone();
        assert!(packets(&by["green"]) >= udp.arrived(), "{kind}: {by}");
        lab.good(&format!("set-port {kind} {a} --no-qos"));
        pair.reach();
        assert_eq!(lab.json(&format!("qos show {a}"))[0]["sent_by"], Value::Null, "{kind}");
    }
    assert_eq!(lab.json("qos show"), Value::Array(Vec::new()));
}

#[test]
fn a_storm_is_held_back_and_unicast_loses_nothing() {
    let test = "a_storm_is_held_back_and_unicast_loses_nothing";
    let Some((lab, pairs)) = lab(test, "--storm broadcast=50pps", "") else { return };
    for pair in &pairs {
        let (kind, a) = (pair.kind, pair.port_a());
        let udp = Datagrams::new(&pair.a, &pair.b, pair.to(), 4);
        let began = Instant::now();
        for round in 1..=100 {
            udp.broadcast(100);
            udp.round(100);
            // As fast as they arrive, so that nothing on the way overflows.
            assert!(udp.has_received(4 * round), "{kind}: {} of {} arrived", udp.arrived(), 4 * round);
        }
        let storm = || qos(&lab, &a)["storm"][0].clone();
        eventually(&format!("{kind}: the storm is counted"), || {
            let storm = storm();
            packets(&storm["passed"]) + packets(&storm["dropped"]) >= 400
                && packets(&storm["dropped"]) == lab.dropped(&a, "storm-broadcast")
        });
        // Some were asked for before, when neighbours were looked for.
        let allowed = 50 * (began.elapsed().as_secs() + 1) + 10 + 10;
        assert!(packets(&storm()["passed"]) <= allowed, "{kind}: {} of {allowed}", storm());
    }
}

/// One profile at ports of all kinds, changed under way: each of them goes by it at once, and also after both
/// daemons were killed.
#[test]
fn the_rate_is_the_profiles_live_and_after_kill_9() {
    let test = "the_rate_is_the_profiles_live_and_after_kill_9";
    let Some((lab, pairs)) = lab(test, "", "--qos slow") else { return };
    follows(&lab, &pairs, |rate| format!("set-qos slow --sent-to {rate}"));
    assert!(pairs.iter().all(|p| qos(&lab, &p.port_b())["profile"] == "slow"));
}

/// The same where what is sent above the rate waits.
#[test]
fn who_waits_keeps_the_rate_live_and_after_kill_9() {
    let test = "who_waits_keeps_the_rate_live_and_after_kill_9";
    let Some((lab, pairs)) = lab(test, "--qos patient", "") else { return };
    follows(&lab, &pairs, |rate| format!("set-qos patient --sent-by {rate},red=wait"));
    for pair in &pairs {
        let told = qos(&lab, &pair.port_a());
        assert_eq!((&told["profile"], &told["sent_by"]), (&"patient".into(), &Value::Null));
        assert!(packets(&told["sent_by_queue"]["sent"]) > 0, "{told}");
    }
}

/// Streams from `a` to `b` have 10 Mbit/s, then what `limit` makes of it, and still when both daemons were killed.
fn follows(lab: &Lab, pairs: &[Pair], limit: impl Fn(&str) -> String) {
    let all = || pairs.iter().map(|p| Stream::new(&p.a, &p.b, p.to())).collect::<Vec<_>>();
    // Of 1,514 bytes that are counted 1,448 are payload. Coarse, and at one of some moments, for the machine has
    // other things to do.
    let settle = |streams: &[Stream], rate: f64| {
        let mut seen = Vec::new();
        while seen.len() < 12 {
            let got = rates(streams, Duration::from_millis(500));
            let shares: Vec<f64> = got.iter().map(|got| got / (rate * 1448.0 / 1514.0)).collect();
            if shares.iter().all(|share| (0.75..1.25).contains(share)) {
                return;
            }
            seen.push(shares);
        }
        panic!("not {rate} bits per second: {seen:?}");
    };
    let streams = all();
    settle(&streams, 10e6);
    lab.good(&limit("30m"));
    settle(&streams, 30e6);
    lab.good(&limit("5m"));
    settle(&streams, 5e6);
    drop(streams);
    lab.kill(Role::Control);
    lab.kill(Role::Dataplane);
    lab.start(Role::Dataplane);
    lab.start(Role::Control);
    lab.ready();
    pairs.iter().for_each(|p| p.come_back(lab));
    settle(&all(), 5e6);
}
