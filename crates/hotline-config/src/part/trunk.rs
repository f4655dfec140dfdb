//! `[[trunk]]`: the carriers' trunks.

use std::collections::BTreeSet;

use hotline_base::TrunkId;
use hotline_trunk::{Source, TrunkConfig};

use crate::section::Section;

pub(crate) fn read(root: &Section<'_, '_>) -> Vec<TrunkConfig> {
    let mut seen = BTreeSet::new();
    let mut trunks = Vec::new();
    let mut claimed = BTreeSet::new();
    for it in root.sections("trunk") {
        let trunk = one(&it, &mut claimed);
        if let Some(trunk) = trunk {
            if !seen.insert(trunk.id.clone()) {
                it.complain("id", format!("中继 {} 重复", trunk.id), "每条中继的 id 只能用一次");
            }
            trunks.push(trunk);
        }
        it.end();
    }
    if !root.has("trunk") {
        root.warn("trunk", "没有中继，不会接听任何来电", "加一节 [[trunk]]，写明运营商的信令地址");
    }
    trunks
}

fn one(it: &Section<'_, '_>, claimed: &mut BTreeSet<Source>) -> Option<TrunkConfig> {
    let id = it.required("id", "给中继起一个名字，如 gx-nn-ct");
    let sources = sources(it, claimed);
    let channels_max = it.number_or("channels_max", 30, 1..=100_000);
    let area_code = it.text("area_code");
    if let Some(area) = &area_code
        && !is_area_code(&area.value)
    {
        it.complain("area_code", format!("{:?} 不是区号", area.value), "写成 \"0771\" 这样");
    }
    let city = it.text("city");
    if let Some(city) = &city
        && !(city.value.len() == 6 && is_digits(&city.value))
    {
        it.complain("city", format!("{:?} 不是区划代码", city.value), "写成 \"450100\" 这样");
    }
    Some(TrunkConfig {
        id: TrunkId::new(&id?.value),
        sources,
        channels_max: usize::try_from(channels_max).unwrap_or(usize::MAX),
        area_code: area_code.map(|it| it.value),
        city: city.map(|it| it.value),
    })
}

fn sources(it: &Section<'_, '_>, claimed: &mut BTreeSet<Source>) -> Vec<Source> {
    let texts = it.texts("sources").unwrap_or_default();
    if texts.is_empty() {
        it.complain("sources", "没有来源地址，认不出这条中继", "写运营商的地址，如 [\"10.1.2.3\"]");
    }
    let mut sources = Vec::new();
    for text in texts {
        match text.value.parse() {
            Ok(source) => {
                if !claimed.insert(source) {
                    it.complain_at(
                        &text,
                        format!("来源 {source} 重复"),
                        "一个来源只能属于一条中继",
                    );
                }
                sources.push(source);
            }
            Err(_) => it.complain_at(
                &text,
                format!("{:?} 不是地址", text.value),
                "可写 10.1.2.3、10.1.2.0/24 或 10.1.2.3:5060",
            ),
        }
    }
    sources
}

fn is_area_code(text: &str) -> bool {
    text.starts_with('0') && matches!(text.len(), 3 | 4) && is_digits(text)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_digit())
}
