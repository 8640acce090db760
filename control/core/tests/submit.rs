//! Changes on their way through check, store and dataplane.

mod fake;

use fake::{Fake, State};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vsw_api::v1::*;
use vsw_control::{Controller, Datapath, Error, Store, edit};

fn start(dir: &Path) -> Arc<Controller> {
    let (store, config) = Store::open(dir).unwrap();
    Controller::start(store, config, Datapath::new(dir).unwrap())
}

/// The controller and its task hold the store; it is free a moment after both are gone.
async fn stop(controller: Arc<Controller>) {
    let gone = Arc::downgrade(&controller);
    drop(controller);
    eventually("the controller stops", || gone.upgrade().is_none()).await;
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < end, "not within 5 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn add_br(c: &Controller, name: &str) -> Result<ChangeReply, Error> {
    let bridge = Some(Bridge { name: name.into(), ..Default::default() });
    c.submit(None, |now| edit::add_bridge(now, AddBridgeRequest { bridge, wait: None })).await
}
async fn add_port(c: &Controller, bridge: &str, name: &str) -> Result<ChangeReply, Error> {
    let port = Some(Port { name: name.into(), ..Default::default() });
    let request = AddPortRequest { bridge: bridge.into(), port, may_exist: true, wait: None };
    c.submit(None, |now| edit::add_port(now, request)).await
}
fn pending(reply: &ChangeReply) -> Vec<(&str, &str)> {
    reply.pending.iter().map(|p| (p.object.as_str(), p.reason.as_str())).collect()
}

#[tokio::test]
async fn a_change_returns_when_it_is_in_force() {
    let dir = TempDir::new().unwrap();
    let dataplane = Fake::start(dir.path(), State::default());
    let c = start(dir.path());
    let reply = add_br(&c, "br0").await.unwrap();
    assert_eq!((reply.generation, pending(&reply)), (1, vec![]));
    assert_eq!(dataplane.state.lock().unwrap().applied.generation, 1);

    let reply = add_port(&c, "br0", "p").await.unwrap();
    assert_eq!((reply.generation, pending(&reply)), (2, vec![]));
    assert_eq!(dataplane.state.lock().unwrap().applied, vsw_api::message(&c.config()));

    // The same again is no change.
    assert_eq!(add_port(&c, "br0", "p").await.unwrap().generation, 2);
    assert_eq!(dataplane.state.lock().unwrap().generations, [1, 2]);
}

#[tokio::test]
async fn ports_that_do_not_work_are_pending_and_those_without_carrier_are_not() {
    let dir = TempDir::new().unwrap();
    let ill = |n: &str, s, r: &str, m: &str| (n.to_owned(), s, r.to_owned(), m.to_owned());
    let ill = vec![
        ill("failed", PortState::Failed, "no netns blue", "vnet_hdr"),
        ill("absent", PortState::Down, "there is no interface absent", ""),
        ill("quiet", PortState::Down, "no carrier", "vnet_hdr"),
    ];
    let _dataplane = Fake::start(dir.path(), State { ill, ..Default::default() });
    let c = start(dir.path());
    add_br(&c, "br0").await.unwrap();
    assert_eq!(pending(&add_port(&c, "br0", "quiet").await.unwrap()), []);
    assert_eq!(pending(&add_port(&c, "br0", "failed").await.unwrap()), [("port failed", "no netns blue")]);
    let reply = add_port(&c, "br0", "absent").await.unwrap();
    assert_eq!(pending(&reply), [("port absent", "there is no interface absent")]);
    // Others' troubles are not this change's.
    assert_eq!(pending(&add_port(&c, "br0", "fine").await.unwrap()), []);
}

#[tokio::test]
async fn without_a_dataplane_a_change_is_recorded_and_delivered_later() {
    let dir = TempDir::new().unwrap();
    let c = start(dir.path());
    let began = Instant::now();
    let reply = add_br(&c, "br0").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "it must not wait out its time");
    let [("switch", reason)] = pending(&reply)[..] else { panic!("{reply:?}") };
    let socket = dir.path().join("datapath.sock");
    let run_dir = dir.path().display();
    assert_eq!(
        reason,
        format!(
            "vswd cannot be reached at {} (No such file or directory (os error 2)); start it with \
             `vswd --run-dir {run_dir}`; it gets the change as soon as it runs",
            socket.display()
        )
    );
    let wait = Some(Wait { no_wait: true, timeout_ms: None });
    let request = SetBridgeRequest { name: "br0".into(), ageing_seconds: Some(5), ..Default::default() };
    let reply = c.submit(wait, |now| edit::set_bridge(now, request)).await.unwrap();
    assert_eq!((reply.generation, pending(&reply)), (2, vec![]));

    // Let it see for a while that nobody is there.
    tokio::time::sleep(Duration::from_millis(250)).await;
    let dataplane = Fake::start(dir.path(), State::default());
    let began = Instant::now();
    eventually("the dataplane is told", || dataplane.state.lock().unwrap().applied.generation == 2).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(dataplane);

    // Another process of it, which knows nothing.
    let dataplane = Fake::start(dir.path(), State { started: 1, ..Default::default() });
    eventually("the restarted dataplane is told", || dataplane.state.lock().unwrap().generations == [2])
        .await;
}

