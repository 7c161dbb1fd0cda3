//! The systemd units are clean, little exposed, and hang together. Needs systemd-analyze, and no running
//! systemd.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Our units, each with the worst exposure that is taken, in tenths.
const UNITS: [(&str, &str); 2] =
    [("kordon.service", "--threshold=15"), ("kordon-gate.service", "--threshold=11")];
/// Services of others whose start, reload or stop takes kordon's rules away.
const OTHERS: [&str; 4] = ["nftables", "netfilter-persistent", "ufw", "firewalld"];
const REARM: &str = "exec /usr/bin/kordon rules apply --gate-only";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn unit(name: &str) -> String {
    fs::read_to_string(root().join("systemd").join(name)).unwrap()
}

fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The units in a folder of their own, with this build's kordon in place of the installed one.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kordon-units-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder(path);
        for name in ["kordon.service", "kordon-gate.service"] {
            folder.write(name, &unit(name));
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let here = text.replace("/usr/bin/kordon", env!("CARGO_BIN_EXE_kordon"));
        fs::write(path, here).unwrap();
    }

    fn analyze(&self, arguments: &[&str], unit: &str) -> Output {
        Command::new("systemd-analyze")
            .args(arguments)
            .arg(self.0.join(unit))
            // Ours before the machine's; the colon at the end stands for the machine's.
            .env("SYSTEMD_UNIT_PATH", format!("{}:", self.0.display()))
            .output()
            .unwrap_or_else(|error| {
                panic!("systemd-analyze: {error}; scripts/setup installs it (package systemd)")
            })
    }

    fn verify(&self, unit: &str) -> Result<(), String> {
        let output = self.analyze(&["verify", "--man=no"], unit);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // What it says about the machine's own units is none of ours.
        let folder = self.0.display().to_string();
        let ours = |line: &&str| line.contains("kordon") || line.contains(&folder);
        let complaints: Vec<&str> = said.lines().filter(ours).collect();
        match output.status.success() && complaints.is_empty() {
            true => Ok(()),
            false => Err(format!("{unit}: {}\n{said}", output.status)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_units_are_clean() {
    let folder = Folder::new("clean");
    for name in ["kordon.service", "kordon-gate.service"] {
        folder.verify(name).unwrap();
    }
    for name in OTHERS {
        let stub = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n\
                    ExecReload=/bin/true\n";
        folder.write(&format!("{name}.service"), stub);
        let drop_in = format!("{name}.service.d/kordon.conf");
        folder.write(&drop_in, &unit(&drop_in));
        folder.verify(&format!("{name}.service")).unwrap();
    }
    // The control: it does look, and at the drop-ins, too.
    folder.write("kordon.service", &unit("kordon.service").replace("Type=notify", "Typ=notify"));
    assert!(folder.verify("kordon.service").is_err());
    let broken = unit("ufw.service.d/kordon.conf").replace("ExecStopPost=", "ExecStoppPost=");
    folder.write("ufw.service.d/kordon.conf", &broken);
    assert!(folder.verify("ufw.service").is_err());
}

/// What is shipped for newer managers than this machine's may be: an older one names the key that it does not know.
#[test]
fn the_drop_in_for_newer_systemd_holds_one_setting_and_says_how_to_install_it() {
    let name = "kordon-systemd-254.conf";
    let text = unit(&format!("newer/{name}"));
    let settings: Vec<&str> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(settings, ["[Service]", "FileDescriptorStorePreserve=yes"]);
    let installed = "/etc/systemd/system/kordon.service.d/systemd-254.conf";
    let manual = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for said in [&text, &manual] {
        assert!(said.contains(&format!("/usr/share/kordon/systemd/{name}")), "{said}");
        assert!(said.contains(installed), "{said}");
    }
    let folder = Folder::new("newer");
    let place = "kordon.service.d/systemd-254.conf";
    folder.write(place, &text);
    if let Err(said) = folder.verify("kordon.service") {
        let complaints: Vec<&str> = said.lines().filter(|line| line.contains(place)).collect();
        let unknown = |line: &&str| {
            line.contains("Unknown key") && line.contains("FileDescriptorStorePreserve")
        };
        assert!(complaints.len() == 1 && complaints.iter().all(unknown), "{said}");
    }
    // The control: it is read.
    folder.write(place, &text.replace("[Service]", "[Service]\nTyp=notify"));
    assert!(folder.verify("kordon.service").is_err_and(|said| said.contains("Typ")));
}

#[test]
fn the_units_expose_little() {
    let folder = Folder::new("exposure");
    let exposed = |(name, most): (&str, &str)| {
        let output = folder.analyze(&["security", "--offline=true", most], name);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    for (name, most) in UNITS {
        exposed((name, most)).unwrap_or_else(|said| panic!("{name}: {said}"));
        let text = unit(name);
        assert_eq!(values(&text, "CapabilityBoundingSet"), ["CAP_NET_ADMIN"], "{name}");
        assert_eq!(values(&text, "AmbientCapabilities"), ["CAP_NET_ADMIN"], "{name}");
        assert_eq!(values(&text, "User"), ["kordon"], "{name}");
    }
    // The control: without its sandbox each is above the limit.
    for (name, most) in UNITS {
        let open: Vec<String> = unit(name)
            .lines()
            .filter(|line| !line.starts_with("Protect") && !line.starts_with("SystemCall"))
            .map(str::to_owned)
            .collect();
        folder.write(name, &open.join("\n"));
        assert!(exposed((name, most)).is_err(), "{name}");
    }
}

/// The system calls of a set such as `@resources`, those of the sets in it included.
fn calls(set: &str) -> BTreeSet<String> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", set]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let named = text.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#'));
    let mut all = BTreeSet::new();
    for name in named.filter(|name| !name.is_empty()) {
        match name.starts_with('@') {
            true => all.extend(calls(name)),
            false => drop(all.insert(name.to_owned())),
        }
    }
    assert!(!all.is_empty(), "{set}: {text}");
    all
}

/// What a unit's filters leave of the system calls (systemd.exec(5)): the first line allows, the others add and take.
fn allowed(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for line in values(text, "SystemCallFilter") {
        let (takes, names) = line.strip_prefix('~').map_or((false, line), |names| (true, names));
        for name in names.split_whitespace() {
            let some = match name.starts_with('@') {
                true => calls(name),
                false => BTreeSet::from([name.to_owned()]),
            };
            match takes {
                true => all.retain(|call| !some.contains(call)),
                false => all.extend(some),
            }
        }
    }
    all
}

/// A call that is not allowed ends the process.
#[test]
fn the_sandbox_lets_reloads_take_a_low_priority_and_opens_nothing_else() {
    let service = unit("kordon.service");
    let without = service.replace("SystemCallFilter=setpriority\n", "");
    let (with, without) = (allowed(&service), allowed(&without));
    assert!(with.contains("recvmmsg") && !with.contains("sched_setscheduler"), "{with:?}");
    assert_eq!(with.difference(&without).collect::<Vec<_>>(), ["setpriority"]);
    assert_eq!(allowed(&unit("kordon-gate.service")), without, "nothing is reloaded there");
}

#[test]
fn the_gate_comes_after_whatever_flushes_and_before_the_network() {
    for name in ["kordon.service", "kordon-gate.service"] {
        let text = unit(name);
        let after = values(&text, "After").join(" ");
        for other in OTHERS {
            assert!(after.contains(&format!("{other}.service")), "{name}: After={after}");
        }
        assert!(values(&text, "Before").contains(&"network-pre.target"), "{name}");
        assert!(values(&text, "Wants").contains(&"network-pre.target"), "{name}");
    }
    let service = unit("kordon.service");
    assert_eq!(values(&service, "Requires"), ["kordon-gate.service"]);
    // What docs/performance.md has the figures for.
    let environment = values(&service, "Environment");
    assert_eq!(
        environment,
        ["MALLOC_MMAP_THRESHOLD_=262144", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"]
    );
    let figures =
        std::fs::read_to_string(format!("{}/docs/performance.md", env!("CARGO_MANIFEST_DIR")));
    let figures = figures.unwrap();
    assert!(environment.iter().all(|setting| figures.contains(setting)));
    assert!(values(&service, "After").contains(&"kordon-gate.service"));
    assert!(values(&unit("kordon-gate.service"), "DefaultDependencies").contains(&"no"));
}

#[test]
fn whoever_flushes_puts_the_gate_back_in_the_same_job() {
    for name in OTHERS {
        let text = unit(&format!("{name}.service.d/kordon.conf"));
        for key in ["ExecStartPost", "ExecStopPost"] {
            let commands = values(&text, key);
            assert_eq!(commands.len(), 1, "{name}: {key}");
            // A failure must not end the service of others: its stop flushes.
            assert!(commands[0].starts_with('-') && commands[0].contains(REARM), "{name}: {key}");
        }
        // nftables alone has a reload that is over when its command returns.
        assert_eq!(values(&text, "ExecReload").len(), usize::from(name == "nftables"), "{name}");
    }
}

#[test]
fn a_reload_waits_for_its_outcome() {
    let service = unit("kordon.service");
    assert_eq!(values(&service, "Type"), ["notify"]);
    assert_eq!(values(&service, "ExecReload"), ["/usr/bin/kordon reload"]);
    // Half of them may wait for a reload (docs/commands.md).
    assert_eq!(values(&service, "LimitNOFILE"), ["2048"]);
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
}

/// What is made for the package is in the package, and what the package names exists.
#[test]
fn the_package_forgets_nothing() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let assets: Vec<&str> = manifest
        .split("\nassets = [\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|line| *line != "]")
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert!(assets.len() > 25, "{assets:?}");
    for asset in &assets {
        let there = match asset.strip_suffix('*').or_else(|| asset.strip_suffix("*.md")) {
            Some(folder) => root().join(folder).is_dir(),
            None => asset.starts_with("target/") || root().join(asset).is_file(),
        };
        assert!(there, "Cargo.toml: package.metadata.deb names {asset}, which is not there");
    }
    let mut made = Vec::new();
    for folder in ["systemd", "docs/man", "docs/completions"] {
        files(&root().join(folder), &mut made);
    }
    // cargo-deb takes these by other keys.
    let scripts = ["postinst", "prerm", "postrm", "changelog", "copyright"];
    for path in made {
        let script =
            path.starts_with("systemd/deb") && scripts.iter().any(|name| path.ends_with(name));
        let packed = assets.iter().any(|asset| Path::new(asset) == path);
        assert!(script || packed, "{} is not in the package", path.display());
    }
}

#[test]
fn a_removal_never_opens_and_an_upgrade_never_stops() {
    let script = |name: &str| fs::read_to_string(root().join("systemd/deb").join(name)).unwrap();
    for name in ["postinst", "prerm", "postrm"] {
        for line in script(name).lines().filter(|line| !line.trim_start().starts_with('#')) {
            let opens = ["rules remove", "flush ruleset"].iter().any(|word| line.contains(word));
            assert!(!opens, "{name}: {line}");
            // Printed, never run.
            let printed = line.contains("echo ");
            assert!(
                printed || !line.contains("nft delete") && !line.contains(" -D FORWARD"),
                "{name}: {line}"
            );
        }
    }
    let prerm = script("prerm");
    let (remove, rest) = prerm.split_once("    remove)").unwrap().1.split_once(";;").unwrap();
    assert!(remove.contains("stop kordon.service") && !rest.contains("stop kordon.service"));
    let postinst = script("postinst");
    let (check, restart) = (postinst.find("kordon check"), postinst.find("restart kordon.service"));
    assert!(check.unwrap() < restart.unwrap(), "checked before it is restarted");
}
