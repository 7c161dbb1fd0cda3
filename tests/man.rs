//! The manual pages name every command, option, exit status and key.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A page without its macros: what stands on its lines, word by word.
fn words(page: &str) -> Vec<String> {
    let text = page.replace("\\&", "");
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | ';' | '(' | ')'))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `Fl Fl gate-only` is how mdoc writes `--gate-only`.
fn names_option(words: &[String], option: &str) -> bool {
    let name = option.trim_start_matches('-');
    words.windows(3).any(|three| three[0] == "Fl" && three[1] == "Fl" && three[2] == name)
}

fn visit(command: &clap::Command, path: &str, found: &mut Vec<(String, Vec<String>)>) {
    let options = command.get_arguments().filter_map(|argument| argument.get_long());
    found.push((path.to_owned(), options.map(|name| format!("--{name}")).collect()));
    for below in command.get_subcommands() {
        visit(below, format!("{path} {}", below.get_name()).trim(), found);
    }
}

#[test]
fn kordon_8_names_every_command_and_option() {
    let page = read("docs/man/kordon.8");
    let words = words(&page);
    let mut commands = Vec::new();
    visit(&kordon::cli::command(), "", &mut commands);
    assert!(commands.len() >= 10, "{commands:?}");
    // A command with commands below is described by those.
    let parent =
        |path: &str| commands.iter().any(|(other, _)| other.starts_with(&format!("{path} ")));
    for (path, options) in &commands {
        let item = format!(".It Cm {path}");
        let described =
            page.lines().any(|line| line == item || line.starts_with(&format!("{item} ")));
        assert!(path.is_empty() || parent(path) || described, "kordon.8 lacks `{item}`");
        for option in options {
            assert!(names_option(&words, option), "kordon.8: kordon {path} {option} is missing");
        }
    }
    // The control.
    assert!(!names_option(&words, "--no-such-option"));
    for status in [0, 1, 2, 3, 10, 65, 66, 69, 75, 77, 78] {
        assert!(page.contains(&format!("\n.It {status}\n")), "kordon.8: exit status {status}");
    }
}

#[test]
fn kordon_toml_5_names_every_key() {
    let page = read("docs/man/kordon.toml.5");
    let mut keys = 0;
    for part in read("src/config/raw.rs").split("pub(super) struct ").skip(1) {
        let table = part.split(|c: char| !c.is_alphanumeric()).next().unwrap();
        let fields = part.split("\n}").next().unwrap().lines();
        for field in fields.filter_map(|line| line.trim().strip_prefix("pub(super) ")) {
            let key = field.split(':').next().unwrap();
            let (item, single, several) =
                (format!("\n.It Cm {key}\n"), format!(".Ss [{key}]\n"), format!(".Ss [[{key}]]\n"));
            let named = page.contains(&item) || page.contains(&single) || page.contains(&several);
            assert!(named, "kordon.toml.5 lacks `{key}` of {table}");
            keys += 1;
        }
    }
    assert!(keys >= 35, "only {keys} keys found in src/config/raw.rs");
}

#[test]
fn kordon_lists_5_names_every_kind_and_format() {
    let page = read("docs/man/kordon-lists.5");
    for name in ["prefix", "asn", "csv", "iptoasn"] {
        assert!(page.contains(&format!("Qq {name}\n")), "kordon-lists.5 lacks {name}");
    }
}
