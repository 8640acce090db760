//! A host with the two daemons, and what one types on it.

use crate::daemon::{Daemon, Role, programs};
use crate::{Namespace, Typed, eventually, root};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// See the module of the crate.
#[derive(Debug)]
pub struct Lab {
    /// Where the daemons run: "the host" of the story.
    pub host: Namespace,
    dir: PathBuf,
    daemons: [Mutex<Option<Daemon>>; 2],
}

impl Lab {
    /// A host with both daemons running. `None`, and a word about it, without root.
    pub fn new(test: &str) -> Option<Self> {
        let lab = Self::idle(test)?;
        lab.start(Role::Control);
        lab.start(Role::Dataplane);
        lab.ready();
        Some(lab)
    }

    /// A host on which nothing runs yet.
    pub fn idle(test: &str) -> Option<Self> {
        if !root(test) {
            return None;
        }
        programs();
        Some(Self::on(Namespace::new("host")))
    }

    /// Another switch on the host of this lab.
    pub fn second(&self) -> Self {
        let host = Namespace::new("second");
        let (name, first) = (host.name().to_owned(), self.host.name());
        // The same namespace by another name, so that each lab can delete its own.
        host.delete();
        crate::run(&format!("ip netns attach {name} {}", self.pid(Role::Dataplane)));
        assert_ne!(name, first);
        let second = Self::on(host);
        second.start(Role::Control);
        second.start(Role::Dataplane);
        second.ready();
        second
    }

    fn on(host: Namespace) -> Self {
        let dir = std::env::temp_dir().join(host.name());
        fs::create_dir_all(&dir).expect("a directory can be made");
        Self { host, dir, daemons: [const { Mutex::new(None) }; 2] }
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn daemon(&self, role: Role) -> std::sync::MutexGuard<'_, Option<Daemon>> {
        self.daemons[role as usize].lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A daemon that has not been started, which logs to nowhere in particular.
    pub fn command(&self, role: Role) -> Command {
        let mut command = self.host.command(&programs().join(role.program()).display().to_string());
        command.arg("--run-dir").arg(self.run_dir()).arg("--state-dir").arg(self.state_dir());
        if role == Role::Dataplane {
            // Two: frames cross from worker to worker whatever the number of cores. Packet memory for tests.
            command.args(["--workers", "2", "--small-frames", "8192", "--large-frames", "512"]);
        }
        command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET").stdin(std::process::Stdio::null());
        command
    }

    pub fn start(&self, role: Role) {
        self.start_by(role, self.command(role));
    }
    pub fn start_by(&self, role: Role, mut command: Command) {
        let log = OpenOptions::new().create(true).append(true).open(self.log(role)).expect("a log");
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        *self.daemon(role) = Some(Daemon::start(&mut command));
    }
    pub fn kill(&self, role: Role) {
        self.daemon(role).take().expect("it runs").kill();
    }
    /// SIGTERM; it must end well.
    #[track_caller]
    pub fn stop(&self, role: Role) {
        let status = self.daemon(role).take().expect("it runs").stop();
        assert!(status.success(), "{}: {status}", role.program());
    }
    pub fn is_running(&self, role: Role) -> bool {
        self.daemon(role).as_mut().is_some_and(Daemon::is_running)
    }
    pub fn pid(&self, role: Role) -> u32 {
        self.daemon(role).as_ref().expect("it runs").pid()
    }

    fn log(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{}.log", role.program()))
    }
    pub fn logged(&self, role: Role) -> String {
        fs::read_to_string(self.log(role)).unwrap_or_default()
    }

    /// Waits until both daemons answer.
    #[track_caller]
    pub fn ready(&self) {
        eventually("both daemons answer", || {
            let version = self.ctl("version -o json");
            let version: Value = serde_json::from_str(&version.stdout).unwrap_or_default();
            version["vswd"].as_str().is_some_and(|v| !v.is_empty())
        });
    }

    /// What one line typed does.
    pub fn ctl(&self, line: &str) -> Typed {
        let mut command = Command::new(programs().join("vswctl"));
        command.args(line.split_whitespace()).env("VSW_RUN_DIR", self.run_dir()).env_remove("VSW_CONTROL");
        Typed::of(&mut command)
    }
    /// It has to work, and to print nothing.
    #[track_caller]
    pub fn good(&self, line: &str) {
        let t = self.ctl(line);
        assert_eq!((t.status, &*t.stdout, &*t.stderr), (0, "", ""), "vswctl {line}");
    }
    /// It has to end like this, with one line on standard error that contains all of these.
    #[track_caller]
    pub fn bad(&self, line: &str, status: i32, says: &[&str]) {
        let t = self.ctl(line);
        assert_eq!((t.status, &*t.stdout), (status, ""), "vswctl {line}: {}", t.stderr);
        for part in says {
            assert!(t.stderr.contains(part), "vswctl {line}: said not `{part}` but: {}", t.stderr);
        }
        assert_eq!(t.stderr.lines().count(), 1, "vswctl {line}: {}", t.stderr);
    }
    /// What it prints, which has to be JSON.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        let t = self.ctl(&format!("{line} -o json"));
        assert_eq!((t.status, &*t.stderr), (0, ""), "vswctl {line}");
        serde_json::from_str(&t.stdout).expect("JSON")
    }

