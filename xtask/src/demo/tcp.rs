//! The two ends of a TCP transfer, each a process in its own network namespace: the chores `tcp-serve` and
//! `tcp-send`, which the demo starts. Every byte is checked.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of what is sent again and again.
const BLOCK: usize = 256 * 1024;
/// Longest silence of the other end.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(crate) enum End {
    /// Takes one connection, and prints `BYTES SECONDS`.
    #[command(hide = true)]
    TcpServe { address: SocketAddr },
    /// Sends for so many seconds.
    #[command(hide = true)]
    TcpSend { address: SocketAddr, seconds: u64 },
}

pub(crate) fn run(end: &End) -> Result<()> {
    match end {
        End::TcpServe { address } => serve(*address),
        End::TcpSend { address, seconds } => send(*address, Duration::from_secs(*seconds)),
    }
}

/// No two neighbouring segments look alike: 251 is a prime.
fn block() -> Vec<u8> {
    (0..BLOCK).map(|i| (i % 251) as u8 ^ (i >> 12) as u8).collect()
}

fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("{address} cannot be listened on"))?;
    println!("listening");
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (block, mut buffer, mut total) = (block(), vec![0; BLOCK], 0);
    let began = Instant::now();
    loop {
        let at = total % BLOCK;
        let n = stream.read(&mut buffer[..BLOCK - at])?;
        if n == 0 {
            break;
        }
        if buffer[..n] != block[at..at + n] {
            bail!("what came is not what was sent, near byte {total}");
        }
        total += n;
    }
    println!("{total} {}", began.elapsed().as_secs_f64());
    Ok(())
}

fn send(address: SocketAddr, time: Duration) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("{address} is not reached"))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let block = block();
    let began = Instant::now();
    while began.elapsed() < time {
        stream.write_all(&block)?;
    }
    Ok(())
}
