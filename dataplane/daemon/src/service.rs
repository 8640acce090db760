//! The gRPC service `vsw.v1.Datapath`: turns messages into questions for the switch thread.
//!
//! Nothing that a client sends is trusted: a configuration is checked here again, whole.

use crate::mailbox::Mailbox;
use crate::message::{Message, Refused, Scope};
use std::pin::Pin;
use tokio::sync::oneshot;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use vsw_api::v1;
use vsw_api::v1::datapath_server::{Datapath, DatapathServer};
use vsw_config::Config;
use vsw_types::VlanId;

/// Stations in one message of a list.
const CHUNK: usize = 1024;
/// Bytes of one request: 4,096 ports with everything said are some 2 MB.
const LARGEST: usize = 64 << 20;

pub(crate) struct Service(Mailbox);

pub(crate) fn service(mailbox: Mailbox) -> DatapathServer<Service> {
    DatapathServer::new(Service(mailbox)).max_decoding_message_size(LARGEST)
}

impl Service {
    /// Asks the switch thread.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let gone = || Status::unavailable("vswd is stopping");
        if !self.0.send(question(reply)) {
            return Err(gone());
        }
        answer.await.map_err(|_| gone())
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound(why) => Self::not_found(why),
            Refused::Stale(why) => Self::failed_precondition(why),
            Refused::Broken(why) => Self::internal(why),
        }
    }
}

fn checked(config: v1::Config) -> Result<Config, Status> {
    Config::try_from(vsw_api::draft(config)).map_err(|found| {
        let all: Vec<String> = found.iter().map(ToString::to_string).collect();
        Status::invalid_argument(all.join("; "))
    })
}

fn scope(bridge: String, vlan: Option<u32>, port: Option<String>) -> Result<Scope, Status> {
    let vlan = vlan.map(VlanId::new).transpose().map_err(|e| Status::invalid_argument(e.to_string()))?;
    Ok(Scope { bridge, vlan, port })
}

#[tonic::async_trait]
impl Datapath for Service {
    async fn check(&self, request: Request<v1::Config>) -> Result<Response<v1::CheckReply>, Status> {
        let config = checked(request.into_inner())?;
        let refusals = self.ask(|reply| Message::Check(config, reply)).await?;
        Ok(Response::new(v1::CheckReply { refusals }))
    }

    async fn apply(&self, request: Request<v1::Config>) -> Result<Response<v1::DatapathStatus>, Status> {
        let config = checked(request.into_inner())?;
        Ok(Response::new(self.ask(|reply| Message::Apply(config, reply)).await??))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::DatapathStatus>, Status> {
        Ok(Response::new(self.ask(Message::Status).await?))
    }

    async fn flush_macs(
        &self,
        request: Request<v1::FlushRequest>,
    ) -> Result<Response<v1::FlushReply>, Status> {
        let r = request.into_inner();
        let scope = scope(r.bridge, r.vlan, r.port)?;
        let flushed = self.ask(|reply| Message::Flush(scope, reply)).await??;
        Ok(Response::new(v1::FlushReply { flushed }))
    }

    type ListMacsStream = Pin<Box<dyn Stream<Item = Result<v1::MacChunk, Status>> + Send>>;

    async fn list_macs(
        &self,
        request: Request<v1::ListMacsRequest>,
    ) -> Result<Response<Self::ListMacsStream>, Status> {
        let r = request.into_inner();
        let scope = scope(r.bridge, r.vlan, r.port)?;
        let macs = self.ask(|reply| Message::Macs(scope, reply)).await??;
        let chunks: Vec<_> = macs.chunks(CHUNK).map(|c| v1::MacChunk { macs: c.to_vec() }).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks).map(Ok))))
    }

    async fn get_counters(
        &self,
        request: Request<v1::GetCountersRequest>,
    ) -> Result<Response<v1::CountersReply>, Status> {
        let port = request.into_inner().port;
        let ports = self.ask(|reply| Message::Counters(port, reply)).await?;
        Ok(Response::new(v1::CountersReply { ports }))
    }

    async fn get_qos_stats(
        &self,
        request: Request<v1::GetQosStatsRequest>,
    ) -> Result<Response<v1::QosStatsReply>, Status> {
        let port = request.into_inner().port;
        let ports = self.ask(|reply| Message::QosStats(port, reply)).await?;
        Ok(Response::new(v1::QosStatsReply { ports }))
    }
}