#[tokio::test]
async fn a_slow_dataplane_is_waited_for_only_as_long_as_asked() {
    let dir = TempDir::new().unwrap();
    let slow = Some(Duration::from_millis(400));
    let dataplane = Fake::start(dir.path(), State { slow, ..Default::default() });
    let c = start(dir.path());
    let bridge = Some(Bridge { name: "br0".into(), ..Default::default() });
    let wait = Some(Wait { no_wait: false, timeout_ms: Some(50) });
    let reply =
        c.submit(wait, |now| edit::add_bridge(now, AddBridgeRequest { bridge, wait: None })).await.unwrap();
    assert_eq!(pending(&reply), [("switch", "vswd has not applied generation 1 within 50 ms")]);
    eventually("it comes all the same", || dataplane.state.lock().unwrap().applied.generation == 1).await;
}

#[tokio::test]
async fn what_the_dataplane_refuses_is_not_recorded() {
    let dir = TempDir::new().unwrap();
    let dataplane = Fake::start(dir.path(), State::default());
    let c = start(dir.path());
    add_br(&c, "br0").await.unwrap();
    add_port(&c, "br0", "old").await.unwrap();
    let refusal = |o: &str, r: &str| Refusal { object: o.into(), reason: r.into() };
    dataplane.state.lock().unwrap().refusals = vec![
        refusal("port old", "has lost its interface"),
        refusal("port p", "is owned by bond0; take it out"),
    ];
    let before = c.config();
    let e = add_port(&c, "br0", "p").await.unwrap_err();
    assert_eq!(e.to_string(), "port p: is owned by bond0; take it out");
    assert_eq!(e.code(), tonic::Code::FailedPrecondition);
    assert_eq!(c.config(), before);
    // A refusal of something else does not stop this.
    add_port(&c, "br0", "q").await.unwrap();
    // What breaks a rule does not even get there.
    let e = add_port(&c, "br0", "no/name").await.unwrap_err();
    assert_eq!(e.code(), tonic::Code::InvalidArgument);
    stop(c).await;
    assert_eq!(Store::open(dir.path()).unwrap().1.generation().0, 3);
}

#[tokio::test]
async fn a_dataplane_from_the_future_is_overtaken() {
    let dir = TempDir::new().unwrap();
    let c = start(dir.path());
    add_br(&c, "br0").await.unwrap();
    let applied = Config { generation: 40, ..Default::default() };
    let dataplane = Fake::start(dir.path(), State { applied, ..Default::default() });
    eventually("it is overtaken", || dataplane.state.lock().unwrap().applied.generation == 41).await;
    assert_eq!(dataplane.state.lock().unwrap().applied.bridges.len(), 1);
    assert_eq!(add_br(&c, "br1").await.unwrap().generation, 42);
    stop(c).await;
    assert_eq!(Store::open(dir.path()).unwrap().1.generation().0, 42);
}

#[tokio::test]
async fn an_empty_store_empties_no_switch() {
    let dir = TempDir::new().unwrap();
    let applied = Config {
        generation: 40,
        bridges: vec![Bridge { name: "br0".into(), ..Default::default() }],
        ..Default::default()
    };
    let dataplane = Fake::start(dir.path(), State { applied, ..Default::default() });
    let c = start(dir.path());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(dataplane.state.lock().unwrap().generations, [0u64; 0]);
    drop(c);
}

/// A client that hangs up in the middle of a change leaves memory and disk agreeing.
#[tokio::test]
async fn hanging_up_does_not_split_store_and_memory() {
    let dir = TempDir::new().unwrap();
    let c = start(dir.path());
    for n in 0..30 {
        let name = format!("br{n}");
        let _ = tokio::time::timeout(Duration::from_micros(n * 200), add_br(&c, &name)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Whatever was under way comes to its end, later where the disk is slow.
        eventually(&format!("store and memory agree after {n}"), || {
            let copy = TempDir::new().unwrap();
            let file = vsw_control::FILE;
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
            Store::open(copy.path()).is_ok_and(|(_, recorded)| recorded == *c.config())
        })
        .await;
    }
    assert!(c.config().generation().0 > 0, "no change got through");
}

/// Right after the start, before anybody has looked for the dataplane.
#[tokio::test]
async fn a_change_that_changes_nothing_waits_for_the_first_look() {
    let dir = TempDir::new().unwrap();
    let _dataplane = Fake::start(dir.path(), State::default());
    let c = start(dir.path());
    let request = DeleteBridgeRequest { name: "br0".into(), if_exists: true, wait: None };
    let reply = c.submit(None, |now| edit::delete_bridge(now, request)).await.unwrap();
    assert_eq!((reply.generation, pending(&reply)), (0, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_are_all_made() {
    let dir = TempDir::new().unwrap();
    let _dataplane = Fake::start(dir.path(), State::default());
    let c = start(dir.path());
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let c = c.clone();
            tokio::spawn(async move { add_br(&c, &format!("br{n}")).await.unwrap() })
        })
        .collect();
    let mut generations = Vec::new();
    for task in tasks {
        generations.push(task.await.unwrap().generation);
    }
    generations.sort_unstable();
    assert_eq!(generations, (1..=20).collect::<Vec<_>>());
    assert_eq!(c.config().bridges().count(), 20);
}
