//! Whether `pktgen/pktgen.sh` says to the kernel what the kernel understands, and reads its answer right.
//!
//! Runs the script itself, as a child process, against a directory of plain files; needs neither root nor the module.
//! What this cannot tell: whether a kernel then sends. Each test has a directory of its own, so they run in parallel.

#![forbid(unsafe_code)]

#[path = "pktgen/fake.rs"]
mod fake;
#[path = "pktgen/grammar.rs"]
mod grammar;

use fake::{Fake, Write};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

const MAC: &str = "02:00:00:00:00:01";

/// The least that a run needs, and ends at once.
fn with<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["-i", "lo", "-m", MAC];
    if !options.iter().any(|option| ["-n", "-T"].contains(option)) {
        args.extend(["-n", "1000"]);
    }
    args.extend(options);
    args
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs with these options; the writes are right by the grammar.
fn accepted(options: &[&str]) -> Vec<Write> {
    let fake = Fake::new();
    let output = fake.run(&with(options));
    assert!(output.status.success(), "{options:?}: {}", stderr(&output));
    let writes = fake.writes().unwrap_or_else(|why| panic!("{options:?}: {why}"));
    grammar::check(&writes).unwrap_or_else(|why| panic!("{options:?}: {why}\n{writes:#?}"));
    writes
}

#[test]
fn options_reach_the_kernel_and_nothing_else_does() {
    let cases: [(&[&str], &[&str]); 16] = [
        (
            &[],
            &[
                "count 1000",
                "pkt_size 60",
                "dst_mac 02:00:00:00:00:01",
                "dst_min 198.18.0.2",
                "flag NO_TIMESTAMP",
            ],
        ),
        (&["-s", "1518"], &["pkt_size 1514"]),
        (&["-s", "imix"], &["imix_weights 60,7 590,4 1514,1"]),
        (&["-s", "64", "-v", "10"], &["pkt_size 64", "vlan_id 10", "vlan_p 0"]),
        (
            &["-s", "imix", "-v", "4094", "-p", "5"],
            &["imix_weights 64,7 594,4 1518,1", "vlan_id 4094", "vlan_p 5"],
        ),
        (&["-s", "9018"], &["pkt_size 9014"]),
        (&["-d", "10.0.0.255"], &["dst_min 10.0.0.255"]),
        (&["-m", "FF:ff:FF:ff:FF:ff"], &["dst_mac FF:ff:FF:ff:FF:ff"]),
        (&["-n", "9999999999"], &["count 9999999999"]),
        (&["-r", "1000000"], &["ratep 1000000"]),
        (&["-r", "1000000", "-b", "8"], &["ratep 125000", "burst 8", "xmit_mode start_xmit"]),
        (&["-f", "100000"], &["src_mac 02:00:00:00:00:00", "src_mac_count 100000", "flag MACSRC_RND"]),
        (&["-D", "2"], &["dst_mac_count 2", "flag MACDST_RND"]),
        (&["-q"], &["xmit_mode queue_xmit"]),
        (&["-q", "-s", "imix", "-f", "2", "-D", "2", "-v", "0", "-r", "1"], &["ratep 1", "vlan_id 0"]),
        (&["-b", "1024", "-s", "imix"], &["burst 1024"]),
    ];
    let always = ["count", "clone_skb", "pkt_size", "imix_weights", "dst_mac", "dst_min", "xmit_mode"];
    for (options, lines) in cases {
        let writes = accepted(options);
        for line in lines {
            assert!(writes.contains(&Write::new("lo@0", line)), "{options:?}: no {line:?} in {writes:#?}");
        }
        // Nothing that the case does not name, but what every run has.
        for write in writes.iter().filter(|w| w.file == "lo@0" && !lines.contains(&w.line.as_str())) {
            let command = write.line.split(' ').next().expect("a word");
            let expected = always.contains(&command)
                || ["flag NO_TIMESTAMP", "flag QUEUE_MAP_CPU"].contains(&write.line.as_str())
                || options.len() > 8;
            assert!(expected, "{options:?}: {write:?}");
        }
    }
}

