//! Real processes coming and going in any order: nothing that was reported as done is lost.

#[path = "../../core/tests/fake/mod.rs"]
mod fake;
mod host;

use fake::{Fake, State};
use host::{Host, eventually};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vsw_api::v1::PortState;

#[test]
fn a_change_without_a_dataplane_is_kept_for_it() {
    let mut host = Host::started();
    let run = host.run_dir();
    let run = run.display();
    host.bad(
        "add-br br0",
        4,
        &format!(
            "pending: switch: vswd cannot be reached at {run}/datapath.sock (No such file or directory (os error \
             2)); start it with `vswd --run-dir {run}`; it gets the change as soon as it runs; it will be \
             retried\n"
        ),
    );
    host.good("add-port br0 tap0 --vlan 10 --no-wait", "");
    let away = format!(
        "error: vswd cannot be reached at {run}/datapath.sock (No such file or directory (os error 2)); start it \
         with `vswd --run-dir {run}`\n"
    );
    for line in ["stats", "drops", "show-macs br0", "flush-macs br0 --static"] {
        host.bad(line, 1, &away);
    }
    assert!(host.ctl("show").stdout.contains("tap0  auto  unknown  10"));

    let dataplane = Fake::start(&host.run_dir(), State::default());
    let began = Instant::now();
    eventually("vswd is told", || dataplane.state.lock().unwrap().applied.generation == 2);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    host.good("add-port br0 tap1", "");

    // vswcontrold goes and comes: vswd keeps what it has, and is told nothing older.
    host.kill();
    host.start();
    host.good("add-port br0 tap2", "");
    assert!(dataplane.state.lock().unwrap().generations.is_sorted());
    drop(dataplane);

    // vswd goes and comes, and remembers nothing.
    let dataplane = Fake::start(&host.run_dir(), State { started: 5, ..Default::default() });
    eventually("vswd is restored", || dataplane.state.lock().unwrap().applied.generation == 4);
    assert_eq!(dataplane.state.lock().unwrap().applied.bridges[0].ports.len(), 3);
}

#[test]
fn a_port_that_cannot_be_opened_is_pending() {
    let host = Host::started();
    let ill =
        vec![("tap0".into(), PortState::Failed, "there is no network namespace blue".into(), String::new())];
    let dataplane = Fake::start(&host.run_dir(), State { ill, ..Default::default() });
    host.good("add-br br0", "");
    host.bad(
        "add-port br0 tap0 --netns blue",
        4,
        "pending: port tap0: there is no network namespace blue; it will be retried\n",
    );
    host.good("set-port br0 tap0 --mtu 1400 --no-wait", "");
    dataplane.state.lock().unwrap().ill.clear();
    host.good("set-port br0 tap0 --mtu 1300", "");
}

#[test]
fn nothing_done_is_lost_by_kill_9() {
    const KILLS: u32 = 20;
    let mut host = Host::started();
    let _dataplane = Fake::start(&host.run_dir(), State::default());
    host.good("add-br br0", "");
    let finished = AtomicBool::new(false);
    let (run_dir, mut done) = (host.run_dir(), 0);
    let mut there = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let type_in = |args: &[&str]| {
                let mut command = std::process::Command::new(host::vswctl());
                command.args(args).env("VSW_RUN_DIR", &run_dir).stderr(Stdio::null());
                matches!(command.status().unwrap().code(), Some(0 | 4))
            };
            for n in 0.. {
                if finished.load(Ordering::Relaxed) {
                    break;
                }
                let port = format!("p{n}");
                if type_in(&["add-port", "br0", &port]) {
                    there.insert(port.clone());
                    done += 1;
                } else {
                    unknown.insert(port);
                    continue;
                }
                if n % 3 == 0 {
                    if type_in(&["del-port", "br0", &port]) {
                        there.remove(&port);
                        done += 1;
                    } else {
                        there.remove(&port);
                        unknown.insert(port);
                    }
                }
            }
        });
        let mut random = 12345u32;
        for _ in 0..KILLS {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            std::thread::sleep(Duration::from_micros(u64::from(random >> 15)));
            host.kill();
            host.start();
        }
        finished.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    assert!(done > KILLS, "only {done} changes between {KILLS} kills");
    let listed: BTreeSet<String> = host.ctl("list-ports br0").stdout.lines().map(str::to_owned).collect();
    let lost: Vec<_> = there.difference(&listed).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let risen: Vec<_> = listed.difference(&there).filter(|p| !unknown.contains(*p)).collect();
    assert!(risen.is_empty(), "risen again: {risen:?}");
}

