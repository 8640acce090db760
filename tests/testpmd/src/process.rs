//! A running testpmd, and its prompt.
//!
//! Complications: it writes the prompt at once and what it prints through stdio, which `stdbuf` makes line by
//! line; else answers would come after the prompt that ends them. The kernel kills it when the thread that started
//! it ends (`setpriv`), so that nothing outlives a test that is killed: while it waits for the switch to connect it
//! would not notice the end of its input.

use crate::{Nic, PROGRAM, Stats};
use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PROMPT: &str = "testpmd> ";

/// For a start, which may have to wait for the switch, and for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rings shared with the kernel: 1,024 frames of up to 2,048 bytes each way; no queueing discipline after them.
const PACKET_RING: &str = "blocksz=65536,framesz=2048,framecnt=1024,qdisc_bypass=1";

/// How to start it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its files go.
    pub dir: PathBuf,
    /// The CPUs that it may use; empty: all. It polls with one thread.
    pub cpus: Vec<usize>,
    pub nics: Vec<Nic>,
    /// Interfaces of the kernel, up, that are its ports after the NICs (`net_af_packet`). What comes in by them has to
    /// have its checksum, and the length that a wire takes: no offload where it was sent.
    pub interfaces: Vec<String>,
    /// Megabytes of its memory, which it shares with the switch.
    pub memory: u32,
    /// Buffers for frames, and bytes of each. A frame that is larger takes several.
    pub buffers: u32,
    pub buffer_bytes: u32,
    /// Largest frame that it takes, without the frame check sequence.
    pub longest: u32,
    /// More arguments, e.g. `--flowgen-flows=1024`.
    pub more: Vec<String>,
}

impl Config {
    /// All CPUs, frames of up to 1,514 bytes.
    pub fn new(dir: impl Into<PathBuf>, nics: Vec<Nic>) -> Self {
        Self {
            dir: dir.into(),
            cpus: Vec::new(),
            nics,
            interfaces: Vec::new(),
            memory: 128,
            buffers: 16_384,
            buffer_bytes: 2_176,
            longest: 1_514,
            more: Vec::new(),
        }
    }

    fn arguments(&self) -> Vec<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let cpus = match &self.cpus[..] {
            [] => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
            cpus => cpus.to_vec(),
        };
        let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        let cpus = cpus.join(",");
        // Two threads: one for the prompt, which sleeps, and one that moves frames.
        let lcores = format!("0@({cpus}),1@({cpus})");
        let mut all: Vec<String> = ["--lcores", &lcores, "--no-huge", "-m", &self.memory.to_string()]
            .into_iter()
            .chain(["--no-pci", "--no-telemetry", "--no-shconf", "--file-prefix", &prefix])
            .map(str::to_owned)
            .collect();
        for (i, nic) in self.nics.iter().enumerate() {
            all.extend(["--vdev".into(), nic.devargs(i)]);
        }
        for (i, interface) in self.interfaces.iter().enumerate() {
            all.extend(["--vdev".into(), format!("net_af_packet{i},iface={interface},{PACKET_RING}")]);
        }
        let queues = self.nics.iter().map(|n| n.queues).max().unwrap_or(1);
        let descriptors = self.nics.iter().map(|n| n.descriptors).min().unwrap_or(256);
        // It writes its prompt a letter at a time: what another thread says of links must not come in between.
        all.extend(["--", "-i", "--no-mlockall", "--mask-event", "all"].map(str::to_owned));
        all.extend([format!("--rxq={queues}"), format!("--txq={queues}")]);
        all.extend([format!("--rxd={descriptors}"), format!("--txd={descriptors}")]);
        all.push(format!("--total-num-mbufs={}", self.buffers));
        all.push(format!("--mbuf-size={}", self.buffer_bytes));
        // It counts the check sequence.
        all.push(format!("--max-pkt-len={}", self.longest + 4));
        // What it leaves in front of a frame in each buffer.
        const HEADROOM: u32 = 128;
        if self.longest + HEADROOM > self.buffer_bytes {
            all.push("--enable-scatter".into());
        }
        // What each sends by itself is for the next one.
        for i in 0..self.nics.len() {
            let next = &self.nics[(i + 1) % self.nics.len()];
            all.push(format!("--eth-peer={i},{}", next.mac()));
        }
        all.extend(self.more.iter().cloned());
        all
    }

    /// Starts it, and does not wait.
    pub fn spawn(&self) -> Result<Testpmd> {
        self.spawn_by(Command::new("env"))
    }

    /// The same by a program that runs what follows it, e.g. `nice`, with the same process id.
    pub fn spawn_by(&self, mut command: Command) -> Result<Testpmd> {
        for nic in self.nics.iter().filter(|n| n.server) {
            // A predecessor that was killed left it.
            let _ = std::fs::remove_file(&nic.socket);
        }
        command.args(["setpriv", "--pdeathsig", "KILL", "stdbuf", "-oL", PROGRAM]).args(self.arguments());
        command.env("RUNTIME_DIRECTORY", &self.dir).stdin(Stdio::piped());
        // What its other threads log, likewise.
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{PROGRAM} cannot be started"))?;
        let stdin = child.stdin.take().context("its input is a pipe")?;
        let said = listen(child.stdout.take().context("its output is a pipe")?);
        let logged = listen(child.stderr.take().context("its log is a pipe")?);
        Ok(Testpmd { child, stdin, said, logged, ports: self.nics.len() + self.interfaces.len() })
    }

    /// Starts it, and waits until it takes commands: all its NICs are connected.
    pub fn start(&self) -> Result<Testpmd> {
        let mut testpmd = self.spawn()?;
        testpmd.ready()?;
        Ok(testpmd)
    }
}

