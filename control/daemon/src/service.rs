//! The gRPC service `vsw.v1.Control`: each call is one line to the core, or a question passed on to the
//! dataplane after the names in it were checked. Holds no state of its own; calls run concurrently.

use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};
use vsw_api::v1::{control_server::Control, *};
use vsw_config::Config;
use vsw_control::edit::{self, Change};
use vsw_control::{Controller, Error, Fault};

type Reply<T> = Result<Response<T>, Status>;

#[derive(Debug)]
pub(crate) struct Service {
    controller: Arc<Controller>,
}

impl Service {
    pub(crate) fn new(controller: Arc<Controller>) -> Self {
        Self { controller }
    }

    /// The port, if one is named.
    fn exists(&self, port: Option<&str>) -> Result<(), Error> {
        match port {
            Some(port) if self.controller.config().port(port).is_none() => {
                Err(Error::UnknownPort(port.to_owned()))
            }
            _ => Ok(()),
        }
    }

    async fn change<F>(&self, wait: Option<Wait>, edit: F) -> Reply<ChangeReply>
    where
        F: FnOnce(&Config) -> Result<Change, Error>,
    {
        Ok(Response::new(self.controller.submit(wait, edit).await?))
    }
}

#[tonic::async_trait]
impl Control for Service {
    async fn add_bridge(&self, request: Request<AddBridgeRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::add_bridge(now, r)).await
    }
    async fn set_bridge(&self, request: Request<SetBridgeRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::set_bridge(now, r)).await
    }
    async fn delete_bridge(&self, request: Request<DeleteBridgeRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::delete_bridge(now, r)).await
    }
    async fn add_port(&self, request: Request<AddPortRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::add_port(now, r)).await
    }
    async fn set_port(&self, request: Request<SetPortRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::set_port(now, r)).await
    }
    async fn delete_port(&self, request: Request<DeletePortRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::delete_port(now, r)).await
    }
    async fn add_station(&self, request: Request<AddStationRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::add_station(now, r)).await
    }
    async fn delete_station(&self, request: Request<DeleteStationRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::delete_station(now, r)).await
    }

    async fn add_qos(&self, request: Request<AddQosRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::add_qos(now, r)).await
    }
    async fn set_qos(&self, request: Request<SetQosRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::set_qos(now, r)).await
    }
    async fn delete_qos(&self, request: Request<DeleteQosRequest>) -> Reply<ChangeReply> {
        let r = request.into_inner();
        self.change(r.wait, |now| edit::delete_qos(now, r)).await
    }

    async fn flush_macs(&self, request: Request<FlushMacsRequest>) -> Reply<FlushMacsReply> {
        let r = request.into_inner();
        edit::selection(&self.controller.config(), &r.bridge, r.port.as_deref(), r.vlan)?;
        // The dataplane first: when it is away, nothing has changed.
        let learned = FlushRequest { bridge: r.bridge.clone(), port: r.port.clone(), vlan: r.vlan };
        let mut flushed = self.controller.datapath().flush_macs(learned).await?.flushed;
        if r.r#static {
            let mut gone = 0;
            let without = |now: &_| {
                let (change, n) = edit::flush_stations(now, &r)?;
                gone = n;
                Ok(change)
            };
            self.controller.submit(None, without).await?;
            flushed += gone;
        }
        Ok(Response::new(FlushMacsReply { flushed }))
    }

    async fn show(&self, request: Request<ShowRequest>) -> Reply<ShowReply> {
        let only = request.into_inner().bridge;
        let now = self.controller.config();
        let mut config = vsw_api::message(&now);
        if let Some(bridge) = only {
            edit::known(&now, &bridge, None)?;
            config.bridges.retain(|b| b.name == bridge);
        }
        let (datapath, unreachable) = match self.controller.datapath().status().await {
            Ok(status) => (Some(status), String::new()),
            Err(Fault::Away(why) | Fault::Said(_, why)) => (None, why),
        };
        Ok(Response::new(ShowReply { config: Some(config), datapath, unreachable }))
    }

    type ListMacsStream = Streaming<MacChunk>;
    async fn list_macs(&self, request: Request<ListMacsRequest>) -> Reply<Self::ListMacsStream> {
        let r = request.into_inner();
        edit::selection(&self.controller.config(), &r.bridge, r.port.as_deref(), r.vlan)?;
        Ok(Response::new(self.controller.datapath().list_macs(r).await?))
    }

    async fn get_counters(&self, request: Request<GetCountersRequest>) -> Reply<CountersReply> {
        let r = request.into_inner();
        self.exists(r.port.as_deref())?;
        Ok(Response::new(self.controller.datapath().counters(r).await?))
    }

    async fn get_qos_stats(&self, request: Request<GetQosStatsRequest>) -> Reply<QosStatsReply> {
        let r = request.into_inner();
        self.exists(r.port.as_deref())?;
        Ok(Response::new(self.controller.datapath().qos_stats(r).await?))
    }

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Reply<GetVersionReply> {
        let datapath = self.controller.datapath().status().await.map(|s| s.version).unwrap_or_default();
        Ok(Response::new(GetVersionReply { control: env!("CARGO_PKG_VERSION").into(), datapath }))
    }
}
