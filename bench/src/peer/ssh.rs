//! OpenSSH with AES-256-GCM, and what runs over it: a stream to nowhere, scp, sftp, rsync.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Daemon, Program, free_port, pinned, run, shown};
use crate::homes::write_private;
use crate::rounds::Turn;

/// An sshd of our own, and the way to reach it.
pub struct Ssh {
    server: Daemon,
    core: usize,
    folder: TempDir,
    _required: Option<RequiredFolder>,
}

/// How a file is brought to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `ssh 'cat > /dev/null' < FILE`: nobody takes less trouble to send it nowhere. scp to /dev/null would, as root,
    /// change the mode of that device.
    Cat,
    /// As the package has it: over SFTP, since OpenSSH 9.
    Scp,
    /// `put` in a batch.
    Sftp,
    /// `--whole-file`: nothing is compared with what is there.
    Rsync,
}

impl Tool {
    fn program(self) -> Program {
        match self {
            Self::Cat => Program { name: "ssh", package: "openssh-client" },
            Self::Scp => Program { name: "scp", package: "openssh-client" },
            Self::Sftp => Program { name: "sftp", package: "openssh-client" },
            Self::Rsync => Program { name: "rsync", package: "rsync" },
        }
    }
}

impl Ssh {
    /// Starts sshd on the receiver's core.
    pub fn start(cores: [usize; 2]) -> Result<Self, String> {
        let sshd = Program { name: "sshd", package: "openssh-server" }.find()?;
        let keygen = Program { name: "ssh-keygen", package: "openssh-client" }.find()?;
        let ssh = Tool::Cat.program().find()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for name in ["host_key", "user_key"] {
            let mut command = Command::new(&keygen);
            run(command
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(folder.path().join(name)));
        }
        let required = RequiredFolder::provide()?;
        let port = free_port();
        let fill_in =
            |text: &str| text.replace("@FOLDER@", &shown(folder.path())).replace("@PORT@", &port.to_string());
        write_private(&folder.path().join("sshd_config"), &fill_in(SERVER));
        write_private(&folder.path().join("ssh_config"), &fill_in(CLIENT));
        let mut command = pinned(&[cores[1]], sshd);
        command.args(["-D", "-f"]).arg(folder.path().join("sshd_config"));
        command.arg("-E").arg(folder.path().join("log"));
        let server = Daemon::start("sshd", &mut command, &[port])?;
        let this = Self { server, core: cores[0], folder, _required: required };
        let tried = this.client(&ssh).args([HOST, "true"]).output().map_err(|error| error.to_string())?;
        if tried.status.success() {
            return Ok(this);
        }
        let log = fs::read_to_string(this.folder.path().join("log")).unwrap_or_default();
        Err(format!("sshd lets nobody in: {}{log}", String::from_utf8_lossy(&tried.stderr)))
    }

    /// Whether the tool is there; as an error, a line that tells what to install.
    pub fn has(&self, tool: Tool) -> Result<(), String> {
        tool.program().find().map(|_| ())
    }

    /// Brings `source` into the folder `target`, and removes it there. What the same takes for an empty file (start,
    /// handshake, log-in) is measured just before, and taken off.
    ///
    /// # Panics
    ///
    /// If it fails, or what arrived is not so long.
    pub fn turn(&self, tool: Tool, source: &Path, target: &Path) -> Turn {
        let empty = self.folder.path().join("empty");
        fs::write(&empty, b"").expect("room for it");
        let starting = self.server.turn(|| self.bring(tool, &empty, target));
        self.server.turn(|| self.bring(tool, source, target)) - starting
    }

    fn bring(&self, tool: Tool, source: &Path, target: &Path) -> Duration {
        let program = tool.program().find().expect("it was there before");
        let name = source.file_name().expect("a file has a name");
        let arrived = target.join(name);
        let remote = format!("{HOST}:{}", arrived.display());
        let mut command =
            if tool == Tool::Rsync { pinned(&[self.core], &program) } else { self.client(&program) };
        match tool {
            Tool::Cat => {
                let source = fs::File::open(source).expect("the source");
                command.args([HOST, "exec cat > /dev/null"]).stdin(source);
            }
            Tool::Scp => {
                command.arg("-q").arg(source).arg(remote);
            }
            Tool::Sftp => {
                let mut batch = tempfile::tempfile().expect("a scratch file");
                writeln!(batch, "put {} {}", source.display(), arrived.display()).expect("room for it");
                std::io::Seek::rewind(&mut batch).expect("a file");
                command.args(["-q", "-b", "-", HOST]).stdin(batch).stdout(Stdio::null());
            }
            Tool::Rsync => {
                let shell = format!("ssh -F {}", self.folder.path().join("ssh_config").display());
                command.args(["--whole-file", "-e", &shell]).arg(source).arg(remote);
            }
        }
        let (took, _) = run(&mut command);
        if tool != Tool::Cat {
            let octets = |path: &Path| fs::metadata(path).expect("the file").len();
            assert_eq!(octets(&arrived), octets(source), "all of it arrived by {tool:?}");
            fs::remove_file(&arrived).expect("it can be removed");
        }
        took
    }

    /// A program that takes ssh's options, on the sender's core.
    fn client(&self, program: &PathBuf) -> Command {
        let mut command = pinned(&[self.core], program);
        command.arg("-F").arg(self.folder.path().join("ssh_config"));
        command
    }
}

/// The folder into which sshd locks those who have not logged in. The service's start makes it; where the service has
/// never run, it is made here, and removed.
struct RequiredFolder;

impl RequiredFolder {
    fn provide() -> Result<Option<Self>, String> {
        if Path::new(LOCKED_ROOM).is_dir() {
            return Ok(None);
        }
        match fs::create_dir(LOCKED_ROOM) {
            Ok(()) => Ok(Some(Self)),
            // Who is not root needs no such room.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(format!("{LOCKED_ROOM}: {error}")),
        }
    }
}

impl Drop for RequiredFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir(LOCKED_ROOM);
    }
}

const LOCKED_ROOM: &str = "/run/sshd";
const HOST: &str = "bench";

const SERVER: &str = "\
Port @PORT@
ListenAddress 127.0.0.1
HostKey @FOLDER@/host_key
AuthorizedKeysFile @FOLDER@/user_key.pub
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserRC no
PrintMotd no
PrintLastLog no
X11Forwarding no
AllowTcpForwarding no
Compression no
Ciphers aes256-gcm@openssh.com
LogLevel INFO
Subsystem sftp internal-sftp
";

const CLIENT: &str = "\
Host bench
HostName 127.0.0.1
Port @PORT@
IdentityFile @FOLDER@/user_key
IdentitiesOnly yes
UserKnownHostsFile @FOLDER@/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking accept-new
BatchMode yes
Compression no
Ciphers aes256-gcm@openssh.com
ControlMaster no
ControlPath none
LogLevel ERROR
";
