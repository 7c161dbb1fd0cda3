//! The shell completions that are shipped are those of the command line.
//!
//! After a change of the command line: `KORDON_WRITE_COMPLETIONS=1 cargo test --test completions`.

use std::path::Path;

use clap_complete::{Shell, generate};

#[test]
fn the_shipped_completions_are_those_of_the_command_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/completions");
    let write = std::env::var_os("KORDON_WRITE_COMPLETIONS").is_some();
    for (shell, name) in
        [(Shell::Bash, "kordon.bash"), (Shell::Zsh, "_kordon"), (Shell::Fish, "kordon.fish")]
    {
        let mut text = Vec::new();
        generate(shell, &mut kordon::cli::command(), "kordon", &mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("verify"), "{name} knows a command: it is generated");
        let path = folder.join(name);
        if write {
            std::fs::write(&path, &text).unwrap();
        }
        let shipped = std::fs::read_to_string(&path).unwrap_or_default();
        // Not assert_eq: a difference of thousands of lines is no message.
        assert!(
            shipped == text,
            "docs/completions/{name} is not what the command line says: \
             KORDON_WRITE_COMPLETIONS=1 cargo test --test completions"
        );
    }
}
