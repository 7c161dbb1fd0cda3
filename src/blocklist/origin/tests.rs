use super::*;

#[test]
fn a_date_is_read_from_its_comment_only_if_it_is_one() {
    let seconds = |text: &str| date_in(text.as_bytes()).map(|dated| dated.unix);
    assert_eq!(seconds(" date: 2026-06-17"), Some(1_781_654_400));
    assert_eq!(seconds("Date:2026-06-17 "), Some(1_781_654_400));
    for text in [
        " date: 2026-02-29",
        " date: 26-06-17",
        " date: Wed, 17 Jun",
        " date: 2026-06-1\u{e9}",
        " updated: 2026-06-17",
        " date",
        "",
    ] {
        assert_eq!(seconds(text), None, "{text}");
    }
}
