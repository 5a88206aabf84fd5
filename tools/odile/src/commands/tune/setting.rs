//! Everything that is looked at: where it stands, why it matters, how to measure that, and how to change it.
//!
//! A preset says what is wanted of it.

use super::value::Shape;

/// One thing to look at.
#[derive(Debug)]
pub struct Setting {
    /// As presets call it. Those with dots are the kernel's own names.
    pub name: &'static str,
    pub shape: Shape,
    pub source: Source,
    pub why: &'static str,
    pub measure: &'static str,
    /// What a person does, with INTERFACE and VALUE for those of the row. Nothing: it is a sysctl, and `apply` writes it.
    pub change: &'static str,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In `/proc/sys`, at its name. The words that can be written may stand in a second file.
    Sysctl {
        offered: Option<&'static str>,
    },
    /// As `Sysctl`; 0 means that the other one counts, and writing the one sets the other to 0.
    TwinSysctl {
        twin: &'static str,
    },
    /// In this file, which may be written.
    File(&'static str),
    /// In this file, which tells only.
    Told(&'static str),
    CpuFeatures,
    CpuGovernor,
    NumaNodes,
    Interface(Facet),
    Limit(&'static str),
    Storage(Aspect),
}

/// What is looked at of each network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    Mtu,
    Speed,
    Queues,
    Ring,
}

/// What is looked at of the place where files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    Filesystem,
    Options,
    Free,
    Scheduler,
}

impl Setting {
    /// The setting with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// What a person does to change it.
    pub fn remedy(&self) -> String {
        match self.source {
            Source::Sysctl { .. } | Source::TwinSysctl { .. } if self.change.is_empty() => {
                format!(
                    "odile tune apply, or sysctl -w '{}=VALUE'; to last: a file in /etc/sysctl.d",
                    self.name
                )
            }
            _ => self.change.to_owned(),
        }
    }
}

/// Where a sysctl stands.
pub fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

const PLAIN: Source = Source::Sysctl { offered: None };

const fn sysctl(name: &'static str, shape: Shape, why: &'static str, measure: &'static str) -> Setting {
    Setting { name, shape, source: PLAIN, why, measure, change: "" }
}

const fn twin(name: &'static str, twin: &'static str) -> Setting {
    Setting {
        name,
        shape: Shape::Number,
        source: Source::TwinSysctl { twin },
        why: "written data waits in memory until so much has gathered; then a sync, which a checkpoint needs, takes \
              long. Received files are synced each 64 MiB (--sync-bytes), so that it is what others write that counts",
        measure: "grep -E 'Dirty|Writeback' /proc/meminfo while a file comes in",
        change: "",
    }
}

/// In the order in which they are shown and written.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "kernel.release",
        shape: Shape::Release,
        source: Source::Told("/proc/sys/kernel/osrelease"),
        why: "before Linux 6.0 io_uring lacks what Odile needs",
        measure: "odile doctor",
        change: "install a newer kernel",
    },
    sysctl(
        "kernel.io_uring_disabled",
        Shape::Number,
        "1 forbids io_uring to most users, 2 to all: then no station runs",
        "odile doctor",
    ),
    sysctl(
        "net.core.rmem_max",
        Shape::Number,
        "the most that --receive-buffer can set. Without this flag the kernel tunes buffers itself, up to tcp_rmem",
        "odile link test with and without --receive-buffer",
    ),
    sysctl(
        "net.core.wmem_max",
        Shape::Number,
        "the most that --send-buffer can set. Without this flag the kernel tunes buffers itself, up to tcp_wmem",
        "odile link test with and without --send-buffer",
    ),
    sysctl(
        "net.ipv4.tcp_rmem",
        Shape::Triple,
        "the third number bounds what one connection can have on its way to us; about half of it is data",
        "odile link test; ss -tmi shows rb and rcv_space of each connection",
    ),
    sysctl(
        "net.ipv4.tcp_wmem",
        Shape::Triple,
        "the third number bounds what one connection can have on its way from us, until it is acknowledged",
        "odile link test; ss -tmi shows tb and cwnd of each connection",
    ),
    sysctl(
        "net.ipv4.tcp_moderate_rcvbuf",
        Shape::Number,
        "0 keeps the kernel from growing receive buffers with the line",
        "ss -tmi: rcv_space grows while a file comes in",
    ),
    sysctl(
        "net.ipv4.tcp_window_scaling",
        Shape::Number,
        "0 limits a connection to 64 KiB per round trip",
        "ss -ti: wscale is shown",
    ),
    sysctl(
        "net.ipv4.tcp_sack",
        Shape::Number,
        "0 makes each loss on a long line cost many segments that had arrived",
        "nstat -az TcpRetransSegs TcpExtTCPLostRetransmit around a transfer",
    ),
    Setting {
        name: "net.ipv4.tcp_congestion_control",
        shape: Shape::Word,
        source: Source::Sysctl { offered: Some("/proc/sys/net/ipv4/tcp_available_congestion_control") },
        why: "how fast a connection sends, and what it makes of loss",
        measure: "odile link test with --congestion NAME, one after the other",
        change: "odile tune apply, or --congestion NAME for this station alone; modprobe tcp_bbr if it is not offered",
    },
    sysctl(
        "net.core.default_qdisc",
        Shape::Word,
        "fq sends at the pace that congestion control has found, fq_codel keeps queues short. It holds for interfaces \
         that come up later: `tc qdisc show` tells those of today",
        "tc -s qdisc show, before and after odile link test",
    ),
    sysctl(
        "net.ipv4.tcp_mtu_probing",
        Shape::Number,
        "1 finds a smaller segment when a router on the way drops large ones and does not say so",
        "tracepath PARTNER; a transfer that hangs after its first buffer",
    ),
    sysctl(
        "net.ipv4.tcp_slow_start_after_idle",
        Shape::Number,
        "1 forgets how fast the line is whenever a connection pauses, as at the end of a file and when credit is used up",
        "odile link test with several files; ss -ti shows cwnd",
    ),
    sysctl(
        "net.ipv4.tcp_notsent_lowat",
        Shape::Number,
        "a small value lets the line run dry between two writes",
        "odile link test with both values",
    ),
    sysctl(
        "net.core.somaxconn",
        Shape::Number,
        "callers that wait to be accepted; a station asks for 1024",
        "nstat -az TcpExtListenOverflows",
    ),
    sysctl(
        "net.core.netdev_max_backlog",
        Shape::Number,
        "packets that wait for a core; on a fast line more of them come between two looks",
        "the second column of /proc/net/softnet_stat counts what was dropped",
    ),
    Setting {
        name: "interface.mtu",
        shape: Shape::Number,
        source: Source::Interface(Facet::Mtu),
        why: "larger packets cost less for each octet; all machines and switches on the way must agree",
        measure: "odile link test with both; with 9000, ping -M do -s 8972 PARTNER goes through",
        change: "ip link set dev INTERFACE mtu VALUE, on both ends and all switches between",
    },
    Setting {
        name: "interface.speed",
        shape: Shape::Number,
        source: Source::Interface(Facet::Speed),
        why: "nothing is faster than the slowest link (Mbit/s)",
        measure: "ethtool INTERFACE",
        change: "another port, cable or card; or another preset",
    },
    Setting {
        name: "interface.queues",
        shape: Shape::Number,
        source: Source::Interface(Facet::Queues),
        why: "each receive queue is served by one core",
        measure: "ethtool -S INTERFACE; mpstat -P ALL 1 shows a core that is all %soft",
        change: "ethtool -L INTERFACE combined VALUE",
    },
    Setting {
        name: "interface.ring",
        shape: Shape::Number,
        source: Source::Interface(Facet::Ring),
        why: "packets that the card holds until a core comes; those beyond are dropped",
        measure: "ethtool -g INTERFACE; rx_missed or rx_dropped of ethtool -S INTERFACE",
        change: "ethtool -G INTERFACE rx VALUE tx VALUE",
    },
    Setting {
        name: "numa.nodes",
        shape: Shape::Number,
        source: Source::NumaNodes,
        why: "memory and card on another node are slower to reach",
        measure: "numactl --hardware; odile link test with --cpus of either node",
        change: "odile serve --cpus with the cores of the card's node",
    },
    Setting {
        name: "cpu.features",
        shape: Shape::Set,
        source: Source::CpuFeatures,
        why: "AES and SHA in hardware: without them encryption and signatures cost several times as much",
        measure: "the envelope benchmark; openssl speed -evp aes-256-cbc",
        change: "another machine; for a virtual one, let it see the host's processor (host-passthrough)",
    },
    Setting {
        name: "cpu.governor",
        shape: Shape::Word,
        source: Source::CpuGovernor,
        why: "a core that saves power takes time to get fast again",
        measure: "odile link test with both; cpupower monitor",
        change: "odile tune apply, or cpupower frequency-set -g performance",
    },
    Setting {
        name: "limits.open_files",
        shape: Shape::Number,
        source: Source::Limit("Max open files"),
        why: "each session needs about three descriptors",
        measure: "odile doctor",
        change: "LimitNOFILE=VALUE (systemd), or ulimit -n VALUE",
    },
    Setting {
        name: "limits.locked_memory",
        shape: Shape::Number,
        source: Source::Limit("Max locked memory"),
        why: "buffers are registered with io_uring, which locks them: 8 MiB for each shard, unless flags say otherwise. \
              Without it they are used unregistered; for root it does not count",
        measure: "odile doctor; the loopback benchmark",
        change: "LimitMEMLOCK=VALUE (systemd), or ulimit -l with KiB",
    },
    Setting {
        name: "memory.huge_pages",
        shape: Shape::Word,
        source: Source::File("/sys/kernel/mm/transparent_hugepage/enabled"),
        why: "never takes away what --huge-pages on asks for",
        measure: "odile link test with --huge-pages on and off; grep AnonHugePages /proc/PID/smaps_rollup",
        change: "odile tune apply, or transparent_hugepage=madvise on the kernel's command line",
    },
    twin("vm.dirty_background_ratio", "vm.dirty_background_bytes"),
    twin("vm.dirty_background_bytes", "vm.dirty_background_ratio"),
    twin("vm.dirty_ratio", "vm.dirty_bytes"),
    twin("vm.dirty_bytes", "vm.dirty_ratio"),
    Setting {
        name: "storage.filesystem",
        shape: Shape::Word,
        source: Source::Storage(Aspect::Filesystem),
        why: "received files are preallocated, synced and renamed: on ext4 and XFS that is cheap and durable; overlays \
              and network filesystems are slower, and tmpfs keeps nothing",
        measure: "odile receive over a fast line; iostat -x 1",
        change: "put the station's folder on another filesystem (--home)",
    },
    Setting {
        name: "storage.options",
        shape: Shape::Set,
        source: Source::Storage(Aspect::Options),
        why: "with sync every write waits for the disk; with strictatime every read is a write",
        measure: "iostat -x 1 while a file comes in",
        change: "mount -o remount,relatime,async PATH, and /etc/fstab",
    },
    Setting {
        name: "storage.free",
        shape: Shape::Number,
        source: Source::Storage(Aspect::Free),
        why: "an offer that does not fit is refused, to be sent again later (octets)",
        measure: "df PATH",
        change: "make room",
    },
    Setting {
        name: "storage.scheduler",
        shape: Shape::Word,
        source: Source::Storage(Aspect::Scheduler),
        why: "fast disks sort by themselves; a fair scheduler costs processor time for each write",
        measure: "iostat -x 1 while a file comes in, with each",
        change: "odile tune apply, or echo none > /sys/block/DISK/queue/scheduler; to last: a udev rule",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_name_of_its_own_and_says_what_to_do() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            assert!(
                SETTINGS.iter().skip(index + 1).all(|other| other.name != setting.name),
                "{}",
                setting.name
            );
            assert!(!setting.remedy().is_empty() && !setting.measure.is_empty(), "{}", setting.name);
            if let Source::TwinSysctl { twin } = setting.source {
                assert!(Setting::named(twin).is_some(), "{twin}");
            }
        }
    }
}
