//! Arguments that both daemons take, and the log as they ask for it.

use anyhow::Result;
use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Arguments of both daemons; to be flattened into theirs.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Directory of sockets and pid files
    #[arg(long, env = "VSW_RUN_DIR", default_value = "/run/vsw", value_name = "DIR")]
    pub run_dir: PathBuf,
    /// Directory of what must survive a restart
    #[arg(long, env = "VSW_STATE_DIR", default_value = "/var/lib/vsw", value_name = "DIR")]
    pub state_dir: PathBuf,
    #[arg(long, value_enum, default_value_t = LogFormat::Text, help = "How log lines look")]
    log_format: LogFormat,
    /// Log more; twice: everything. RUST_LOG overrides it
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Common {
    /// To standard error, for the whole process. Called once.
    fn start_log(&self) {
        let default = match self.verbose {
            0 => "info",
            1 => "debug,h2=info,tower=info,hyper_util=info,tonic=info",
            _ => "trace",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
            LogFormat::Json => log.json().init(),
        }
    }
}

/// Runs a daemon to its end; an error is one sentence on standard error and exit status 1.
pub fn run(common: &Common, daemon: impl FnOnce() -> Result<()>) -> ExitCode {
    common.start_log();
    match daemon() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