#[test]
fn every_thread_has_its_own_device_and_stations() {
    let writes = accepted(&["-t", "2,0-1,1", "-f", "10"]);
    for cpu in 0..3 {
        let thread = format!("kpktgend_{cpu}");
        assert!(writes.contains(&Write::new(&thread, &format!("add_device lo@{cpu}"))));
        let mac = format!("src_mac 02:00:0{cpu}:00:00:00");
        assert!(writes.contains(&Write::new(&format!("lo@{cpu}"), &mac)), "{writes:#?}");
    }
    let starts: Vec<_> = writes.iter().filter(|w| w.file == "pgctrl").map(|w| w.line.as_str()).collect();
    assert_eq!(starts, ["reset", "start"], "once for all threads");
}

#[test]
fn an_endless_run_is_stopped_after_its_time() {
    let before = Instant::now();
    let writes = accepted(&["-T", "1"]);
    assert!(before.elapsed() >= Duration::from_secs(1));
    assert!(writes.contains(&Write::new("lo@0", "count 0")));
    assert!(writes.contains(&Write::new("pgctrl", "stop")));
}

#[test]
fn results_are_read_per_thread_and_summed() {
    let output = Fake::new().run(&with(&["-t", "0-2"]));
    let rows: Vec<Vec<String>> =
        stdout(&output).lines().map(|row| row.split_whitespace().map(String::from).collect()).collect();
    let row = |name: &str, pps: &str, sent: &str, errors: &str| -> Vec<String> {
        [name, pps, "pps", sent, "sent", errors, "errors"].map(String::from).into()
    };
    assert_eq!(
        rows,
        [
            row("lo@0", "10000", "1000", "0"),
            row("lo@1", "20000", "2000", "1"),
            row("lo@2", "30000", "3000", "2"),
            row("sum", "60000", "6000", "3"),
        ]
    );
}

#[test]
fn a_signal_stops_the_run_shows_the_result_and_cleans_up() {
    for signal in ["-INT", "-TERM"] {
        let fake = Fake::new();
        let mut child = fake.spawn(&fake::script(), &with(&["-T", "60"]));
        let deadline = Instant::now() + Duration::from_secs(20);
        let waits = |child: &mut std::process::Child| child.try_wait().expect("a child").is_none();
        let started = || fs::read_to_string(fake.dir().join("pgctrl")).expect("pgctrl").contains("start");
        while waits(&mut child) && !started() && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        // The time from writing "start" to waiting.
        sleep(Duration::from_millis(300));
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
        while waits(&mut child) && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        if waits(&mut child) {
            child.kill().expect("our own child");
            panic!("{signal} did not end the script");
        }
        let output = child.wait_with_output().expect("the script");
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert!(stdout(&output).contains("sum"), "{signal}: {}", stdout(&output));
        let writes = fake.writes().expect("whole lines");
        grammar::check(&writes).unwrap_or_else(|why| panic!("{signal}: {why}"));
        assert!(writes.contains(&Write::new("pgctrl", "stop")));
    }
}

#[test]
fn bad_options_say_what_is_wrong_and_write_nothing() {
    let cases: [(&[&str], &str); 23] = [
        (&["-i", "vsw-none0"], "no interface vsw-none0"),
        (&["-i", "l."], "no interface l."),
        (&["-t", "7"], "no CPU 7"),
        (&["-t", "1-0"], "no CPU in this list"),
        (&["-t", "0-"], "-t"),
        (&["-s", "63"], "-s 63"),
        (&["-s", "9019"], "-s 9019"),
        (&["-s", "imixx"], "-s imixx"),
        (&["-m", "02:00:00:00:00"], "not a MAC"),
        (&["-m", "02:00:00:00:00:0g"], "not a MAC"),
        (&["-d", "10.0.0.256"], "256"),
        (&["-d", ".10.0.0.1"], "not an IPv4"),
        (&["-d", "fe80::1"], "not an IPv4"),
        (&["-n", "10000000000"], "-n"),
        (&["-n", "5", "-T", "5"], "-T"),
        (&["-r", "0"], "-r 0"),
        (&["-r", "10", "-b", "3"], "multiple"),
        (&["-f", "0"], "-f 0"),
        (&["-v", "4095"], "-v 4095"),
        (&["-v", "010"], "-v 010"),
        (&["-p", "1"], "-v VLAN"),
        (&["-b", "2", "-q"], "exclude"),
        (&["extra"], "extra"),
    ];
    for (options, expected) in cases {
        let fake = Fake::new();
        let output = fake.run(&with(options));
        assert_eq!(output.status.code(), Some(1), "{options:?}: {}", stdout(&output));
        assert!(stderr(&output).contains(expected), "{options:?}: {}", stderr(&output));
        assert_eq!(fake.writes().expect("whole lines"), [], "{options:?}");
    }
}

