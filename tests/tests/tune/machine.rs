//! A machine made up of files, and the program that looks at it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// `proc` and `sys` in a folder that vanishes with the test.
pub struct Machine {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }
}

impl Machine {
    /// A server as it comes out of the box.
    pub fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in FILES {
            machine.write(name, text);
        }
        let mounts = format!("27 1 254:1 / {} rw,relatime - ext4 /dev/vda1 rw\n", machine.root().display());
        machine.write("proc/self/mountinfo", &mounts);
        for (name, target) in [
            ("sys/dev/block/254:1", "../../devices/pci0/virtio1/block/vda/vda1"),
            ("sys/class/net/eth0/device", "../../../devices/pci0/virtio0"),
        ] {
            let path = machine.root().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        }
        machine.write("sys/devices/pci0/virtio0/numa_node", "0\n");
        symlink("/bus/virtio/drivers/virtio_net", machine.root().join("sys/devices/pci0/virtio0/driver"))
            .unwrap();
        machine
    }

    pub fn root(&self) -> PathBuf {
        // As the program sees it.
        self.folder.path().canonicalize().unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap()
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.root().join(name)).unwrap();
    }

    /// A file that is another one in truth.
    pub fn replace(&self, name: &str, target: &str) {
        self.remove(name);
        symlink(target, self.root().join(name)).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.root().join("var/lib/odile/tune.json")
    }

    /// Every file of `proc` and `sys`, to the octet.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for top in ["proc", "sys"] {
            collect(&self.root().join(top), &mut files);
        }
        assert!(files.len() > 30, "the machine has only {} files", files.len());
        files
    }

    /// `odile tune` on it, for files on it.
    pub fn tune(&self, arguments: &[&str]) -> Run {
        let root = self.root();
        let mut command = Command::new(odile_tests::program::odile());
        command.env_remove("ODILE_HOME").arg("--home").arg(root.join("home")).arg("tune");
        command.arg("--root").arg(&root).args(arguments).current_dir(&root);
        run(command)
    }
}

/// `odile` on the machine that there is.
pub fn odile(home: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(odile_tests::program::odile());
    command.env_remove("ODILE_HOME").arg("--home").arg(home).args(arguments);
    run(command)
}

fn run(mut command: Command) -> Run {
    let output = command.output().expect("the program starts");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            collect(&path, files);
        } else if metadata.is_file() {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

/// As kernels write them, tabs and all.
const FILES: &[(&str, &str)] = &[
    ("proc/sys/kernel/osrelease", "6.8.0-45-generic\n"),
    ("proc/sys/kernel/io_uring_disabled", "0\n"),
    ("proc/sys/net/core/rmem_max", "212992\n"),
    ("proc/sys/net/core/wmem_max", "212992\n"),
    ("proc/sys/net/core/default_qdisc", "pfifo_fast\n"),
    ("proc/sys/net/core/somaxconn", "128\n"),
    ("proc/sys/net/core/netdev_max_backlog", "1000\n"),
    ("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
    ("proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
    ("proc/sys/net/ipv4/tcp_moderate_rcvbuf", "1\n"),
    ("proc/sys/net/ipv4/tcp_window_scaling", "1\n"),
    ("proc/sys/net/ipv4/tcp_sack", "1\n"),
    ("proc/sys/net/ipv4/tcp_congestion_control", "reno\n"),
    ("proc/sys/net/ipv4/tcp_available_congestion_control", "reno cubic\n"),
    ("proc/sys/net/ipv4/tcp_mtu_probing", "0\n"),
    ("proc/sys/net/ipv4/tcp_slow_start_after_idle", "1\n"),
    ("proc/sys/net/ipv4/tcp_notsent_lowat", "4294967295\n"),
    ("proc/sys/vm/dirty_background_ratio", "10\n"),
    ("proc/sys/vm/dirty_background_bytes", "0\n"),
    ("proc/sys/vm/dirty_ratio", "20\n"),
    ("proc/sys/vm/dirty_bytes", "0\n"),
    ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu aes avx2 sha_ni vaes\n\nprocessor\t: 1\n"),
    (
        "proc/self/limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\nMax locked memory         unlimited            unlimited            bytes\n",
    ),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors", "performance powersave\n"),
    ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
    ("sys/devices/system/node/node0/cpulist", "0-1\n"),
    ("sys/class/net/lo/mtu", "65536\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("sys/class/net/eth0/speed", "25000\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n"),
    ("sys/class/net/eth0/queues/tx-0/xps_cpus", "0\n"),
    ("sys/block/vda/queue/scheduler", "[bfq] mq-deadline none\n"),
];
