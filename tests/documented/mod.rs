//! The command lines that the documents show, and those among them that no test runs.
//!
//! A command line stands in a fenced block: behind `$ ` where the block shows a session, at the start of the
//! line otherwise. `tests/docs.rs` sees that each is accounted for, the kernel tests run those that can run.
#![allow(dead_code)]

use std::path::Path;

/// What a block without prompts may begin a line with and be a command.
const PROGRAMS: [&str; 22] = [
    "apt",
    "apt-get",
    "cargo",
    "cp",
    "curl",
    "dpkg",
    "ip6tables-nft",
    "install",
    "iptables-nft",
    "journalctl",
    "kordon",
    "lintian",
    "make",
    "man",
    "mkdir",
    "nft",
    "promtool",
    "scripts/setup",
    "sudo",
    "systemctl",
    "systemd-analyze",
    "useradd",
];

/// Commands that no test runs as they stand, each with its reason.
const NOT_RUN: &str = "tests/data/documents/not-run.txt";

/// A command line in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Documented {
    /// Document and line: `docs/commands.md:65`.
    pub(crate) place: String,
    /// Without prompt, `sudo` and comment; continued lines joined.
    pub(crate) command: String,
    /// The document shows that it is refused (`kordon: ...` on the next line).
    pub(crate) refused: bool,
}

impl Documented {
    /// The words, as a shell splits them; `None` where it takes more of a shell than quotes.
    pub(crate) fn words(&self) -> Option<Vec<String>> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in self.command.chars() {
            match (quote, c) {
                (Some(open), c) if open == c => quote = None,
                (Some(_), c) => word.get_or_insert_default().push(c),
                (None, '"' | '\'') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, '|' | '>' | '<' | '&' | ';' | '$' | '*' | '`') => return None,
                (None, c) if c.is_whitespace() => words.extend(word.take()),
                (None, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        quote.is_none().then_some(words)
    }
}

/// The documents: README and its neighbours, and everything in docs, as paths from the root.
pub(crate) fn documents(root: &Path) -> Vec<String> {
    let mut found: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned).into();
    let entries = std::fs::read_dir(root.join("docs")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut docs: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    docs.sort();
    found.append(&mut docs);
    found
}

/// The command lines of one document, in order.
pub(crate) fn commands(path: &str, text: &str) -> Vec<Documented> {
    let mut found = Vec::new();
    let mut block: Option<Vec<(usize, &str)>> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut block, line.starts_with("```")) {
            (None, true) => block = Some(Vec::new()),
            (None, false) => {}
            (Some(lines), false) => lines.push((number + 1, line)),
            (Some(lines), true) => {
                of_block(path, lines, &mut found);
                block = None;
            }
        }
    }
    found
}

fn of_block(path: &str, lines: &[(usize, &str)], found: &mut Vec<Documented>) {
    let session = lines.iter().any(|(_, line)| line.starts_with("$ "));
    let mut lines = lines.iter().peekable();
    while let Some((number, line)) = lines.next() {
        let start = match line.strip_prefix("$ ") {
            Some(command) => command,
            None if session => continue,
            None => line,
        };
        let mut command = start.trim().to_owned();
        while command.ends_with('\\') {
            command.pop();
            let next = lines.next().map_or("", |(_, line)| line.trim());
            command = format!("{} {next}", command.trim_end());
        }
        if let Some((before, _)) = command.split_once(" #") {
            command.truncate(before.trim_end().len());
        }
        let first = command.split_whitespace().next().unwrap_or_default();
        // `NAME=value program ...` as well.
        let assigns = first.split_once('=').is_some_and(|(name, _)| {
            name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
        if !session && !PROGRAMS.contains(&first) && !assigns {
            continue;
        }
        let command = command.strip_prefix("sudo ").unwrap_or(&command);
        let command = command.split_whitespace().collect::<Vec<_>>().join(" ");
        let refused = lines.peek().is_some_and(|(_, next)| next.starts_with("kordon: "));
        found.push(Documented { place: format!("{path}:{number}"), command, refused });
    }
}

/// Reads [`NOT_RUN`]: a command, or its beginning and `*`, then ` :: ` and the reason.
pub(crate) fn not_run(root: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root.join(NOT_RUN)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| match line.split_once(" :: ") {
        Some((command, reason)) => (command.trim().to_owned(), reason.trim().to_owned()),
        None => (line.to_owned(), String::new()),
    };
    lines.map(split).collect()
}

/// Whether an entry of [`NOT_RUN`] means this command.
pub(crate) fn means(entry: &str, command: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(beginning) => command.starts_with(beginning),
        None => entry == command,
    }
}