    /// What `show` says of a port; null if it is not there.
    #[track_caller]
    pub fn port(&self, name: &str) -> Value {
        let shown = self.json("show");
        let bridges = shown["bridges"].as_array().cloned().unwrap_or_default();
        let mut ports = bridges.iter().filter_map(|b| b["ports"].as_array()).flatten();
        ports.find(|p| p["name"] == name).cloned().unwrap_or_default()
    }
    pub fn state(&self, port: &str) -> String {
        self.port(port)["state"].as_str().unwrap_or("absent").to_owned()
    }
    /// Waits until a port has this state.
    #[track_caller]
    pub fn becomes(&self, port: &str, state: &str) {
        eventually(&format!("port {port} is {state}"), || self.state(port) == state);
    }
    /// Packets that a port dropped for a reason, in either direction.
    pub fn dropped(&self, port: &str, reason: &str) -> u64 {
        let drops = self.json(&format!("drops {port}"));
        let drops = drops.as_array().into_iter().flatten();
        drops.filter(|d| d["reason"] == reason).filter_map(|d| d["packets"].as_u64()).sum()
    }

    /// A machine with a NIC of this name, made by the switch, with addresses ending in `n`.
    #[track_caller]
    pub fn tap(&self, bridge: &str, port: &str, n: u8, settings: &str) -> Namespace {
        let machine = Namespace::new(port);
        self.good(&format!("add-port {bridge} {port} --netns {} {settings}", machine.name()));
        machine.address(port, n);
        machine
    }

    /// A veth pair: one end on the host, the other, of the same name, in a new machine.
    #[track_caller]
    pub fn veth(&self, name: &str, n: u8) -> Namespace {
        let machine = Namespace::new(name);
        self.host.ip(&format!("link add {name} type veth peer name {name} netns {}", machine.name()));
        self.host.ip(&format!("link set {name} addrgenmode none up"));
        machine.address(name, n);
        machine
    }

    /// After both were stopped: the host is as it was.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        for socket in ["control.sock", "datapath.sock"] {
            assert!(!self.run_dir().join(socket).exists(), "{socket}");
        }
        let links = self.host.ip("-d link show");
        for trace in [" xdp", "prog/xdp", " tun ", "promiscuity 1"] {
            assert!(!links.contains(trace), "{trace}: {links}");
        }
        let qdiscs = self.host.typed("tc qdisc show").stdout;
        assert!(!qdiscs.contains("clsact") && !qdiscs.contains("ingress"), "{qdiscs}");
        if let Ok(journal) = fs::read_dir(self.state_dir().join("journal")) {
            assert_eq!(journal.count(), 0, "entries in the journal");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for role in [Role::Control, Role::Dataplane] {
            drop(self.daemon(role).take());
            if std::thread::panicking() {
                eprintln!("-- log of {} on {}\n{}", role.program(), self.host.name(), self.logged(role));
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
