//! The package's own promises: an upgrade that is refused, removal, purge.

use crate::gateway::{CONFIG, Gateway, allowed, blocked};
use crate::lab::Res;
use crate::payload;

const DPKG: &str = "DEBIAN_FRONTEND=noninteractive dpkg";
/// Where the commands that open the gateway are kept.
const OPEN: &str = "/usr/share/doc/kordon/open-the-gate";

fn pid(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.ok("systemctl show -p MainPID --value kordon").map(|pid| pid.trim().to_owned())
}

/// The configuration broke since the daemon started: the new version does not take its place.
pub(crate) fn refused_upgrade(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    let before = pid(gateway)?;
    gateway.write("/etc/kordon/kordon.toml", &CONFIG.replace("\"enforce\"", "\"enforcing\""))?;
    let said = gateway.ok(&format!("{DPKG} -i {}/newer.deb 2>&1", payload::FOLDER))?;
    let installed = gateway.ok("dpkg-query -W -f '${Version} ${db:Status-Status}' kordon")?;
    if !installed.contains(payload::NEWER) || !installed.ends_with(" installed") {
        return Err(format!("after the upgrade, dpkg says {installed}"));
    }
    if !said.contains("systemctl restart kordon") {
        return Err(format!("the upgrade does not say what to do:\n{said}"));
    }
    let after = pid(gateway)?;
    if before != after {
        return Err(format!(
            "process {before} was replaced by {after}, with a configuration that is refused"
        ));
    }
    let none = gateway.blocked(&blocked(), 10)?;
    let passed = gateway.passes(&allowed(), 10)?;
    gateway.write("/etc/kordon/kordon.toml", CONFIG)?;
    Ok(format!(
        "process {before} went on: 0 of {none} blocked arrived, {passed} of {passed} allowed"
    ))
}

/// Removed while cameras send: closed, and the way to open it is printed.
pub(crate) fn removed(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.enforcing()?;
    let traffic = gateway.traffic(100)?;
    traffic.allowed.wait_arrival(crate::wire::PATIENCE)?;
    let said = gateway.ok(&format!("{DPKG} -r kordon 2>&1"))?;
    traffic.blocked.wait_sent(40)?;
    let (_, stopped) = traffic.stop()?;
    let ways = [allowed(), blocked()].concat();
    let none = gateway.blocked(&ways, 10)?;
    if stopped.arrived > 0 {
        return Err(format!("{} of {} blocked packets leaked", stopped.arrived, stopped.sent));
    }
    // The commands as they were printed, and as they are kept.
    let kept = gateway.ok(&format!("grep -v '^#' {OPEN}"))?;
    let commands: Vec<&str> = kept.lines().filter(|line| !line.trim().is_empty()).collect();
    if commands.is_empty() || commands.iter().any(|command| !said.contains(command)) {
        return Err(format!("{OPEN} holds {commands:?}, and the removal printed:\n{said}"));
    }
    gateway.ok(&format!("bash -e {OPEN}"))?;
    let passed = gateway.passes(&ways, 10)?;
    Ok(format!(
        "0 of {} leaked meanwhile, 0 of {none} arrived afterwards; {passed} of {passed} after `{}`",
        stopped.sent,
        commands.join("`, `")
    ))
}

/// Purged after that: what the daemon kept goes, what the admin wrote stays.
pub(crate) fn purged(gateway: &mut Gateway<'_>) -> Res<String> {
    gateway.ok(&format!("{DPKG} -P kordon 2>&1"))?;
    let left = gateway
        .ok("ls -d /var/lib/kordon /etc/kordon/kordon.toml /usr/bin/kordon 2>/dev/null; true")?;
    if !left.is_empty() {
        return Err(format!("purged, and still there: {left}"));
    }
    let lists = gateway.ok("ls /etc/kordon/lists.d")?;
    match lists.contains("blocked.txt") {
        true => Ok("/var/lib/kordon is gone, /etc/kordon/lists.d is as it was".to_owned()),
        false => Err(format!("/etc/kordon/lists.d holds {lists:?}")),
    }
}
