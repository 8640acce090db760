//! What is typed reads, prints back as typed, and says what is wrong with it.

use super::*;
use crate::qos::write;

#[test]
fn what_is_read_is_written_as_it_was_typed() {
    for typed in [
        "500m",
        "500m,20kpps",
        "500pps,packet-burst=64",
        "500m,burst=64k,peak=1g,peak-burst=128k,yellow=remark",
        "500m,excess=100m,excess-burst=128k,red=remark",
        "500m,burst=64k,red=wait",
        "10m,excess-burst=10k,yellow=drop",
    ] {
        assert_eq!(write::sent_by(&sent_by(typed).unwrap().unwrap()), typed);
    }
    for typed in ["1g", "1g,burst=64k,min=100m,starve=20ms"] {
        assert_eq!(write::sent_to(&sent_to(typed).unwrap().unwrap()), typed);
    }
    for typed in [
        "voice:prio:dscp=ef,cs5;bulk:weight=3:max=800m;rest:weight=1",
        "a:weight=7:pcp=5,6:vlan=10,20-29:ethertype=ipv6,0x9999:proto=tcp,200:port=443,5060-5070:min=1m",
        "b:queue=64k,50ms:codel=10ms,200ms:flows=off:ecn=off:set-pcp=3:set-dscp=af11;c:codel=off",
    ] {
        let written: Vec<String> = classes(typed).unwrap().iter().map(write::class).collect();
        assert_eq!(written.join(";"), typed);
    }
    for typed in ["broadcast=500pps,multicast=2kpps,unknown=10m", "unknown=1kpps"] {
        assert_eq!(write::storm(&storm(typed).unwrap()), typed);
    }
    assert_eq!((sent_by("none"), sent_to("none"), classes("none")), (Ok(None), Ok(None), Ok(Vec::new())));
    assert_eq!(storm("none"), Ok(Storm::default()));
}

#[test]
fn what_cannot_be_read_says_why() {
    type Read = fn(&str) -> Result<(), String>;
    let by: Read = |s| sent_by(s).map(drop);
    let to: Read = |s| sent_to(s).map(drop);
    let class: Read = |s| classes(s).map(drop);
    let limit: Read = |s| storm(s).map(drop);
    #[rustfmt::skip]
    let rows: &[(Read, &str, &str)] = &[
        (by, "0",                       "0 is below the lowest rate"),
        (by, "-5m",                     "`-5m` is a negative rate"),
        (by, "500g",                    "500g is above the highest rate; rates go from 1k to 400g"),
        (by, "0pps",                    "0pps is below the lowest"),
        (by, "lots",                    "write bits per second like 100m or 1.5g, packets per second like 20kpps"),
        (by, "",                        "`` is no rate"),
        (by, "1m,2m",                   "`2m` is the second of its kind"),
        (by, "1m,burst=0",              "a burst of 0 bytes"),
        (by, "1m,burst=big",            "`big` is no size"),
        (by, "1m,colour=red",           "there is no `colour`"),
        (to, "20kpps",                  "`20kpps` is no rate in bits per second"),
        (to, "1g,max=2g",               "there is no `max`"),
        (to, "1g,starve=5",             "`5` is no time"),
        (class, "a:",                   "class a: `` is no setting"),
        (class, "a:weight",             "class a: `weight` is no setting"),
        (class, "a:weight=x",           "class a: `x` is no number"),
        (class, "a:prio=1",             "prio has no value"),
        (class, "a:dscp=af14",          "DSCP `af14` does not exist"),
        (class, "a:pcp=8",              "PCP `8` does not exist"),
        (class, "a:vlan=5000",          "VLAN 5000 does not exist"),
        (class, "a:ethertype=ip",       "`ip` is no ethertype"),
        (class, "a:proto=quic",         "`quic` is no IP protocol"),
        (class, "a:port=http",          "`http` is no port"),
        (class, "a:codel=fast",         "`fast` is no time"),
        (class, "a:flows=yes",          "`yes` is neither on nor off"),
        (class, "a:colour=red",         "there is no setting `colour`"),
        (limit, "broadcast",            "`` is no rate"),
        (limit, "floods=5pps",          "`floods` is no kind of storm"),
        (limit, "broadcast=0pps",       "0pps is below the lowest"),
    ];
    for (read, typed, says) in rows {
        let e = read(typed).expect_err(typed);
        assert!(e.contains(says), "{typed}: {e}");
    }
}
