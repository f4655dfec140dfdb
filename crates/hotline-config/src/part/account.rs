//! Telephones' accounts: passwords or their hashes, and by which digest algorithms they may answer.

use std::{collections::BTreeMap, fs};

use hotline_base::Extension;
use hotline_sip::{Account, Challenges, Secret};

use super::agent::is_number;
use crate::section::Section;

/// The account in an agent's own section, if there is one.
pub(super) fn own(it: &Section<'_, '_>, has_demo_password: &mut bool) -> Option<Account> {
    let (key, text) = if let Some(demo) = it.text("demo_password") {
        *has_demo_password = true;
        if it.text("password_file").is_some() {
            it.complain("demo_password", "与 password_file 重复", "正式使用请删去 demo_password");
        }
        ("demo_password", demo.value)
    } else {
        let text = it.secret_file("password_file")?;
        if is_guessable(&text) {
            it.complain("password_file", "口令容易猜到", STRENGTH_ADVICE);
        }
        ("password_file", text)
    };
    let account = account(&text);
    if account.is_none() {
        it.complain(key, "口令的散列看不懂", HASH_ADVICE);
    }
    account
}

const PASSWORD_MIN: usize = 8;

const STRENGTH_ADVICE: &str = "至少 8 个字符，且不全是数字：话机的口令一旦被猜到，就能用它拨打电话";

/// Whether who tries passwords (requirement V9) would soon try this one. A hash does not say what
/// it is made of.
fn is_guessable(text: &str) -> bool {
    !is_hash(text)
        && (text.chars().count() < PASSWORD_MIN || text.bytes().all(|it| it.is_ascii_digit()))
}

const HASH_ADVICE: &str = "写口令本身，或 {SHA-256} 后接 64 位、{MD5} 后接 32 位十六进制";

/// `digest`: which algorithms the telephone may use.
pub(super) fn digest(it: &Section<'_, '_>) -> Option<Challenges> {
    let names = it.texts("digest")?;
    let known = challenges(names.iter().map(|it| it.value.as_str()));
    if known.is_none() {
        it.complain(
            "digest",
            "不认识的认证算法",
            "写 [\"SHA-256\"]；老话机写 [\"SHA-256\", \"MD5\"] 或 [\"MD5\"]",
        );
    }
    known
}

fn challenges<'a>(names: impl Iterator<Item = &'a str>) -> Option<Challenges> {
    let mut names: Vec<_> = names.map(str::trim).collect();
    names.sort_unstable();
    match names.as_slice() {
        ["SHA-256"] => Some(Challenges::Sha256),
        ["MD5", "SHA-256"] => Some(Challenges::Sha256AndMd5),
        ["MD5"] => Some(Challenges::Md5),
        _ => None,
    }
}

fn is_hash(text: &str) -> bool {
    text.starts_with("{SHA-256}") || text.starts_with("{MD5}")
}

/// A password, or the hashes of `user:realm:password`: `{SHA-256}…{MD5}…`, each at most once.
fn account(text: &str) -> Option<Account> {
    if !is_hash(text) {
        return Some(Account::new(text));
    }
    let (mut sha256, mut md5) = (None, None);
    for part in text.split('{').skip(1) {
        let (slot, digits, hash) = match part.split_once('}')? {
            ("SHA-256", hash) => (&mut sha256, 64, hash),
            ("MD5", hash) => (&mut md5, 32, hash),
            _ => return None,
        };
        let good = hash.len() == digits && hash.bytes().all(|it| it.is_ascii_hexdigit());
        if !good || slot.replace(hash.to_ascii_lowercase()).is_some() {
            return None;
        }
    }
    let challenges = match (&sha256, &md5) {
        (Some(_), Some(_)) => Challenges::Sha256AndMd5,
        (None, Some(_)) => Challenges::Md5,
        (Some(_) | None, None) => Challenges::Sha256,
    };
    Some(Account { secret: Secret::Ha1 { sha256, md5 }, challenges })
}

/// `sip.accounts_file`: a line `extension:password` or `extension algorithms:password` for each
/// telephone; `#` begins a comment.
pub(super) fn file(root: &Section<'_, '_>) -> BTreeMap<Extension, Account> {
    let sip = root.section("sip");
    let mut accounts = BTreeMap::new();
    let Some(path) = sip.path("accounts_file") else { return accounts };
    let Ok(text) = fs::read_to_string(&path) else {
        let text = format!("{} 不能读取", path.display());
        sip.complain("accounts_file", text, "检查路径，并设为仅运行账户可读");
        return accounts;
    };
    sip.guarded("accounts_file", &path);
    for (index, text) in text.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some((extension, account)) = line(text) {
            if text.split_once(':').is_some_and(|it| is_guessable(it.1)) {
                sip.complain(
                    "accounts_file",
                    format!("{} 第 {} 行的口令容易猜到", path.display(), index + 1),
                    STRENGTH_ADVICE,
                );
            }
            accounts.insert(extension, account);
        } else {
            sip.complain(
                "accounts_file",
                format!("{} 第 {} 行看不懂", path.display(), index + 1),
                "每行写“分机:口令”，老话机写“分机 MD5:口令”",
            );
        }
    }
    accounts
}

fn line(text: &str) -> Option<(Extension, Account)> {
    let (who, secret) = text.split_once(':').filter(|it| !it.1.is_empty())?;
    let (extension, names) = match who.split_once(' ') {
        Some((extension, names)) => (extension, Some(names)),
        None => (who, None),
    };
    if !is_number(extension) {
        return None;
    }
    let mut account = account(secret)?;
    if let Some(names) = names {
        account = account.with(challenges(names.split(','))?);
    }
    Some((Extension::new(extension), account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_line_is_read() {
        let read = |it: &str| line(it).map(|(extension, it)| (extension.as_str().to_owned(), it));
        let of = |password: &str, challenges| {
            Some(("8001".to_owned(), Account::new(password).with(challenges)))
        };
        assert_eq!(read("8001:a:b"), of("a:b", Challenges::Sha256));
        assert_eq!(read("8001 MD5:pw"), of("pw", Challenges::Md5));
        assert_eq!(read("8001 SHA-256, MD5:pw"), of("pw", Challenges::Sha256AndMd5));
        for wrong in ["8001", "8001:", "x:pw", "8001 SHA-1:pw", "8001 :pw", "8001:{MD5}12"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn v9_short_passwords_and_digits_alone_are_guessable() {
        for weak in ["", "secret7", "12345678", "8001800180018001", "口令口令口令口"] {
            assert!(is_guessable(weak), "{weak}");
        }
        for strong in ["correct horse", "1234567x", "口令口令口令口令", "{MD5}12"] {
            assert!(!is_guessable(strong), "{strong}");
        }
    }

    #[test]
    fn hashes_stand_for_the_password_and_for_what_they_can_prove() {
        let (sha256, md5) = ("aB".repeat(32), "0".repeat(32));
        let it = account(&format!("{{SHA-256}}{sha256}")).unwrap();
        assert_eq!(it.challenges, Challenges::Sha256);
        let it = account(&format!("{{MD5}}{md5}{{SHA-256}}{sha256}")).unwrap();
        assert_eq!(it.challenges, Challenges::Sha256AndMd5);
        let hashes = Secret::Ha1 { sha256: Some(sha256.to_lowercase()), md5: Some(md5.clone()) };
        assert_eq!(it.secret, hashes);
        assert_eq!(account(&format!("{{MD5}}{md5}{{MD5}}{md5}")), None);
        assert_eq!(account(&format!("{{MD5}}{}", &md5[1..])), None);
    }
}
