//! Quality of service with real daemons and TAPs: what is typed is what happens to frames, and is told of them.
//! How exactly is for the engine's tests and the benchmarks, which have the time.

use serde_json::Value;
use std::time::{Duration, Instant};
use vsw_netns::traffic::{addresses, reaches, transfer};
use vsw_netns::{Lab, Namespace, Role, eventually};

fn lab(test: &str) -> Option<(Lab, Namespace, Namespace)> {
    let lab = Lab::new(test)?;
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "");
    let b = lab.tap("br0", "b", 2, "");
    reaches(&a, 2);
    Some((lab, a, b))
}

/// What `qos show` says of a port.
fn qos(lab: &Lab, port: &str) -> Value {
    lab.json(&format!("qos show {port}"))[0].clone()
}
/// Packets that left by a class.
fn sent(lab: &Lab, port: &str, class: &str) -> u64 {
    let classes = qos(lab, port)["classes"].clone();
    let found = classes.as_array().unwrap().iter().find(|c| c["name"] == class).cloned();
    found.unwrap()["sent"]["packets"].as_u64().unwrap()
}
fn packets(count: &Value) -> u64 {
    count["packets"].as_u64().unwrap()
}

#[test]
fn a_frame_has_the_class_of_its_marks_if_they_are_believed() {
    let Some((lab, a, _b)) = lab("a_frame_has_the_class_of_its_marks_if_they_are_believed") else { return };
    lab.good("add-qos voices --classes voice:prio:dscp=ef,cs5;rest:weight=1 --sent-to 100m");
    lab.good("set-port br0 b --qos voices");
    let ping = |n: u64| {
        let (voice, rest) = (sent(&lab, "b", "voice"), sent(&lab, "b", "rest"));
        // 46 << 2.
        assert!(a.typed("ping -q -c 5 -i 0.01 -Q 0xb8 10.0.0.2").ok());
        eventually("the pings are counted", || {
            (sent(&lab, "b", "voice") == voice + n) && (n == 5 || sent(&lab, "b", "rest") >= rest + 5)
        });
    };
    ping(5);
    lab.good("set-port br0 a --trust none");
    ping(0);
    lab.good("set-port br0 a --trust dscp");
    ping(5);
    // Numbers go on when the profile changes.
    let voice = sent(&lab, "b", "voice");
    lab.good("set-qos voices --sent-to 50m");
    assert!(sent(&lab, "b", "voice") >= voice);
}

#[test]
fn what_is_sent_above_the_rate_is_dropped_by_name() {
    let Some((lab, a, _b)) = lab("what_is_sent_above_the_rate_is_dropped_by_name") else { return };
    lab.good("set-port br0 a --sent-by 64k,burst=2k");
    a.typed("ping -q -c 20 -i 0.01 -s 1000 -W 1 10.0.0.2");
    eventually("what was dropped is told alike", || {
        let by = qos(&lab, "a")["sent_by"].clone();
        let (red, dropped) = (packets(&by["red"]), packets(&by["dropped"]));
        red >= 15 && red == dropped && dropped == lab.dropped("a", "policed")
    });
    assert!(packets(&qos(&lab, "a")["sent_by"]["green"]) >= 1);
    lab.good("set-port br0 a --no-qos");
    reaches(&a, 2);
    assert_eq!(lab.json("qos show"), Value::Array(Vec::new()));
}

#[test]
fn a_storm_is_held_back_and_nothing_else() {
    let Some((lab, a, _b)) = lab("a_storm_is_held_back_and_nothing_else") else { return };
    lab.good("set-port br0 a --storm broadcast=10pps");
    a.typed("ping -q -b -c 100 -i 0.002 -W 1 10.0.0.255");
    let t = a.typed("ping -q -c 20 -i 0.01 10.0.0.2");
    assert!(t.stdout.contains(" 0% packet loss"), "{}", t.stdout);
    eventually("the storm is counted", || {
        let storm = qos(&lab, "a")["storm"][0].clone();
        packets(&storm["dropped"]) >= 50 && packets(&storm["dropped"]) == lab.dropped("a", "storm-broadcast")
    });
}

#[test]
fn the_rate_is_the_profiles_live_and_after_kill_9() {
    let Some((lab, a, b)) = lab("the_rate_is_the_profiles_live_and_after_kill_9") else { return };
    let [v4, _] = addresses(2);
    // 2 MiB of payload are 17.6 Mbit on the wire.
    let seconds = || {
        let began = Instant::now();
        transfer(&a, &b, v4, 2 << 20);
        began.elapsed().as_secs_f64()
    };
    lab.good("add-qos slow --sent-to 10m");
    lab.good("set-port br0 b --qos slow");
    let slow = seconds();
    assert!((1.6..8.0).contains(&slow), "{slow} s at 10 Mbit/s");
    lab.good("set-qos slow --sent-to 100m");
    let fast = seconds();
    assert!(fast < slow / 2.0, "{fast} s at 100 Mbit/s");
    lab.good("set-qos slow --sent-to 10m");
    lab.kill(Role::Control);
    lab.kill(Role::Dataplane);
    lab.start(Role::Dataplane);
    lab.start(Role::Control);
    lab.ready();
    lab.becomes("b", "up");
    for (machine, port, n) in [(&a, "a", 1), (&b, "b", 2)] {
        eventually("the interface is back", || machine.has(port));
        machine.address(port, n);
    }
    eventually("they reach each other", || a.typed("ping -q -c 1 -W 1 10.0.0.2").ok());
    std::thread::sleep(Duration::from_millis(100));
    let slow = seconds();
    assert!((1.6..8.0).contains(&slow), "{slow} s at 10 Mbit/s after the restart");
    assert_eq!(qos(&lab, "b")["profile"], "slow");
}
