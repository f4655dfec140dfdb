//! `[[trunk.account]]`: as whom a trunk registers at its carrier.

use hotline_sip::{Credentials, Secret};
use hotline_trunk::{AccountConfig, normalise_called};

use super::account;
use crate::section::Section;

/// The accounts of a trunk, and how each proves who it is, in the same order.
pub(super) fn accounts(
    it: &Section<'_, '_>,
    numbers: &[String],
    proofs: &mut Vec<Credentials>,
) -> Vec<AccountConfig> {
    let mut accounts: Vec<AccountConfig> = Vec::new();
    for it in it.sections("account") {
        let account = one(&it, numbers);
        if let Some((account, proof)) = account {
            if accounts.iter().any(|it| it.user == account.user) {
                let text = format!("账号 {} 重复", account.user);
                it.complain("user", text, "一条中继的每个账号只写一次");
            }
            accounts.push(account);
            proofs.push(proof);
        }
        it.end();
    }
    accounts
}

fn one(it: &Section<'_, '_>, numbers: &[String]) -> Option<(AccountConfig, Credentials)> {
    let user = it.required("user", "写运营商给的账号，如 \"+8677512345\"");
    let domain = it.text("domain").map(|it| it.value);
    let auth_user = it.text("auth_user").map(|it| it.value);
    let realm = it.text("realm").map(|it| it.value);
    let expires = it.secs_or("expires_secs", 3_600, 60..=86_400);
    let challenges = account::digest(it).unwrap_or_default();
    let secret = it.secret_file("password_file");
    if !it.has("password_file") {
        it.complain("password_file", "没有口令", "写一个只有运行账户可读的文件");
    }
    let written = it.text("number");
    let user = user?;
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "+-_.".contains(it);
    if !user.value.chars().all(is_plain) {
        let text = format!("{:?} 不能作账号", user.value);
        it.complain_at(&user, text, "只写 @ 前面的部分：字母、数字、+、-、_、.");
    }
    if let Some(domain) = &domain
        && !domain.chars().all(|it| is_plain(it) || "[:]".contains(it))
    {
        it.complain("domain", format!("{domain:?} 不是域"), "写 @ 后面的部分，如 ims.example.cn");
    }
    let text = written.as_ref().map_or(user.value.as_str(), |it| it.value.as_str());
    let number = normalise_called(text, None).map(|it| it.norm);
    if number.as_ref().is_none_or(|it| !numbers.contains(it)) {
        let text = format!("{text:?} 不是本中继 numbers 里的号码");
        it.complain("number", text, "写 number，是本中继 numbers 里的一个号码");
    }
    let account = AccountConfig { user: user.value.clone(), domain, number: number?, expires };
    let proof = Credentials {
        user: auth_user.unwrap_or(user.value),
        secret: Secret::Password(secret?),
        realm,
        // That of each request.
        hops: Vec::new(),
        challenges,
    };
    Some((account, proof))
}
