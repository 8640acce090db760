//! Reaching the control process, and what can come of it: the exit statuses of the command.

use crate::args::Global;
use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use vsw_api::v1::{Pending, Wait, control_client::ControlClient};

/// For the answer, besides what a change may wait for the dataplane.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one answer. A full switch with many static stations is some tens of megabytes.
const LARGEST: usize = 256 << 20;

/// Why a command ends otherwise than with 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 1. Nothing has changed.
    Refused(String),
    /// 2. Clap finds most of these itself.
    Usage(String),
    /// 3.
    Unreachable(String),
    /// 4. Recorded, but not in force.
    Pending(Vec<Pending>),
}

impl Failure {
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Pending(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    /// Whole lines, for standard error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Usage(why) | Self::Unreachable(why) => writeln!(f, "error: {why}"),
            Self::Pending(all) => all
                .iter()
                .try_for_each(|p| writeln!(f, "pending: {}: {}; it will be retried", p.object, p.reason)),
        }
    }
}

/// A connection to vswcontrold.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) api: ControlClient<Channel>,
    address: String,
    limit: Duration,
}

impl Client {
    pub(crate) async fn connect(global: &Global) -> Result<Self, Failure> {
        let socket = global.run_dir.join("control.sock");
        let address = global.control.clone().unwrap_or_else(|| format!("unix:{}", socket.display()));
        if address.starts_with("https:") || address.starts_with("http:") {
            let why = "control over TCP with TLS is not there yet; use unix:PATH";
            return Err(Failure::Usage(format!("--control {address}: {why}")));
        }
        let Some(path) = address.strip_prefix("unix:").filter(|path| !path.is_empty()) else {
            return Err(Failure::Usage(format!("--control {address}: is no address; write unix:PATH")));
        };
        let start = match std::path::Path::new(path).parent() {
            Some(dir) if path.ends_with("/control.sock") => {
                format!("vswcontrold --run-dir {}", dir.display())
            }
            _ => "vswcontrold".into(),
        };
        let unreachable = |cause: String| {
            let does =
                if cause.contains("ermission denied") { "run vswctl as root" } else { "start it with" };
            let hint = if does == "start it with" { format!("{does} `{start}`") } else { does.into() };
            Failure::Unreachable(format!("vswcontrold cannot be reached at {address} ({cause}); {hint}"))
        };
        let endpoint = Endpoint::from_shared(address.clone()).map_err(|e| unreachable(deepest(&e)))?;
        let channel = endpoint.connect_timeout(Duration::from_secs(5)).connect().await;
        let api = ControlClient::new(channel.map_err(|e| unreachable(deepest(&e)))?);
        let limit = PATIENCE + Duration::from_secs(global.timeout.into());
        Ok(Self { api: api.max_decoding_message_size(LARGEST), address, limit })
    }

    /// The answer to a call on `api`.
    pub(crate) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(self.failure(&status)),
            Err(_) => Err(Failure::Unreachable(format!(
                "vswcontrold at {} does not answer within {} s; look at its log",
                self.address,
                self.limit.as_secs()
            ))),
        }
    }

    /// What the other side says has no source; what breaks on the way has one.
    pub(crate) fn failure(&self, status: &Status) -> Failure {
        match status.source() {
            None => Failure::Refused(status.message().to_owned()),
            Some(e) => Failure::Unreachable(format!(
                "the connection to vswcontrold at {} broke ({}); see with `vswctl show` what was recorded",
                self.address,
                deepest(e)
            )),
        }
    }
}

fn deepest(mut e: &dyn std::error::Error) -> String {
    while let Some(deeper) = e.source() {
        e = deeper;
    }
    e.to_string()
}

/// How long a change may take, as asked on the command line.
pub(crate) fn wait(global: &Global) -> Option<Wait> {
    Some(Wait { no_wait: global.no_wait, timeout_ms: Some(global.timeout.saturating_mul(1000)) })
}
