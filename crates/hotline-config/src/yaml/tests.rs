//! The subset: what is read, and what is refused with its place.

use super::*;

fn refused(text: &str) -> Vec<(u32, String)> {
    read("f.yaml", text.as_bytes()).unwrap_err().into_iter().map(|it| (it.line, it.key)).collect()
}

#[test]
fn a_document_keeps_order_quotes_and_places() {
    let root = read("f.yaml", b"a: 1\n\"b\": ['x', {c: y}]\n").unwrap();
    let RawNode::Map { entries, .. } = &root else { panic!("a map") };
    assert_eq!((entries[0].key.as_str(), entries[0].key_quoted), ("a", false));
    assert_eq!((entries[1].key.as_str(), entries[1].key_quoted), ("b", true));
    assert_eq!(entries[1].at, At { line: 2, col: 1 });
    let RawNode::List { items, .. } = &entries[1].value else { panic!("a list") };
    assert_eq!(
        items[0],
        RawNode::Scalar { text: "x".into(), quoted: true, at: At { line: 2, col: 7 } }
    );
    assert_eq!(items[1].find("c").unwrap().text(), Some("y"));
}

#[test]
fn a_missing_value_is_an_empty_scalar() {
    let root = read("f.yaml", b"a:\nb: null\nc: ~\nd: 'null'\n").unwrap();
    let text = |key| root.find(key).unwrap().text().unwrap().to_owned();
    assert_eq!([text("a"), text("b"), text("c"), text("d")], ["", "", "", "null"]);
}

#[test]
fn every_double_key_is_named_with_line_and_path() {
    let found = refused("a:\n  x: 1\n  x: 2\nb: 1\nb: 2\n");
    assert_eq!(found, [(3, "a".to_owned()), (5, String::new())]);
}

#[test]
fn anchors_aliases_tags_and_merge_keys_are_refused() {
    assert_eq!(refused("a: &x 1\nb: *x\n").iter().map(|it| it.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(refused("a: !!str 1\n")[0].0, 1);
    assert_eq!(refused("a: 1\n<<: {b: 2}\n")[0].0, 2);
}

#[test]
fn two_documents_broken_text_and_nothing_are_refused() {
    assert_eq!(refused("a: 1\n---\nb: 2\n")[0].0, 2);
    assert_eq!(refused("a: [1\nb: 2\n").len(), 1);
    assert_eq!(refused("").len(), 1);
    assert_eq!(refused("# only a comment\n").len(), 1);
    assert_eq!(read("f.yaml", &[0xff, 0xfe]).unwrap_err().len(), 1);
}

#[test]
fn a_file_too_big_or_too_deep_is_refused_without_harm() {
    assert_eq!(read("f.yaml", &vec![b'a'; SIZE_MAX + 1]).unwrap_err()[0].line, 0);
    let deep = format!("a: {}{}\n", "[".repeat(2_000), "]".repeat(2_000));
    assert!(!read("f.yaml", deep.as_bytes()).unwrap_err().is_empty());
}
