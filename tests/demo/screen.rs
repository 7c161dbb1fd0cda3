//! What the newcomer sees: narration, commands, their output, and the table at the end.
//!
//! At most [`WIDTH`] columns; colours only on a terminal and without `NO_COLOR`.

use std::io::IsTerminal;

const WIDTH: usize = 100;

pub(crate) struct Screen {
    colour: bool,
    steps: u32,
    rows: Vec<Row>,
}

struct Row {
    step: String,
    expected: String,
    seen: String,
    ok: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { colour: wanted && std::io::stdout().is_terminal(), steps: 0, rows: Vec::new() }
    }

    /// The next chapter.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.steps += 1;
        println!("\n{}", self.paint("1", &format!("{}. {title}", self.steps)));
    }

    pub(crate) fn say(&self, text: &str) {
        text.lines().for_each(|line| println!("{}", cut(line)));
    }

    /// A command as a user would type it.
    pub(crate) fn command(&self, text: &str) {
        println!("  {}", self.paint("36", &cut(&format!("$ {text}"))));
    }

    /// What a command printed, at most `lines` lines of it.
    pub(crate) fn output(&self, text: &str, lines: usize) {
        let all: Vec<&str> = text.trim_end().lines().collect();
        all.iter().take(lines).for_each(|line| println!("{}", cut(&format!("    {line}"))));
        if all.len() > lines {
            println!("    ... {} more lines", all.len() - lines);
        }
    }

    /// A count, shown now and again in the table.
    pub(crate) fn count(&mut self, step: &str, expected: &str, seen: &str, ok: bool) {
        let mark = if ok { self.paint("32", "ok") } else { self.paint("31", "FAILED") };
        println!("  {step:<58} {seen:<25} {mark}");
        self.rows.push(Row {
            step: step.to_owned(),
            expected: expected.to_owned(),
            seen: seen.to_owned(),
            ok,
        });
    }

    /// The table; whether every count is as it should be.
    pub(crate) fn finish(&self) -> bool {
        println!();
        let line = format!("{:<50}{:<20}{:<22}", "step", "expected", "seen");
        println!("{}", self.paint("1", line.trim_end()));
        println!("{}", "-".repeat(WIDTH - 1));
        for row in &self.rows {
            let mark = if row.ok { self.paint("32", "ok") } else { self.paint("31", "FAILED") };
            println!("{:<50}{:<20}{:<22}{mark}", row.step, row.expected, row.seen);
        }
        let failed = self.rows.iter().filter(|row| !row.ok).count();
        println!("{}", "-".repeat(WIDTH - 1));
        match failed {
            0 => println!("{} counts, all as they should be", self.rows.len()),
            _ => println!("{failed} of {} counts are NOT as they should be", self.rows.len()),
        }
        failed == 0
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH - 3) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}
