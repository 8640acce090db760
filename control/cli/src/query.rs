//! The commands that only ask.

use crate::args::{Format, Global, QosQuery, Query};
use crate::client::{Client, Failure};
use crate::output::{self, View};
use crate::qos::list::Profile;
use crate::qos::show::{PortStats, Shown};
use crate::tables::Rates;
use crate::view::{Drop, Mac, Stats, Switch, Versions};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use vsw_api::v1::*;

/// Between two looks of `--watch`.
const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn run(query: &Query, global: &Global) -> Result<(), Failure> {
    let format = global.output;
    if let (Query::Version, Format::Table) = (query, format) {
        return version(global).await;
    }
    let client = Client::connect(global).await?;
    match query {
        Query::ListBr => {
            let config = show(&client, None).await?.config.unwrap_or_default();
            let names: Vec<String> = config.bridges.into_iter().map(|b| b.name).collect();
            output::show(format, &names)
        }
        Query::ListPorts { bridge } => {
            let config = show(&client, Some(bridge.clone())).await?.config.unwrap_or_default();
            let ports = config.bridges.into_iter().flat_map(|b| b.ports);
            output::show(format, &ports.map(|p| p.name).collect::<Vec<String>>())
        }
        Query::Show { bridge } => output::show(format, &Switch::new(show(&client, bridge.clone()).await?)),
        Query::ShowMacs { bridge, vlan, port } => {
            let request = ListMacsRequest { bridge: bridge.clone(), vlan: *vlan, port: port.clone() };
            output::show(format, &macs(&client, request).await?)
        }
        Query::Stats { port, watch: false } => output::show(format, &stats(&counters(&client, port).await?)),
        Query::Stats { port, watch: true } => watch_stats(&client, port, format).await,
        Query::Drops { port, watch: false } => {
            output::show(format, &Drop::all(counters(&client, port).await?))
        }
        Query::Drops { port, watch: true } => loop {
            again(format, &Drop::all(counters(&client, port).await?))?;
            tokio::time::sleep(SECOND).await;
        },
        Query::ListQos => {
            let config = show(&client, None).await?.config.unwrap_or_default();
            output::show(format, &Profile::all(&config))
        }
        Query::Qos(QosQuery::Show { port, watch: false }) => {
            output::show(format, &Shown { now: qos(&client, port).await?, before: None })
        }
        Query::Qos(QosQuery::Show { port, watch: true }) => watch_qos(&client, port, format).await,
        Query::Version => output::show(format, &versions(&client).await?),
    }
}

async fn show(client: &Client, bridge: Option<String>) -> Result<ShowReply, Failure> {
    client.answer(client.api.clone().show(ShowRequest { bridge })).await
}

async fn counters(client: &Client, port: &Option<String>) -> Result<CountersReply, Failure> {
    client.answer(client.api.clone().get_counters(GetCountersRequest { port: port.clone() })).await
}

fn stats(reply: &CountersReply) -> Vec<Stats> {
    reply.ports.iter().map(Stats::from).collect()
}

async fn macs(client: &Client, request: ListMacsRequest) -> Result<Vec<Mac>, Failure> {
    let mut chunks = client.answer(client.api.clone().list_macs(request)).await?;
    let mut macs = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(|status| client.failure(&status))? {
        macs.extend(chunk.macs.into_iter().map(Mac::from));
    }
    macs.sort_by(|a, b| (a.vlan, &a.mac).cmp(&(b.vlan, &b.mac)));
    Ok(macs)
}

async fn versions(client: &Client) -> Result<Versions, Failure> {
    let reply = client.answer(client.api.clone().get_version(GetVersionRequest {})).await?;
    Ok(Versions { vswctl: env!("CARGO_PKG_VERSION"), vswcontrold: reply.control, vswd: reply.datapath })
}

/// One's own version is known even when nobody answers.
async fn version(global: &Global) -> Result<(), Failure> {
    let found = match Client::connect(global).await {
        Ok(client) => versions(&client).await,
        Err(e) => Err(e),
    };
    match found {
        Ok(versions) => output::show(Format::Table, &versions),
        Err(e) => {
            output::print(&format!("vswctl       {}\n", env!("CARGO_PKG_VERSION")))?;
            Err(e)
        }
    }
}

async fn watch_stats(client: &Client, port: &Option<String>, format: Format) -> Result<(), Failure> {
    let mut before = stats(&counters(client, port).await?);
    let mut looked = Instant::now();
    loop {
        tokio::time::sleep(SECOND).await;
        let now = stats(&counters(client, port).await?);
        let seconds = looked.elapsed().as_secs_f64();
        looked = Instant::now();
        again(format, &Rates { now: now.clone(), before, seconds })?;
        before = now;
    }
}

async fn qos(client: &Client, port: &Option<String>) -> Result<Vec<PortStats>, Failure> {
    let request = GetQosStatsRequest { port: port.clone() };
    let reply = client.answer(client.api.clone().get_qos_stats(request)).await?;
    Ok(reply.ports.into_iter().map(PortStats::from).collect())
}

async fn watch_qos(client: &Client, port: &Option<String>, format: Format) -> Result<(), Failure> {
    let mut before = qos(client, port).await?;
    let mut looked = Instant::now();
    loop {
        tokio::time::sleep(SECOND).await;
        let now = qos(client, port).await?;
        let seconds = looked.elapsed().as_secs_f64();
        looked = Instant::now();
        again(format, &Shown { now: now.clone(), before: Some((before, seconds)) })?;
        before = now;
    }
}

/// In the same place on a terminal, below otherwise. YAML documents are kept apart.
fn again(format: Format, view: &impl View) -> Result<(), Failure> {
    let text = output::rendered(format, view)?;
    match format {
        Format::Table if std::io::stdout().is_terminal() => output::print(&format!("\x1b[H\x1b[2J{text}")),
        Format::Table => output::print(&format!("{text}\n")),
        Format::Yaml => output::print(&format!("---\n{text}")),
        Format::Json => output::print(&text),
    }
}
