//! A wrong file tells everything that is wrong with it, at once.

use super::*;

fn read<T>(text: &str, with: impl FnOnce(&Section<'_, '_>) -> T) -> (T, Vec<(u32, String)>) {
    let document = Document::new("t.toml".into(), PathBuf::new(), text);
    let tables = Tables::parse(text);
    let value = {
        let root = document.root(&tables);
        let value = with(&root);
        root.end();
        value
    };
    (value, document.finish().into_iter().map(|it| (it.line, it.key)).collect())
}

#[test]
fn values_are_read_with_their_defaults() {
    let text = "a = \"x\"\nn = 1_000\n[[t]]\nb = true\n[[t]]\nm = { \"z\" = 1, \"y\" = 2 }\n";
    let (found, complaints) = read(text, |root| {
        let t = root.sections("t");
        let names: Vec<_> = t[1].numbers("m").into_iter().map(|it| (it.0.value, it.1)).collect();
        let flags = (t[0].bool_or("b", false), t[1].bool_or("b", false));
        let number = root.number_or("n", 5, 0..=2_000);
        t.iter().for_each(Section::end);
        (root.text_or("a", "y"), number, root.text_or("c", "d"), flags, names)
    });
    assert_eq!(complaints, []);
    let names = vec![("z".to_owned(), 1), ("y".to_owned(), 2)];
    assert_eq!(found, ("x".into(), 1_000, "d".into(), (true, false), names));
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let text = "n = \"x\"\nlisten_udb = 1\n[s]\nk = 7\nlong = 9\n";
    let ((), complaints) = read(text, |root| {
        root.number_or("n", 1, 0..=9);
        root.texts("listen_udp");
        let s = root.section("s");
        s.number_or("k", 1, 0..=5);
        s.required("id", "");
        s.end();
    });
    let expected = [(1, "n"), (2, "listen_udb"), (3, "s.id"), (4, "s.k"), (5, "s.long")];
    assert_eq!(complaints, expected.map(|it| (it.0, it.1.to_owned())));
}

#[test]
fn a_misspelt_key_is_told_its_likely_name() {
    let document = Document::new("t.toml".into(), PathBuf::new(), "chanels_max = 1\n");
    let tables = Tables::parse("chanels_max = 1\n");
    let root = document.root(&tables);
    root.number("channels_max", 0..=1);
    root.end();
    assert!(document.finish()[0].advice.contains("channels_max"));
    assert_eq!(distance("kitten", "sitting"), 3);
}

#[test]
fn a_file_that_is_not_toml_is_named_with_its_lines_only() {
    let ((), complaints) = read("a = \"x\nb = = 2\n", |root| {
        root.required("a", "");
        root.required("c", "");
    });
    assert!(complaints.iter().any(|it| it.0 == 1), "{complaints:?}");
    assert!(complaints.iter().all(|it| it.1.is_empty()), "{complaints:?}");
}
