//! `cargo xtask demo`: what the README promises, done before one's eyes. It ends well only if all of it held.
//!
//! `stage` sets up and takes away, `tcp` are the two ends of the transfer; the story is here.

mod stage;
pub(crate) mod tcp;

use crate::packages;
use crate::run::{cargo, is_root, must, output, program};
use anyhow::{Context, Result, bail, ensure};
use stage::Stage;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave it running, to play with
    #[arg(long)]
    keep: bool,
    /// Remove a demo that was left running
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
    /// Do not optimise: builds faster, moves packets slower
    #[arg(long)]
    debug: bool,
}

/// Who, in which VLAN, with which address. All have the same subnet: only VLANs keep them apart.
const PEOPLE: [(&str, &str, &str); 3] =
    [("alice", "10", "10.0.0.1"), ("bob", "10", "10.0.0.2"), ("carol", "20", "10.0.0.3")];
/// Nobody's.
const NOBODY: &str = "10.0.0.99";
const SECONDS: &str = "2";

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(is_root(), "the demo makes network namespaces; run it as root");
    if options.clean {
        return stage::clean_all();
    }
    packages::need(&["ip", "ping", "tcpdump"])?;
    let profile = if options.debug { "debug" } else { "release" };
    println!("Building vswd, vswcontrold and vswctl ({profile}); the first time takes minutes.");
    let mut build = cargo(["build", "--quiet", "-p", "vswd", "-p", "vswcontrold", "-p", "vswctl"]);
    must(if options.debug { &mut build } else { build.arg("--release") })?;

    let mut stage = Stage::new(profile)?;
    if let Err(e) = story(&mut stage) {
        if !stage.is_interrupted() {
            eprint!("\nThe last words of the daemons:\n{}", stage.logs());
        }
        return Err(e.context("the demo failed"));
    }
    if options.keep {
        stage.keep = true;
        tell("It is yours now. In a shell:");
        println!("export VSW_RUN_DIR={} PATH=\"{}:$PATH\"", stage.run_dir().display(), stage.bin.display());
        println!("vswctl show\nip netns exec alice ping 10.0.0.2");
        tell("When you have seen enough:");
        println!("cargo xtask demo --clean");
        return Ok(());
    }
    stage.end()?;
    tell("All of it held. Namespaces, daemons and directory are gone again.");
    Ok(())
}

/// For the count of tests: silent, unless it fails.
pub(crate) fn quietly() -> Result<()> {
    let out = Command::new(std::env::current_exe()?).args(["demo", "--debug"]).output()?;
    ensure!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

fn story(stage: &mut Stage) -> Result<()> {
    tell("Two daemons, in a directory of their own.");
    type_in(&format!("export VSW_RUN_DIR={}", stage.run_dir().display()));
    type_in(&format!("export VSW_STATE_DIR={}", stage.state_dir().display()));
    for daemon in ["vswcontrold", "vswd"] {
        type_in(&format!("{daemon} &"));
        stage.daemon(daemon)?;
    }
    stage.ready()?;

    tell("Network namespaces stand for machines.");
    for name in PEOPLE.map(|(who, ..)| who).iter().chain(&["trunk"]) {
        type_in(&format!("ip netns add {name}"));
        stage.netns(name)?;
    }

    tell("A bridge. Alice and Bob are in VLAN 10, Carol is in VLAN 20, and a trunk carries both.");
    vswctl(stage, "add-br br0")?;
    for (who, vlan, _) in PEOPLE {
        vswctl(stage, &format!("add-port br0 {who} --netns {who} --vlan {vlan}"))?;
    }
    vswctl(stage, "add-port br0 trunk --netns trunk --trunk 10,20")?;
    for (who, _, address) in PEOPLE {
        shell(stage, &format!("ip -n {who} addr add {address}/24 dev {who}"))?;
    }

    tell("Alice reaches Bob.");
    shell(stage, "ip netns exec alice ping -c 3 -i 0.2 -W 2 10.0.0.2")?;
    tell("Carol is in the same subnet, but in another VLAN: nobody must reach her.");
    must_fail(stage, "ip netns exec alice ping -c 2 -i 0.2 -W 1 10.0.0.3")?;
    must_fail(stage, "ip netns exec carol ping -c 2 -i 0.2 -W 1 10.0.0.2")?;
    tell("The trunk hears both VLANs, tagged. (Both ask for somebody who is not there.)");
    trunk(stage)?;
    tell("TCP from Alice to Bob, one stream.");
    transfer(stage)?;

    tell("What there is now.");
    let shown = vswctl(stage, "show")?;
    let up = shown.lines().filter(|l| l.split_whitespace().any(|w| w == "up")).count();
    ensure!(up == 4, "not all four ports are up");
    let macs = vswctl(stage, "show-macs br0")?;
    for (who, vlan, _) in PEOPLE {
        let known =
            |l: &str| l.split_whitespace().any(|w| w == who) && l.split_whitespace().any(|w| w == vlan);
        ensure!(macs.lines().any(known), "{who} was not learned in VLAN {vlan}");
    }
    vswctl(stage, "stats").map(drop)
}

/// A remark.
fn tell(text: &str) {
    match std::io::stdout().is_terminal() {
        true => println!("\n\x1b[1m# {text}\x1b[0m"),
        false => println!("\n# {text}"),
    }
}

fn type_in(line: &str) {
    println!("$ {line}");
}

/// A `vswctl` command as it is typed, which must end with 0. Gives what it printed.
fn vswctl(stage: &mut Stage, line: &str) -> Result<String> {
    stage.go_on()?;
    type_in(&format!("vswctl {line}"));
    let mut command = Command::new(stage.bin.join("vswctl"));
    command.args(line.split(' ')).stdin(Stdio::null());
    let text = output(stage.environment(&mut command))?;
    print!("{text}");
    Ok(text)
}

/// Another command as it is typed; it must end with 0.
fn shell(stage: &mut Stage, line: &str) -> Result<()> {
    stage.go_on()?;
    type_in(line);
    let done = must(&mut words(line));
    stage.go_on().and(done)
}

/// It must end with something else.
fn must_fail(stage: &mut Stage, line: &str) -> Result<()> {
    stage.go_on()?;
    type_in(line);
    let status = words(line).status()?;
    stage.go_on()?;
    ensure!(!status.success(), "`{line}` should have failed");
    Ok(())
}

fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    program(words.next().unwrap_or_default(), words)
}

