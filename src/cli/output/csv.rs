//! Rows for spreadsheets and scripts: comma-separated values (RFC 4180).
//!
//! Invariant: no cell is taken for a formula. A list file may come from outside, and its comments end in
//! cells: one that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets an apostrophe in front, by
//! which spreadsheets know text.

/// The records as text; lines end in CR LF, as the standard has them.
pub(in crate::cli) fn csv(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            put(&mut text, cell);
        }
        text.push_str("\r\n");
    }
    text
}

fn put(text: &mut String, cell: &str) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !cell.contains(['"', ',', '\n', '\r']) {
        text.push_str(cell);
        return;
    }
    text.push('"');
    if formula {
        text.push('\'');
    }
    text.push_str(&cell.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::csv;

    fn line(cells: &[&str]) -> String {
        csv(&[cells.iter().map(|cell| (*cell).to_owned()).collect()])
    }

    #[test]
    fn cells_are_quoted_only_where_they_must_be() {
        assert_eq!(line(&["a", "", "b c"]), "a,,b c\r\n");
        assert_eq!(
            line(&["NCU 1, 2022", "say \"no\"", "a\nb"]),
            "\"NCU 1, 2022\",\"say \"\"no\"\"\",\"a\nb\"\r\n"
        );
    }

    #[test]
    fn a_comment_from_a_list_cannot_be_a_formula() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(\"x\",\"y\")"] {
            let line = line(&[cell]);
            assert!(line.starts_with("\"'"), "{line}");
        }
        assert_eq!(line(&["203.0.113.0/24 =x"]), "203.0.113.0/24 =x\r\n");
    }
}
