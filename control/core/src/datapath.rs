//! The dataplane as the control process sees it: a gRPC client on `datapath.sock`.
//!
//! The channel connects when it is used and again after it broke, so one client serves for ever. Every call
//! has a limit in time. Clones share the connection; calls may be made from any task.

use crate::one_line;
use std::error::Error as _;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming};
use vsw_api::v1::{self, datapath_client::DatapathClient};

/// The socket's name in the run directory.
const SOCKET: &str = "datapath.sock";
/// For questions. The dataplane answers them from memory.
const QUESTION: Duration = Duration::from_secs(2);
/// For a configuration, which may open thousands of ports.
const APPLY: Duration = Duration::from_secs(60);
/// Bytes of one answer: the status of the most ports that a switch can have is some 2 MB.
const LARGEST: usize = 64 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached: a sentence that says how to start it.
    Away(String),
    /// It answered with an error.
    Said(Code, String),
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Away(why) => Self::unavailable(one_line(&why)),
            Fault::Said(code, why) => Self::new(code, one_line(&why)),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Datapath {
    client: DatapathClient<Channel>,
    socket: PathBuf,
}

impl Datapath {
    /// For the dataplane of a run directory. Connects later; must be called in a tokio runtime.
    pub fn new(run_dir: &Path) -> Result<Self, tonic::transport::Error> {
        let socket = run_dir.join(SOCKET);
        let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display()))?
            .connect_timeout(Duration::from_secs(1));
        let client = DatapathClient::new(endpoint.connect_lazy()).max_decoding_message_size(LARGEST);
        Ok(Self { client, socket })
    }

    pub async fn check(&self, config: v1::Config) -> Result<Vec<v1::Refusal>, Fault> {
        let mut client = self.client.clone();
        Ok(self.within(QUESTION, client.check(config)).await?.refusals)
    }
    pub async fn apply(&self, config: v1::Config) -> Result<v1::DatapathStatus, Fault> {
        let mut client = self.client.clone();
        self.within(APPLY, client.apply(config)).await
    }
    pub async fn status(&self) -> Result<v1::DatapathStatus, Fault> {
        let mut client = self.client.clone();
        self.within(QUESTION, client.get_status(v1::GetStatusRequest {})).await
    }
    pub async fn flush_macs(&self, request: v1::FlushRequest) -> Result<v1::FlushReply, Fault> {
        let mut client = self.client.clone();
        self.within(QUESTION, client.flush_macs(request)).await
    }
    pub async fn list_macs(&self, request: v1::ListMacsRequest) -> Result<Streaming<v1::MacChunk>, Fault> {
        let mut client = self.client.clone();
        self.within(QUESTION, client.list_macs(request)).await
    }
    pub async fn counters(&self, request: v1::GetCountersRequest) -> Result<v1::CountersReply, Fault> {
        let mut client = self.client.clone();
        self.within(QUESTION, client.get_counters(request)).await
    }

    pub async fn qos_stats(&self, request: v1::GetQosStatsRequest) -> Result<v1::QosStatsReply, Fault> {
        let mut client = self.client.clone();
        self.within(QUESTION, client.get_qos_stats(request)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(self.fault(&status)),
            Err(_) => Err(Fault::Away(format!(
                "vswd does not answer at {} within {} s; look at its log",
                self.socket.display(),
                limit.as_secs()
            ))),
        }
    }

    fn fault(&self, status: &Status) -> Fault {
        // An answer from the other side has no source; what tonic itself reports has.
        let Some(mut cause) = status.source() else {
            if status.code() != Code::Unavailable {
                return Fault::Said(status.code(), status.message().to_owned());
            }
            return self.away(status.message());
        };
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        self.away(&cause.to_string())
    }

    fn away(&self, cause: &str) -> Fault {
        let dir = self.socket.parent().unwrap_or(Path::new("/")).display();
        let socket = self.socket.display();
        Fault::Away(format!(
            "vswd cannot be reached at {socket} ({cause}); start it with `vswd --run-dir {dir}`"
        ))
    }
}
