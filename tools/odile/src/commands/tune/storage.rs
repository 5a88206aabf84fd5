//! The filesystem under a path, and the disk under that.

use std::path::{Path, PathBuf};

use odile_station::free_space;

use super::look::{Look, Reading};
use super::machine::Machine;
use super::setting::Aspect;
use super::value::Value;

/// Where files are read and written.
pub struct Storage {
    /// The path that was asked for, or the nearest folder above it that is there.
    path: PathBuf,
    mount: Result<Mount, String>,
}

/// One line of `mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// `254:0`
    device: String,
    point: PathBuf,
    options: Vec<String>,
    filesystem: String,
}

impl Storage {
    pub fn at(machine: &Machine, path: &Path) -> Self {
        let path = path.ancestors().find_map(|path| path.canonicalize().ok()).unwrap_or_else(|| path.into());
        let mount = match machine.read(MOUNTS) {
            Ok(text) => {
                mount_of(&text, &path).ok_or_else(|| format!("{MOUNTS} does not name its filesystem"))
            }
            Err(error) => Err(format!("{MOUNTS}: {error}")),
        };
        Self { path, mount }
    }

    pub fn look(&self, machine: &Machine, aspect: Aspect, name: &str) -> Look {
        let look = Look::new(name).noted(self.path.display().to_string());
        if aspect == Aspect::Free {
            return match free_space(&self.path) {
                Ok(space) => look.read(Value::Number(space.available)),
                Err(error) => look.failed(Reading::Unreadable(error.to_string())),
            };
        }
        let mount = match &self.mount {
            Ok(mount) => mount,
            Err(text) => return look.failed(Reading::Unreadable(text.clone())),
        };
        let point = mount.point.display();
        match aspect {
            Aspect::Filesystem => {
                look.noted(format!("mounted at {point}")).read(Value::Word(mount.filesystem.clone()))
            }
            Aspect::Options => look.noted(format!("of {point}")).read(Value::Set(mount.options.clone())),
            Aspect::Free | Aspect::Scheduler => {
                let Some((disk, file)) = scheduler(machine, &mount.device) else {
                    let text = format!("{} at {point} has no disk of its own", mount.filesystem);
                    return look.failed(Reading::Unknown(text));
                };
                look.noted(format!("of {disk}")).file(machine, &file)
            }
        }
    }
}

/// The mount that holds a path: of those above it the longest, and of several at one place the last.
fn mount_of(text: &str, path: &Path) -> Option<Mount> {
    let mounts = text.lines().filter_map(mount).filter(|mount| path.starts_with(&mount.point));
    mounts.max_by_key(|mount| mount.point.components().count())
}

fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    let device = fields.next()?.to_owned();
    let point = PathBuf::from(unescaped(fields.nth(1)?));
    let mut options: Vec<String> = fields.next()?.split(',').map(str::to_owned).collect();
    let mut fields = after.split(' ');
    let filesystem = fields.next()?.to_owned();
    // What holds for the whole filesystem, wherever it is mounted.
    for option in fields.nth(1).unwrap_or_default().split(',') {
        if !option.is_empty() && !options.iter().any(|known| known == option) {
            options.push(option.to_owned());
        }
    }
    Some(Mount { device, point, options, filesystem })
}

/// `\040` is a space, and so on.
fn unescaped(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The disk of a device, and the file with its scheduler. A partition has that of its disk.
fn scheduler(machine: &Machine, device: &str) -> Option<(String, String)> {
    let link = machine.link(&format!("/sys/dev/block/{device}"))?;
    let names: Vec<String> =
        link.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    names.into_iter().find_map(|disk| {
        let file = format!("/sys/block/{disk}/queue/scheduler");
        machine.exists(&file).then_some((disk, file))
    })
}

const MOUNTS: &str = "/proc/self/mountinfo";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard
31 27 254:16 / /srv/o\\040d rw,noatime - xfs /dev/vdb rw,sync
33 27 0:40 / /srv/x rw - tmpfs tmpfs rw
34 27 254:32 / /srv/x rw - xfs /dev/vdc rw
";

    #[test]
    fn the_longest_and_last_mount_holds_a_path() {
        for (path, device) in [
            ("/", "254:1"),
            ("/srv", "254:1"),
            ("/srv/o d/inbox", "254:16"),
            ("/srv/o", "254:1"),
            ("/srv/x/y", "254:32"),
        ] {
            assert_eq!(mount_of(TEXT, Path::new(path)).unwrap().device, device, "{path}");
        }
        let mount = mount_of(TEXT, Path::new("/srv/o d")).unwrap();
        assert_eq!(
            (mount.filesystem.as_str(), mount.options.join(",")),
            ("xfs", "rw,noatime,sync".to_owned())
        );
    }
}