/// What comes out of a pipe, as it comes.
fn listen(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, said) = channel();
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut part) {
            if sender.send(String::from_utf8_lossy(&part[..n]).into_owned()).is_err() {
                break;
            }
        }
    });
    said
}

/// Killed on drop.
#[derive(Debug)]
pub struct Testpmd {
    child: Child,
    stdin: ChildStdin,
    said: Receiver<String>,
    /// Apart from what it says.
    logged: Receiver<String>,
    ports: usize,
}

impl Testpmd {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it takes commands.
    pub fn ready(&mut self) -> Result<()> {
        self.until_prompt().context("testpmd does not get ready").map(drop)
    }

    /// Types a command; what it answers. It is no error if that is a complaint.
    pub fn tell(&mut self, line: &str) -> Result<String> {
        // What it said of itself in between is no part of the answer.
        while self.said.try_recv().is_ok() {}
        writeln!(self.stdin, "{line}").with_context(|| format!("testpmd is gone: `{line}`"))?;
        let said = self.until_prompt().with_context(|| format!("testpmd does not answer `{line}`"))?;
        let answer = said.split_once('\n').map_or("", |(_echo, answer)| answer);
        if ["Command not found", "Bad arguments", "Ambiguous command"].iter().any(|c| answer.contains(c)) {
            bail!("testpmd does not know `{line}`: {answer}");
        }
        Ok(answer.to_owned())
    }

    pub fn stats(&mut self, port: usize) -> Result<Stats> {
        ensure!(port < self.ports, "it has {} ports", self.ports);
        Stats::parse(&self.tell(&format!("show port stats {port}"))?)
    }

    /// What all ports together counted.
    pub fn total(&mut self) -> Result<Stats> {
        let mut sum = Stats::default();
        for port in 0..self.ports {
            let s = self.stats(port)?;
            sum.rx_packets += s.rx_packets;
            sum.rx_bytes += s.rx_bytes;
            sum.rx_lost += s.rx_lost;
            sum.tx_packets += s.tx_packets;
            sum.tx_bytes += s.tx_bytes;
        }
        Ok(sum)
    }

    /// Moves frames in this mode: `io`, `macswap`, `flowgen`, `rxonly` ..
    pub fn forward(&mut self, mode: &str) -> Result<()> {
        let said = self.tell(&format!("set fwd {mode}"))?;
        ensure!(said.contains("forwarding mode"), "{said}");
        self.tell("start").map(drop)
    }

    /// Moves frames as they are between the two ports of each pair; all ports have to be in one.
    pub fn join(&mut self, pairs: &[[usize; 2]]) -> Result<()> {
        let list: Vec<_> = pairs.iter().flatten().map(ToString::to_string).collect();
        let said = self.tell(&format!("set portlist {}", list.join(",")))?;
        ensure!(said.trim().is_empty(), "{said}");
        self.forward("io")
    }

    pub fn stop(&mut self) -> Result<()> {
        self.tell("stop").map(drop)
    }

    /// Length of the frames that it makes, without the check sequence, in as many buffers as that takes.
    pub fn frame_length(&mut self, bytes: u32, buffer: u32) -> Result<()> {
        let mut parts = vec![buffer.to_string(); (bytes / buffer) as usize];
        if !bytes.is_multiple_of(buffer) {
            parts.push((bytes % buffer).to_string());
        }
        let said = self.tell(&format!("set txpkts {}", parts.join(",")))?;
        ensure!(said.trim().is_empty(), "{said}");
        Ok(())
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.end();
    }

    fn until_prompt(&mut self) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        let mut text = String::new();
        while !text.contains(PROMPT) {
            match self.said.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(part) => text += &part,
                Err(e) => {
                    text.extend(self.logged.try_iter());
                    let lines: Vec<_> = text.lines().filter(|l| !l.trim().is_empty()).collect();
                    bail!("{e}; it says: {}", lines[lines.len().saturating_sub(8)..].join(" | "));
                }
            }
        }
        Ok(text.split(PROMPT).next().unwrap_or_default().to_owned())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        self.end();
    }
}
