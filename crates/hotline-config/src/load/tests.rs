//! The built-in configuration, the example, and files with mistakes.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../../../config/production.example.toml");

#[test]
fn the_built_in_configuration_is_without_complaint_on_loopback_only() {
    let (text, file, folder) = source(None).unwrap();
    let document = Document::new(file, folder, &text);
    let tables = Tables::parse(&text);
    let (parts, place) = parts(&document.root(&tables));
    assert_eq!(document.finish(), []);
    assert_eq!(place.folder, None);
    assert_eq!(parts.engine.data_dir, PathBuf::from("var"));
    let listen = parts.sip.listen_udp.iter().chain(&parts.sip.listen_tcp);
    assert!(listen.chain(&parts.http.listen).all(|it| it.ip().is_loopback()));
    assert!(parts.media.address.is_loopback());
    assert_eq!(parts.people.len(), 6);
    assert!(parts.people.iter().all(|it| it.groups.len() == parts.groups.len()));
    assert_eq!(parts.sip.config.accounts.len(), 6);
    assert_eq!(parts.trunks.len(), 1);
}

/// `[[trunk]]` and `trunk[2]` are one section.
fn bare(key: &str) -> String {
    key.split('[').map(|it| it.split_once(']').map_or(it, |it| it.1)).collect()
}

#[test]
fn the_example_names_every_key_there_is() {
    let document = Document::new("e.toml".into(), PathBuf::new(), EXAMPLE);
    let tables = Tables::parse(EXAMPLE);
    let _ = parts(&document.root(&tables));
    let known: BTreeSet<_> = document.known.borrow().iter().map(|it| bare(it)).collect();
    let mut section = String::new();
    let mut written = BTreeSet::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
            written.insert(section.clone());
        } else if let Some((key, _)) = line.split_once(" = ")
            && !line.starts_with('#')
        {
            written.insert(format!("{section}.{key}"));
        }
    }
    let demo = ["agent.demo_password", "http.token.demo_token"].map(str::to_owned);
    let expected: BTreeSet<_> = known.difference(&demo.into()).cloned().collect();
    assert_eq!(written, expected);
}

#[test]
fn left_out_keys_have_the_values_the_example_tells() {
    let text = "[sip]\nlisten_udp = [\"192.0.2.1:5060\"]\n";
    let document = Document::new("e.toml".into(), PathBuf::from("/etc/hotline"), text);
    let tables = Tables::parse(text);
    let (parts, _) = parts(&document.root(&tables));
    assert_eq!(parts.engine.data_dir, PathBuf::from("/etc/hotline/var"));
    assert_eq!(parts.engine.grace.as_secs(), 30);
    assert_eq!(parts.media.address.to_string(), "192.0.2.1");
    assert_eq!(parts.media.ports, 20_000..=20_999);
    assert_eq!(parts.media.port_quarantine.as_secs(), 40);
    assert_eq!(parts.sip.config.expires_max.as_secs(), 3_600);
    assert_eq!(parts.http.listen, None);
}
