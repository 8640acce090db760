//! A running guest.

use crate::image::image;
use crate::nic::Nic;
use crate::qmp::Qmp;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vsw_netns::{Lab, eventually};

/// MiB of memory.
const MEMORY: u32 = 160;
/// A whole boot, on a busy machine.
const BOOT: Duration = Duration::from_secs(100);
/// One command in the guest.
const COMMAND: Duration = Duration::from_secs(60);

/// What is to be started; it can be started again.
#[derive(Clone, Debug)]
pub struct Machine {
    pub name: String,
    pub nics: Vec<Nic>,
    /// For the guest's `init`, which says what it understands.
    pub words: String,
    /// Environment of QEMU, and so of the scripts that it runs.
    pub environment: Vec<(&'static str, String)>,
}

impl Machine {
    pub fn new(name: &str, nics: &[Nic], words: &str) -> Self {
        Self { name: name.into(), nics: nics.into(), words: words.into(), environment: Vec::new() }
    }

    /// Starts it on the host of the lab, and waits until it takes commands.
    #[track_caller]
    pub fn boot(&self, lab: &Lab) -> Guest {
        let guest = self.start(lab);
        guest.ready();
        guest
    }

    /// Starts it.
    #[track_caller]
    pub fn start(&self, lab: &Lab) -> Guest {
        let image = image().as_ref().expect("the lab looked for it");
        let dir = lab.dir().join(&self.name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory can be made");
        let (at, of) = (|file: &str| dir.join(file).display().to_string(), |file: &str| image.join(file));
        let mut command = lab.host.command(&of("qemu").display().to_string());
        let size = format!("{MEMORY}M");
        // Memory that a vhost-user port can map; without MSI-X interrupts there are enough for anybody.
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-accel", "tcg"]);
        command.args(["-m", &size, "-machine", "pc,memory-backend=memory"]);
        command.args(["-object", &format!("memory-backend-memfd,id=memory,size={size},share=on")]);
        command.arg("-kernel").arg(of("vmlinuz")).arg("-initrd").arg(of("initrd"));
        command.args(["-append", &format!("console=ttyS0 panic=-1 quiet {}", self.words)]);
        command.args(["-serial", &format!("file:{}", at("console"))]);
        command.args(["-chardev", &format!("socket,id=shell,path={},server=on,wait=off", at("shell"))]);
        command.args(["-device", "virtio-serial-pci"]);
        command.args(["-device", "virtserialport,chardev=shell,name=vsw.shell"]);
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", at("qmp"))]);
        command.args(self.nics.iter().flat_map(Nic::options));
        // For scripts that QEMU runs.
        command.env("VSW_RUN_DIR", lab.run_dir()).env("PATH", path()).envs(self.environment.iter().cloned());
        let log = fs::File::create(dir.join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().expect("it starts");
        Guest { child: Mutex::new(child), shell: Mutex::new(None), qmp: Mutex::new(None), dir }
    }
}

/// The programs of the switch, and the system's.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}:/usr/sbin:/sbin", vsw_netns::programs().display())
}

/// How a command in a guest ended.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    /// Both outputs.
    pub output: String,
}

/// Killed on drop.
#[derive(Debug)]
pub struct Guest {
    child: Mutex<Child>,
    shell: Mutex<Option<BufReader<UnixStream>>>,
    qmp: Mutex<Option<Qmp>>,
    dir: PathBuf,
}

impl Guest {
    /// Waits until it takes commands.
    #[track_caller]
    pub fn ready(&self) {
        let end = Instant::now() + BOOT;
        while !self.console().contains("init: ready") {
            assert!(self.is_running(), "QEMU ended: {}{}", self.file("log"), self.console());
            assert!(Instant::now() < end, "it does not boot: {}{}", self.file("log"), self.console());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join(name)).unwrap_or_default()).into_owned()
    }

    pub fn console(&self) -> String {
        self.file("console")
    }

    /// Runs a script in the guest's shell. What it leaves in the background goes on.
    #[track_caller]
    pub fn run(&self, script: &str) -> Ran {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let shell = shell.get_or_insert_with(|| {
            let stream = UnixStream::connect(self.dir.join("shell")).expect("QEMU listens");
            stream.set_read_timeout(Some(COMMAND)).expect("a live socket");
            BufReader::new(stream)
        });
        let request = [format!("{}\n", script.len()).as_bytes(), script.as_bytes()].concat();
        shell.get_mut().write_all(&request).expect("QEMU takes it");
        let mut line = String::new();
        if let Err(e) = shell.read_line(&mut line) {
            panic!("the guest does not answer within {} s to: {script}: {e}", COMMAND.as_secs());
        }
        let mut numbers = line.split_whitespace().map_while(|n| n.parse::<usize>().ok());
        let (Some(status), Some(length)) = (numbers.next(), numbers.next()) else {
            panic!("the guest ended, or said `{line}`, instead of doing: {script}")
        };
        let mut output = vec![0; length];
        shell.read_exact(&mut output).expect("the guest answers");
        Ran { status: status as i32, output: String::from_utf8_lossy(&output).into_owned() }
    }

    /// The same; it must succeed. What it printed.
    #[track_caller]
    pub fn good(&self, script: &str) -> String {
        let ran = self.run(script);
        assert_eq!(ran.status, 0, "in the guest: {script}: {}", ran.output);
        ran.output
    }

    #[track_caller]
    fn monitor<T>(&self, f: impl FnOnce(&mut Qmp) -> T) -> T {
        let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
        let connect = || Qmp::new(UnixStream::connect(self.dir.join("qmp")).expect("QEMU listens"));
        f(qmp.get_or_insert_with(connect))
    }

    /// Plugs a NIC into the running machine.
    #[track_caller]
    pub fn plug(&self, nic: &Nic) {
        self.monitor(|qmp| nic.plug().iter().for_each(|(what, with)| drop(qmp.execute(what, with))));
    }

    /// Takes it out; the guest has to let it go.
    #[track_caller]
    pub fn unplug(&self, nic: &Nic) {
        self.monitor(|qmp| {
            let device = format!("d-{}", nic.port);
            qmp.execute("device_del", &serde_json::json!({"id": device}));
            qmp.event("DEVICE_DELETED", "device", &device);
            // A vhost-user socket goes with it.
            qmp.execute("netdev_del", &serde_json::json!({"id": nic.port}));
        });
    }

    /// Switched off from inside; QEMU ends.
    #[track_caller]
    pub fn shut_down(self) {
        self.good("(sleep 0.2; poweroff -f) >/dev/null 2>&1 &");
        eventually("the guest switches itself off", || !self.is_running());
    }

    /// kill -9.
    pub fn kill(self) {
        self.end();
    }

    fn end(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("-- {}\n{}{}", self.dir.display(), self.file("log"), self.console());
        }
    }
}