/// Listens at the trunk while Alice and Carol ask for somebody, until a frame of each VLAN was seen.
fn trunk(stage: &mut Stage) -> Result<()> {
    let listen = "ip netns exec trunk tcpdump -l -n -e -i trunk vlan and arp";
    type_in(listen);
    let mut tcpdump = words(listen).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let heard = (|| {
        let err = tcpdump.stderr.take().context("no output")?;
        let mut said = BufReader::new(err).lines().map_while(|l| l.ok());
        ensure!(said.any(|l| l.starts_with("listening on")), "tcpdump did not start");
        let (sender, lines) = mpsc::channel();
        let out = tcpdump.stdout.take().context("no output")?;
        std::thread::spawn(move || {
            let mut lines = BufReader::new(out).lines().map_while(|l| l.ok());
            lines.all(|line| sender.send(line).is_ok())
        });
        for who in ["alice", "carol"] {
            words(&format!("ip netns exec {who} ping -c 1 -W 1 {NOBODY}")).stdout(Stdio::null()).status()?;
        }
        let (mut missing, end) = (vec!["vlan 10,", "vlan 20,"], Instant::now() + Duration::from_secs(5));
        while !missing.is_empty() {
            stage.go_on()?;
            let left = end.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "the trunk heard nothing of {}", missing.join(" and ").replace(',', ""));
            let Ok(line) = lines.recv_timeout(left.min(Duration::from_millis(200))) else { continue };
            if let Some(n) = missing.iter().position(|tag| line.contains(tag)) {
                println!("{line}");
                missing.remove(n);
            }
        }
        Ok(())
    })();
    let _ = tcpdump.kill();
    tcpdump.wait()?;
    heard
}

/// Both ends are this program, in two namespaces.
fn transfer(stage: &mut Stage) -> Result<()> {
    stage.go_on()?;
    let own = std::env::current_exe()?;
    let end = |who: &str, chore: &[&str]| {
        let mut command = program("ip", ["netns", "exec", who]);
        command.arg(&own).args(chore);
        command
    };
    let mut serve = end("bob", &["tcp-serve", "10.0.0.2:5001"]).stdout(Stdio::piped()).spawn()?;
    let result = (|| {
        let mut said = BufReader::new(serve.stdout.take().context("no output")?).lines();
        said.next().context("the receiver did not start")??;
        must(&mut end("alice", &["tcp-send", "10.0.0.2:5001", SECONDS]))?;
        let result = said.next().context("not every byte arrived as it was sent")??;
        let (bytes, seconds) = result.split_once(' ').context("no result")?;
        let (bytes, seconds): (f64, f64) = (bytes.parse()?, seconds.parse()?);
        ensure!(bytes > 0.0, "nothing arrived");
        println!(
            "{:.2} GB in {seconds:.1} s: {:.1} Gbit/s, every byte as it was sent",
            bytes / 1e9,
            bytes * 8e-9 / seconds
        );
        Ok(())
    })();
    if result.is_err() {
        let _ = serve.kill();
    }
    let status = serve.wait()?;
    result?;
    if !status.success() {
        bail!("the receiver failed ({status})");
    }
    Ok(())
}
