//! What somebody should know before a configuration is written. Pure.

use ipnet::IpNet;

use super::networks::{self, Link};
use crate::blocklist::{Carved, LocalSpace};
use crate::config::Config;

/// The interfaces to choose from, with their networks.
pub(super) fn choices(links: &[Link], has_default_route: impl Fn(&str) -> bool) -> String {
    let one = |link: &Link| {
        let mut words: Vec<String> = link.networks.iter().map(IpNet::to_string).collect();
        if has_default_route(&link.name) {
            words.push("default route".to_owned());
        }
        match words.as_slice() {
            [] => link.name.clone(),
            words => format!("{} ({})", link.name, words.join(", ")),
        }
    };
    let all: Vec<String> = links.iter().filter(|link| link.name != "lo").map(one).collect();
    match all.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    }
}

/// About the interface `name` and the camera networks that the configuration will name.
pub(super) fn of_networks(name: &str, links: &[Link], cameras: &[IpNet]) -> Vec<String> {
    let own = links.iter().filter(|link| link.name == name).flat_map(|link| &link.networks);
    let mut remarks = Vec::new();
    match cameras {
        [] if own.clone().next().is_none() => remarks.push(format!(
            "note: {name} has no address: any sender behind it counts as a camera (--cameras NET says which may be)"
        )),
        [] => remarks.push(format!(
            "note: {} of {name} overlap another interface's: any sender behind {name} counts as a camera",
            words(own.clone())
        )),
        some => {
            remarks.push(format!("camera networks: {}", words(some)));
            remarks.extend(networks::left_out(name, links, cameras).iter().map(|net| {
                format!(
                    "note: {name} also has {net}, which is none of them: what comes from there is taken for \
                     forged; if cameras are in it: --cameras {net}"
                )
            }));
        }
    }
    let everywhere = LocalSpace::everywhere();
    let told = |net: &IpNet| match everywhere.carve(*net) {
        Carved::Nothing(_) => format!("{net}, local space"),
        Carved::Whole | Carved::Parts(..) => net.to_string(),
    };
    let others: Vec<String> = links
        .iter()
        .filter(|link| link.name != name && link.name != "lo")
        .flat_map(|link| link.networks.iter().map(|net| format!("{} ({})", link.name, told(net))))
        .collect();
    if !others.is_empty() {
        remarks.push(format!("other networks here: {}", others.join(", ")));
        remarks.push(
            "what no list shall block there: --recorder ADDRESS, or --local NET for a network of your own that is not local \
             space by itself"
                .to_owned(),
        );
    }
    remarks
}

/// What the files in `conf.d` make of the answers: their keys win.
pub(super) fn overridden(
    wanted: (&str, &[IpNet], crate::config::Mode),
    got: &Config,
) -> Option<String> {
    let (interface, cameras, mode) = wanted;
    let mut keys = Vec::new();
    if got.mode != mode {
        keys.push(format!("mode = \"{}\"", got.mode.label()));
    }
    if got.cameras.interfaces != [interface] {
        keys.push(format!("cameras.interfaces = {:?}", got.cameras.interfaces));
    }
    if got.cameras.networks != cameras {
        keys.push(format!("cameras.networks = [{}]", words(&got.cameras.networks)));
    }
    let drop_ins = got.files.iter().skip(1).map(|file| file.display().to_string());
    (!keys.is_empty()).then(|| {
        format!(
            "note: this is not what will be in force: {} by {}",
            keys.join(", "),
            drop_ins.collect::<Vec<_>>().join(", ")
        )
    })
}

fn words<'a>(networks: impl IntoIterator<Item = &'a IpNet>) -> String {
    networks.into_iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn links() -> [Link; 4] {
        [
            ("cam0", &["192.0.2.0/25", "2001:db8:1::/64"][..]),
            ("eth0", &["198.51.100.0/24"]),
            ("eth1", &[]),
            ("lo", &[]),
        ]
        .map(|(name, networks)| Link { name: name.to_owned(), networks: nets(networks) })
    }

    #[test]
    fn interfaces_to_choose_from_have_what_tells_them_apart() {
        assert_eq!(
            choices(&links(), |name| name == "eth0"),
            "cam0 (192.0.2.0/25, 2001:db8:1::/64), eth0 (198.51.100.0/24, default route), eth1"
        );
        assert_eq!(choices(&links()[3..], |_| true), "none");
    }

    #[test]
    fn what_is_local_space_by_itself_is_told_from_what_is_not() {
        let mut links = links().to_vec();
        links[2].networks = nets(&["10.1.0.0/16", "fd00::/64"]);
        let said = of_networks("cam0", &links, &links[0].networks).join("\n");
        let line = "other networks here: eth0 (198.51.100.0/24), eth1 (10.1.0.0/16, local space), \
                    eth1 (fd00::/64, local space)\n";
        assert!(said.contains(line), "{said}");
    }

    #[test]
    fn a_network_of_the_interface_that_no_camera_may_have_is_named() {
        let say = |name: &str, cameras: &[&str]| {
            let said = of_networks(name, &links(), &nets(cameras)).join("\n");
            (said.contains("forged"), said.contains("no address"), said.contains("overlap"))
        };
        assert_eq!(say("cam0", &["192.0.2.0/25", "2001:db8:1::/64"]), (false, false, false));
        assert_eq!(say("cam0", &["192.0.2.0/24", "2001:db8::/32"]), (false, false, false));
        assert_eq!(say("cam0", &["192.0.2.0/25"]), (true, false, false));
        assert_eq!(say("cam0", &["10.0.0.0/8"]), (true, false, false));
        assert_eq!(say("cam0", &[]), (false, false, true));
        assert_eq!(say("eth1", &[]), (false, true, false));
        assert_eq!(say("eth1", &["10.0.0.0/8"]), (false, false, false));
    }
}
