//! The plan that was last put in force, kept in a file: the gate of a boot at which the configuration cannot
//! be read follows from it.
//!
//! Invariants: the file is replaced whole or not at all; what is read back has passed the same checks as a
//! configuration, because root turns it into rules while the daemon's user may write the folder.

use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Plan, Tool};
use crate::config::interface_name;
use crate::failure::{ExitStatus, Failure};
use crate::verdict::Mark;
use crate::{regular, whole};

/// The file's name in the state folder.
const FILE: &str = "plan.json";
/// The longest file that is read, in bytes; a plan of a thousand networks has 30,000.
const LIMIT: u64 = 4 << 20;

/// A plan, and the tool that carried it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The plan.
    pub plan: Plan,
    /// The tool.
    pub tool: Tool,
}

/// The file's shape.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    tool: String,
    open: bool,
    interfaces: Vec<String>,
    networks: Vec<IpNet>,
    trusted_interfaces: Vec<String>,
    first_queue: u16,
    queues: u16,
    mark: u32,
    mask: u32,
    /// Not in plans of before it was a key: what was in force then did neither.
    #[serde(default)]
    hold_input: bool,
    #[serde(default)]
    drop_tunnels: bool,
}

impl Saved {
    /// Writes the plan into the state folder.
    ///
    /// # Errors
    /// 66, 77 or 1 where the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let plan = self.plan.clone();
        let file = File {
            schema: 1,
            tool: self.tool.to_string(),
            open: plan.open,
            interfaces: plan.interfaces,
            networks: plan.networks,
            trusted_interfaces: plan.trusted_interfaces,
            first_queue: plan.first_queue,
            queues: plan.queues,
            mark: plan.mark.value,
            mask: plan.mark.mask,
            hold_input: plan.hold_input,
            drop_tunnels: plan.drop_tunnels,
        };
        let text = serde_json::to_string(&file).map_err(|error| {
            Failure::new(ExitStatus::Failed, format!("{}: {error}", folder.join(FILE).display()))
        })?;
        let path = folder.join(FILE);
        if regular::read(&path, LIMIT).is_ok_and(|kept| kept.trim_ascii_end() == text.as_bytes()) {
            return Ok(());
        }
        // Root may write it, and the daemon's user reads it at boot.
        whole::replace(&path, 0o644, format!("{text}\n").as_bytes())
            .map_err(|error| Failure::reading(&path, &error))
    }

    /// Reads the plan from the state folder.
    ///
    /// # Errors
    /// 66 where there is none, 77 where it may not be read, 65 where it is no plan.
    pub fn read(folder: &Path) -> Result<Saved, Failure> {
        let path = folder.join(FILE);
        // The daemon's user may lay something else there, and root reads it.
        let bytes = regular::read(&path, LIMIT).map_err(|error| Failure::reading(&path, &error))?;
        parse(&bytes).map_err(|why| {
            Failure::new(ExitStatus::BadData, format!("{}: not a plan: {why}", path.display()))
        })
    }
}

fn parse(text: &[u8]) -> Result<Saved, String> {
    let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if file.schema != 1 {
        return Err(format!("schema {} is not known", file.schema));
    }
    let tool = Tool::ALL.into_iter().find(|tool| tool.to_string() == file.tool);
    let tool = tool.ok_or_else(|| format!("`{}` is no tool", file.tool))?;
    for name in file.interfaces.iter().chain(&file.trusted_interfaces) {
        interface_name(name)?;
    }
    if let Some(net) = file.networks.iter().find(|net| **net != net.trunc()) {
        return Err(format!("`{net}` has host bits set"));
    }
    if file.interfaces.is_empty() && file.networks.is_empty() && file.trusted_interfaces.is_empty()
    {
        return Err("no cameras".to_owned());
    }
    if file.mark == 0 || file.mark & !file.mask != 0 || file.queues == 0 {
        return Err("mark, mask or queues out of range".to_owned());
    }
    let plan = Plan {
        gate: !file.open,
        interfaces: file.interfaces,
        networks: file.networks,
        trusted_interfaces: file.trusted_interfaces,
        first_queue: file.first_queue,
        queues: file.queues,
        mark: Mark { value: file.mark, mask: file.mask },
        open: file.open,
        hold_input: file.hold_input,
        drop_tunnels: file.drop_tunnels,
    };
    Ok(Saved { plan, tool })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::netfilter::samples;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("kordon-plan-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_plan_comes_back_as_it_was_written() {
        let folder = Folder::new("back");
        for (plan, tool) in [
            (samples::interfaces(), Tool::Nftables),
            (samples::networks(), Tool::Iptables),
            (samples::trusted(), Tool::Nftables),
            (samples::input(), Tool::Iptables),
        ] {
            let saved = Saved { plan, tool };
            saved.write(&folder.0).unwrap();
            assert_eq!(Saved::read(&folder.0).unwrap(), saved);
        }
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left aside");
        let meta = std::fs::metadata(folder.0.join(FILE)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o644, "the daemon's user reads it at boot");
    }

    #[test]
    fn a_missing_folder_and_a_missing_file_are_said_by_name() {
        let folder = Folder::new("missing");
        let failure = Saved::read(&folder.0).unwrap_err();
        assert_eq!(failure.status, ExitStatus::NoInput);
        assert!(failure.message.contains("plan.json"), "{failure}");
        let saved = Saved { plan: samples::interfaces(), tool: Tool::Nftables };
        let failure = saved.write(&folder.0.join("none")).unwrap_err();
        assert_eq!(failure.status, ExitStatus::NoInput);
    }

    #[test]
    fn a_pipe_in_its_place_is_refused_and_replaced() {
        let folder = Folder::new("pipe");
        let path = folder.0.join(FILE);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let failure = Saved::read(&folder.0).unwrap_err();
        assert!(failure.message.ends_with("plan.json: is a named pipe, not a regular file"));
        let saved = Saved { plan: samples::interfaces(), tool: Tool::Nftables };
        saved.write(&folder.0).unwrap();
        assert_eq!(Saved::read(&folder.0).unwrap(), saved);
    }

    #[test]
    fn what_a_configuration_could_not_say_is_no_plan() {
        let folder = Folder::new("refused");
        let saved = Saved { plan: samples::networks(), tool: Tool::Nftables };
        saved.write(&folder.0).unwrap();
        let good = std::fs::read_to_string(folder.0.join(FILE)).unwrap();
        for (from, to) in [
            ("\"nftables\"", "\"sh\""),
            ("\"interfaces\":[]", "\"interfaces\":[\"cam0\\\" drop\"]"),
            ("\"interfaces\":[]", "\"interfaces\":[\"a b\"]"),
            ("192.0.2.0/24", "192.0.2.1/24"),
            ("\"mark\":268435456", "\"mark\":0"),
            ("\"mark\":268435456", "\"mark\":1"),
            ("\"schema\":1", "\"schema\":2"),
            ("\"queues\":4", "\"queues\":0"),
            ("{\"schema\"", "{\"more\":1,\"schema\""),
            ("}", ""),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from} is not in {good}");
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(good.as_bytes()).is_ok());
        let old = good.replace(",\"hold_input\":false,\"drop_tunnels\":false", "");
        assert_ne!(old, good);
        assert_eq!(parse(old.as_bytes()), parse(good.as_bytes()), "a plan of before");
    }
}
