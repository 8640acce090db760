//! A dataplane that only remembers what it was told, on a real socket: for tests of those who tell it.
#![allow(dead_code, unreachable_pub)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};
use vsw_api::v1::datapath_server::{self, DatapathServer};
use vsw_api::v1::*;

/// What the test sets and sees.
#[derive(Debug, Default)]
pub struct State {
    pub applied: Config,
    /// Every generation that was applied, in order.
    pub generations: Vec<u64>,
    /// Answered to every check.
    pub refusals: Vec<Refusal>,
    /// Ports that are not up: (name, state, reason, mode).
    pub ill: Vec<(String, PortState, String, String)>,
    pub started: u64,
    pub flushed: Vec<FlushRequest>,
    /// Makes every apply take this long.
    pub slow: Option<std::time::Duration>,
}

/// Runs until it is dropped; its socket stays behind, as after a crash. It has its own threads, so that its
/// connections die with it.
#[derive(Debug)]
pub struct Fake {
    pub state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl Fake {
    pub fn start(run_dir: &Path, state: State) -> Self {
        let path = run_dir.join("datapath.sock");
        let _ = std::fs::remove_file(&path);
        let state = Arc::new(Mutex::new(state));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(path).unwrap()
        };
        let server = tonic::transport::Server::builder()
            .add_service(DatapathServer::new(Service(state.clone())))
            .serve_with_incoming(UnixListenerStream::new(listener));
        runtime.spawn(server);
        Self { state, runtime: Some(runtime) }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

struct Service(Arc<Mutex<State>>);

impl Service {
    fn status(&self) -> DatapathStatus {
        let state = self.0.lock().unwrap();
        let ports = state.applied.bridges.iter().flat_map(|b| b.ports.iter().map(move |p| (b, p)));
        let port = |(b, p): (&Bridge, &Port)| {
            let mut status = PortStatus {
                name: p.name.clone(),
                bridge: b.name.clone(),
                state: PortState::Up.into(),
                r#type: "tap".into(),
                type_reason: "there was no such interface".into(),
                mode: "vnet_hdr".into(),
                mac: "02:00:00:00:00:01".into(),
                mtu: 1500,
                queues: 1,
                offloads: vec!["csum".into(), "tso4".into()],
                ..Default::default()
            };
            if let Some((_, state, reason, mode)) = state.ill.iter().find(|i| i.0 == p.name) {
                status.state = (*state).into();
                (status.reason, status.mode) = (reason.clone(), mode.clone());
            }
            status
        };
        DatapathStatus {
            generation: state.applied.generation,
            ports: ports.map(port).collect(),
            version: "1.2.3".into(),
            started: state.started,
        }
    }
}

#[tonic::async_trait]
impl datapath_server::Datapath for Service {
    async fn check(&self, _: Request<Config>) -> Result<Response<CheckReply>, Status> {
        Ok(Response::new(CheckReply { refusals: self.0.lock().unwrap().refusals.clone() }))
    }
    async fn apply(&self, request: Request<Config>) -> Result<Response<DatapathStatus>, Status> {
        let slow = self.0.lock().unwrap().slow;
        if let Some(time) = slow {
            tokio::time::sleep(time).await;
        }
        {
            let mut state = self.0.lock().unwrap();
            let config = request.into_inner();
            if config.generation < state.applied.generation {
                return Err(Status::failed_precondition("an older generation"));
            }
            state.generations.push(config.generation);
            state.applied = config;
        }
        Ok(Response::new(self.status()))
    }
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<DatapathStatus>, Status> {
        Ok(Response::new(self.status()))
    }
    async fn flush_macs(&self, request: Request<FlushRequest>) -> Result<Response<FlushReply>, Status> {
        self.0.lock().unwrap().flushed.push(request.into_inner());
        Ok(Response::new(FlushReply { flushed: 3 }))
    }
    type ListMacsStream = tokio_stream::Iter<std::vec::IntoIter<Result<MacChunk, Status>>>;
    async fn list_macs(
        &self,
        request: Request<ListMacsRequest>,
    ) -> Result<Response<Self::ListMacsStream>, Status> {
        let bridge = request.into_inner().bridge;
        let state = self.0.lock().unwrap();
        let ports = state.applied.bridges.iter().filter(|b| b.name == bridge).flat_map(|b| &b.ports);
        let chunk = |(n, p): (usize, &Port)| {
            let mac = format!("02:00:00:00:01:{n:02x}");
            let mac = Mac { mac, vlan: 10, port: p.name.clone(), age_seconds: 4, r#static: n == 0 };
            Ok(MacChunk { macs: vec![mac] })
        };
        let chunks: Vec<_> = ports.enumerate().map(chunk).collect();
        Ok(Response::new(tokio_stream::iter(chunks)))
    }
    async fn get_counters(
        &self,
        request: Request<GetCountersRequest>,
    ) -> Result<Response<CountersReply>, Status> {
        let only = request.into_inner().port;
        let state = self.0.lock().unwrap();
        let ports = state.applied.bridges.iter().flat_map(|b| b.ports.iter().map(move |p| (b, p)));
        let drop = |direction: &str, reason: &str, packets| DropCount {
            direction: direction.into(),
            reason: reason.into(),
            text: "The frame was dropped for a test.".into(),
            packets,
        };
        let counters = |(b, p): (&Bridge, &Port)| PortCounters {
            bridge: b.name.clone(),
            port: p.name.clone(),
            rx_packets: 100,
            rx_bytes: 6400,
            tx_packets: 50,
            tx_bytes: 3200,
            drops: vec![
                drop("rx", "vlan", 7),
                drop("rx", "runt", 2),
                drop("tx", "full", 5),
                drop("tx", "mtu", 0),
            ],
            macs: 3,
            macs_refused: 2,
            ..Default::default()
        };
        let ports = ports.filter(|(_, p)| only.as_ref().is_none_or(|o| *o == p.name)).map(counters).collect();
        Ok(Response::new(CountersReply { ports }))
    }

    async fn get_qos_stats(
        &self,
        request: Request<GetQosStatsRequest>,
    ) -> Result<Response<QosStatsReply>, Status> {
        let only = request.into_inner().port;
        let state = self.0.lock().unwrap();
        let ports = state.applied.bridges.iter().flat_map(|b| b.ports.iter().map(move |p| (b, p)));
        let ports = ports.filter(|(_, p)| only.as_ref().map_or(p.qos.is_some(), |o| *o == p.name));
        let ports = ports.map(|(b, p)| qos_stats(&state.applied, b, p)).collect();
        Ok(Response::new(QosStatsReply { ports }))
    }
}

/// Round numbers for what is configured.
fn qos_stats(config: &Config, bridge: &Bridge, port: &Port) -> PortQosStats {
    let qos = port.qos.clone().unwrap_or_default();
    let named = || config.profiles.iter().find(|p| Some(&p.name) == qos.profile.as_ref());
    let profile = qos.own.as_ref().or_else(named).cloned().unwrap_or_default();
    let count = |packets| Some(QosCount { packets, bytes: packets * 1000 });
    let queue = |name: &str| ClassStats {
        name: name.into(),
        sent: count(1000),
        drops: vec![
            QosDrop { reason: "class-full".into(), packets: 4 },
            QosDrop { reason: "class-delay".into(), packets: 3 },
        ],
        ecn_marked: 2,
        queue_packets: 12,
        queue_bytes: 12_000,
        queue_bytes_max: 60_000,
        delay_ns: 1_500_000,
        delay_ns_max: 25_000_000,
    };
    let storm = qos.storm.and_then(|s| s.broadcast).map(|_| StormStats {
        kind: "broadcast".into(),
        passed: count(500),
        dropped: count(70),
    });
    let waits = |p: &Policer| p.red == "wait";
    PortQosStats {
        bridge: bridge.name.clone(),
        port: port.name.clone(),
        profile: qos.profile.unwrap_or_default(),
        sent_by: profile.sent_by.as_ref().filter(|p| !waits(p)).map(|_| PolicerStats {
            green: count(90),
            yellow: count(8),
            red: count(2),
            dropped: count(2),
            remarked: 8,
        }),
        storm: storm.into_iter().collect(),
        sent_by_queue: profile.sent_by.as_ref().filter(|p| waits(p)).map(|_| queue("")),
        classes: profile.sent_to.iter().flat_map(|s| &s.classes).map(|c| queue(&c.name)).collect(),
    }
}
