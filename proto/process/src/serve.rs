//! Serving gRPC on the run directory's socket until SIGTERM or SIGINT.

use crate::RunDir;
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH;
use tracing::{info, warn};

/// How long calls under way may go on when the process is told to stop.
pub const GRACE: Duration = Duration::from_secs(2);

/// Serves `service`, health and reflection. Says `READY=1` when clients can come.
///
/// # Errors
/// When nothing can listen on the socket, or it breaks.
pub async fn serve<S>(run_dir: &RunDir, service: S) -> Result<()>
where
    S: NamedService
        + tower_service::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
        > + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<S>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(vsw_api::v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(HEALTH)
        .with_service_name(S::NAME)
        .with_service_name("grpc.health.v1.Health")
        .build_v1()?;

    let incoming = run_dir.listen()?;
    let (stop, mut stopping) = tokio::sync::watch::channel(false);
    let stopped = {
        let mut stopping = stopping.clone();
        async move { drop(stopping.wait_for(|s| *s).await) }
    };
    let server = Server::builder()
        .add_service(health_service)
        .add_service(reflection)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stopped);
    info!("ready at {}", run_dir.socket().display());
    if let Err(e) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        warn!("systemd: cannot be told READY=1: {e}");
    }

    let signals = async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        info!("stopping");
        stop.send_replace(true);
    };
    // A client that keeps its connection open does not keep the process alive.
    let patience = async {
        drop(stopping.wait_for(|s| *s).await);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        (served, ()) = async { tokio::join!(server, signals) } => served.with_context(|| format!("{}: broke", run_dir.socket().display()))?,
        () = patience => {}
    }
    Ok(())
}
