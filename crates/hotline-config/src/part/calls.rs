//! `[calls]`: what all calls share.

use hotline_call::Config;

use crate::section::Section;

pub(crate) fn read(root: &Section<'_, '_>) -> Config {
    let it = root.section("calls");
    let usual = Config::default();
    let mut config = usual.clone();
    if let Some(text) = it.text("suspended") {
        match text.value.as_str() {
            "music" => config.park_music = usual.park_music,
            "silence" => config.park_music = None,
            other => it.complain("suspended", format!("{other:?} 不认识"), "写 music 或 silence"),
        }
    }
    let limit = it.secs_or("outside_confirm_secs", 15, 0..=60);
    config.confirm_outside = (!limit.is_zero()).then_some(limit);
    it.end();
    config
}
