//! A directory of plain files in the place of `/proc/net/pktgen`, and a run of `pktgen.sh` against it.
//!
//! The script appends its commands, so every file keeps what was written to it. In which order the files were written,
//! inotify tells: a write of a command is an open, a write and a close, and the kernel queues one event for each close.
//! The files of devices begin with a finished run as Linux 6.1 prints it, for the script to read.
//!
//! One thread at a time uses a [`Fake`]; tests run in parallel, each with its own directory.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// One command, and the control file it was written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) file: String,
    pub(crate) line: String,
}

impl Write {
    pub(crate) fn new(file: &str, line: &str) -> Self {
        Self { file: file.into(), line: line.into() }
    }
}

/// The directory, removed on drop.
#[derive(Debug)]
pub(crate) struct Fake {
    dir: PathBuf,
    events: OwnedFd,
    /// What the device files held before the script came.
    given: HashMap<String, String>,
}

impl Fake {
    /// Threads 0 to 2, and a device of `lo` on each, as if each had run and sent `1000 * (cpu + 1)` frames.
    pub(crate) fn new() -> Self {
        Self::with_results(|cpu| {
            let sent = 1000 * (cpu + 1);
            format!(
                "OK: 100(c90+d10) usec, {sent} (60byte,0frags)\n  {sent}0pps 4Mb/sec (4800000bps) errors: {cpu}"
            )
        })
    }

    pub(crate) fn with_results(result: impl Fn(u32) -> String) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("vsw-t-pktgen-{}-{number}", std::process::id()));
        fs::create_dir(&dir).expect("a directory of its own");
        fs::write(dir.join("pgctrl"), "").expect("pgctrl");
        let mut given = HashMap::new();
        for cpu in 0..3 {
            fs::write(dir.join(format!("kpktgend_{cpu}")), "").expect("thread");
            let name = format!("lo@{cpu}");
            let text = format!(
                "Params: count 0  min_pkt_size: 60  max_pkt_size: 60\n     Flags: \nCurrent:\n     \
                 pkts-sofar: {}  errors: {cpu}\n     flows: 0\nResult: {}\n",
                1000 * (cpu + 1),
                result(cpu)
            );
            fs::write(dir.join(&name), &text).expect("device");
            given.insert(name, text);
        }
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify");
        // Opens too: two equal events in a row would become one.
        inotify::add_watch(&events, &dir, WatchFlags::CLOSE_WRITE | WatchFlags::OPEN).expect("a watch");
        Self { dir, events, given }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs the project's own script to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_copy(&script(), args)
    }

    pub(crate) fn run_copy(&self, script: &Path, args: &[&str]) -> Output {
        self.spawn(script, args).wait_with_output().expect("sh")
    }

    pub(crate) fn spawn(&self, script: &Path, args: &[&str]) -> Child {
        // A shell cannot take back what it was started to ignore, as behind `nohup ... &`.
        Command::new("env")
            .args(["--default-signal=INT,TERM", "sh"])
            .arg(script)
            .args(args)
            .env("PKTGEN_DIR", &self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh")
    }

    /// What was written since the directory was made, in order. For a script that has ended.
    ///
    /// An error where a write was not one whole line with its newline.
    pub(crate) fn writes(&self) -> Result<Vec<Write>, String> {
        let mut lines = HashMap::new();
        let mut writes = Vec::new();
        for file in self.closed() {
            let rest = lines.entry(file.clone()).or_insert_with(|| self.written(&file));
            let (line, after) = rest
                .split_once('\n')
                .ok_or_else(|| format!("{file}: a write without a newline: {rest:?}"))?;
            writes.push(Write::new(&file, line));
            *rest = after.to_owned();
        }
        match lines.iter().find(|(_, rest)| !rest.is_empty()) {
            Some((file, rest)) => Err(format!("{file}: more than one command in a write: {rest:?}")),
            None => Ok(writes),
        }
    }

    fn written(&self, file: &str) -> String {
        let text = fs::read_to_string(self.dir.join(file)).expect("a file that was written");
        let given = self.given.get(file).map_or("", String::as_str);
        text.strip_prefix(given).expect("files are only appended to").to_owned()
    }

    /// The files that were closed after writing, in order.
    fn closed(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        let mut names = Vec::new();
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) => {
                    panic!("more events than inotify keeps")
                }
                Ok(event) if event.events().contains(inotify::ReadFlags::CLOSE_WRITE) => {
                    let name = event.file_name().expect("a file of the directory");
                    names.push(name.to_str().expect("names in ASCII").to_owned());
                }
                Ok(_) => {}
                Err(Errno::AGAIN) => return names,
                Err(error) => panic!("inotify: {error}"),
            }
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The script in the source tree.
pub(crate) fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pktgen/pktgen.sh")
}