#[test]
fn a_missing_module_is_named_with_its_remedy() {
    let fake = Fake::new();
    fs::remove_file(fake.dir().join("pgctrl")).expect("pgctrl");
    let output = fake.run(&with(&[]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("modprobe pktgen"), "{}", stderr(&output));
}

#[test]
fn what_the_kernel_refuses_in_its_result_ends_the_run_before_the_start() {
    let fake = Fake::with_results(|_| "ERROR: vlan_p must be 0-7".into());
    let output = fake.run(&with(&[]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("vlan_p must be"), "{}", stderr(&output));
    let writes = fake.writes().expect("whole lines");
    assert!(!writes.contains(&Write::new("pgctrl", "start")));
    assert_eq!(writes.last(), Some(&Write::new("kpktgend_0", "rem_device_all")), "cleaned up all the same");
}

#[test]
fn a_thread_without_a_result_is_an_error() {
    let output = Fake::with_results(|_| "OK: xmit_mode=start_xmit".into()).run(&with(&[]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no result"), "{}", stderr(&output));
}

#[test]
fn help_names_every_option() {
    let output = Fake::new().run(&["-h"]);
    assert!(output.status.success());
    let letters = "imdsnTtrfDvpbq".chars();
    assert!(letters.map(|c| format!("  -{c}")).all(|option| stdout(&output).contains(&option)));
}

/// The grammar is worth nothing if it takes everything: the script with one slip in it must not pass.
#[test]
fn a_slip_in_the_script_is_noticed() {
    let slips = [
        ("pkt_size $", "pkt_sise $"),
        ("configure \"$1\" dst_mac ", "configure \"$1\" dstmac "),
        ("imix_weights \"", "imix_weights \"60 "),
        ("),4 $", "),4,$"),
        ("vlan_id \"$vlan\"", "vlan_id \"$vlan\" 1"),
        ("flag MACSRC_RND", "flag MAC_SRC_RND"),
        ("ratep $((rate / burst))", "ratep \"$rate pps\""),
        ("'02:%02x", "'02-%02x"),
        ("add_device $iface@$cpu", "add_device $iface"),
        (
            "for cpu in $cpus; do put \"kpktgend_$cpu\" rem_device_all",
            "for cpu in $cpus; do put pgctrl rem_device_all",
        ),
        ("put pgctrl start &", "put pgctrl stop &"),
        ("{ echo \"$2\" >>", "{ printf %s \"$2\" >>"),
        ("configure \"$1\" count \"$count\"", ":"),
        (" - 4))", " - 8))"),
    ];
    let right = fs::read_to_string(fake::script()).expect("the script");
    for (from, to) in slips {
        assert!(right.contains(from), "{from:?} is no longer in the script");
        let fake = Fake::new();
        let copy = std::env::temp_dir().join(format!("{}.sh", name(fake.dir())));
        fs::write(&copy, right.replacen(from, to, 1)).expect("a copy");
        fake.run_copy(&copy, &with(&["-r", "8", "-f", "9", "-v", "5"]));
        let plain = fake.writes().and_then(|writes| grammar::check(&writes));
        let imix = Fake::new();
        imix.run_copy(&copy, &with(&["-s", "imix"]));
        let imix = imix.writes().and_then(|writes| grammar::check(&writes));
        fs::remove_file(&copy).expect("our copy");
        assert!(plain.is_err() || imix.is_err(), "{to:?} passed");
    }
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// A run that is right, with `line` written to `file` before the start.
fn run_with(file: &str, line: &str) -> Result<(), String> {
    let writes = [
        ("kpktgend_0", "add_device eth0@0"),
        ("eth0@0", "count 5"),
        ("eth0@0", "pkt_size 64"),
        ("eth0@0", "dst_mac 02:00:00:00:00:01"),
        (file, line),
        ("pgctrl", "start"),
        ("kpktgend_0", "rem_device_all"),
    ];
    grammar::check(&writes.map(|(file, line)| Write::new(file, line)))
}

#[test]
fn the_grammar_takes_what_the_kernel_takes() {
    for line in ["flag !UDPSRC_RND", "tos 2e", "vlan_id 0", "src_max 10.0.0.1", "burst 1", "clear_counters"] {
        run_with("eth0@0", line).unwrap_or_else(|why| panic!("{line}: {why}"));
    }
    run_with("pgctrl", "reset").expect_err("a reset takes the devices away");
}

#[test]
fn the_grammar_refuses_what_the_kernel_does_not_take() {
    let device = [
        "",
        "pkt_size",
        "pkt_size 60 60",
        "pkt_size  60",
        "pkt_size=60",
        "pkt_size 57",
        "pkt_size -1",
        "pktsize 60",
        "count 10000000000",
        "count 1k",
        "start",
        "dstmac 02:00:00:00:00:01",
        "dst_mac 02:00:00:00:00:1",
        "dst_mac 02-00-00-00-00-01",
        "dst_min 10.0.0",
        "dst_min 10.0.0.256",
        "flag",
        "flag udpsrc_rnd",
        "flag IPV6",
        "flag SHARED",
        "flag ! IPSRC_RND",
        "vlan_id 4096",
        "vlan_p 1",
        "svlan_id 1",
        "burst 0",
        "ratep 0",
        "rate 300M",
        "imix_weights 60",
        "imix_weights 60,0",
        "imix_weights 60,7,590,4",
        "imix_weights 60,1",
        "xmit_mode xmit",
        "tos 0x10",
        "src_mac_count 2",
        "clear_counters 1",
        "add_device eth0@0",
    ];
    for line in device {
        assert!(run_with("eth0@0", line).is_err(), "{line:?} passed");
    }
    for (file, line) in [
        ("pgctrl", "start"),
        ("pgctrl", "stop"),
        ("pgctrl", "begin"),
        ("pgctrl", "reset now"),
        ("kpktgend_0", "add_device eth0@0"),
        ("kpktgend_0", "add_device eth1"),
        ("kpktgend_1", "add_device eth1@0"),
        ("kpktgend_0", "add_device sixteen-letters-@0"),
        ("kpktgend_0", "count 5"),
        ("eth1@0", "count 5"),
    ] {
        assert!(run_with(file, line).is_err(), "{file} < {line:?} passed");
    }
}

#[test]
fn the_grammar_wants_its_order() {
    let of = |lines: &[(&str, &str)]| {
        grammar::check(&lines.iter().map(|(file, line)| Write::new(file, line)).collect::<Vec<_>>())
    };
    let add = ("kpktgend_0", "add_device eth0@0");
    let size = ("eth0@0", "pkt_size 60");
    let mac = ("eth0@0", "dst_mac 02:00:00:00:00:01");
    let (count, start, stop) = (("eth0@0", "count 0"), ("pgctrl", "start"), ("pgctrl", "stop"));
    let remove = ("kpktgend_0", "rem_device_all");
    of(&[add, size, mac, count, start, stop, remove]).expect("the right order");
    for wrong in [
        &[size, add, mac, count, start, stop, remove][..],
        &[add, size, mac, start, count, stop, remove],
        &[add, size, mac, count, start, remove],
        &[add, size, mac, count, start, stop],
        &[add, size, mac, count, remove],
        &[start, add, size, mac, count, stop, remove],
        &[add, mac, count, start, stop, remove],
        &[add, size, ("eth0@0", "vlan_id 1"), mac, count, start, stop, remove],
    ] {
        assert!(of(wrong).is_err(), "{wrong:?} passed");
    }
}