#[test]
fn it_starts_and_stops_as_a_service_does() {
    let mut host = Host::new();
    let notify = host.dir.path().join("notify");
    let systemd = UnixDatagram::bind(&notify).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    std::fs::remove_dir(host.run_dir()).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        // What a killed process left behind.
        let mut command = host.control();
        command.env("NOTIFY_SOCKET", &notify);
        host.started_by(command);
        let mut said = [0; 64];
        let n = systemd.recv(&mut said).unwrap();
        assert_eq!(&said[..n], b"READY=1\n");
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(host.socket()), mode(host.run_dir())), (0o600, 0o755));
        assert!(host.stop(signal).success());
        assert!(!host.socket().exists());
        std::os::unix::net::UnixListener::bind(host.socket()).unwrap();
    }
}

#[test]
fn a_client_that_stays_does_not_keep_it_alive() {
    let mut host = Host::started();
    let _silent = std::os::unix::net::UnixStream::connect(host.socket()).unwrap();
    let slow = Some(Duration::from_secs(60));
    let _dataplane = Fake::start(&host.run_dir(), State { slow, ..Default::default() });
    let mut command = std::process::Command::new(host::vswctl());
    command.args(["add-br", "br0", "--timeout", "60"]).stderr(Stdio::piped());
    let waiting = host.environment(&mut command).spawn().unwrap();
    eventually("the change is recorded", || host.ctl("list-br").stdout == "br0\n");
    let began = Instant::now();
    assert!(host.stop(Signal::TERM).success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let out = waiting.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(3));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("broke") && said.contains("see with `vswctl show` what was recorded"), "{said}");
}

#[test]
fn it_refuses_to_start_with_one_sentence() {
    let mut host = Host::started();
    let refused = |host: &Host, args: &[&str]| {
        let out = host.control().args(args).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        let said = String::from_utf8(out.stderr).unwrap();
        said.lines().filter(|l| l.starts_with("error: ")).collect::<Vec<_>>().join("|")
    };
    let run = host.run_dir();
    let said = refused(&host, &[]);
    assert!(
        said.starts_with(&format!("error: run directory {}: another vswcontrold (process ", run.display()))
    );
    assert!(said.ends_with("uses it; stop that one, or give this one its own --run-dir"), "{said}");
    host.good("add-br br0 --no-wait", "");
    host.good("add-br br1 --no-wait", "");

    let state = host.state_dir();
    let other = Host::new();
    std::os::unix::fs::symlink(&state, other.state_dir()).unwrap();
    let theirs = other.state_dir().join("control.redb");
    assert_eq!(
        refused(&other, &[]),
        format!(
            "error: store {}: is in use by another vswcontrold; stop that one, or give this one its own --state-dir",
            theirs.display()
        )
    );

    host.kill();
    let store = state.join("control.redb");
    let good = std::fs::read(&store).unwrap();
    let garbage = vec![0x5a; 10_000];
    std::fs::write(&store, &garbage).unwrap();
    let path = store.display();
    assert_eq!(
        refused(&host, &[]),
        format!(
            "error: store {path}: is damaged (Not a redb database: magic number mismatch); it was left untouched. Put a copy \
             of it back, or move it away with `mv {path} {path}.bad` and start `vswcontrold --adopt`, which takes \
             over the configuration that the dataplane applied last. Until then the dataplane goes on with that one"
        )
    );
    assert_eq!(std::fs::read(&store).unwrap(), garbage);
    std::fs::write(&store, good).unwrap();
    host.start();
    host.good("list-br", "br0\nbr1\n");

    host.kill();
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "in the way").unwrap();
    let said = refused(&host, &[]);
    assert!(said.starts_with(&format!("error: directory {}: cannot be made", state.display())), "{said}");
}
