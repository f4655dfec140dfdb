//! `[media]`: RTP addresses and ports, prompts, recordings.

use std::{net::IpAddr, path::Path};

use hotline_media::{Coding, IntakeChoice, MediaConfig, WORKERS_MAX, default_workers};
use hotline_sdp::{Codec, Codecs};

use crate::{embedded, section::Section};

/// `data_dir` is where recordings and the bundled prompts lie unless told otherwise.
pub(crate) fn read(root: &Section<'_, '_>, data_dir: &Path, sip: IpAddr) -> MediaConfig {
    let it = root.section("media");
    let address = address(&it).unwrap_or(sip);
    let first = it.number_or("port_first", 20_000, 1_024..=65_534);
    let last = it.number_or("port_last", 20_999, 1_025..=65_535);
    // One even port a leg, two legs a call.
    if last < first + 7 {
        it.complain("port_last", "端口太少", "至少 8 个；每路通话用 4 个，并留出冷却的端口");
    }
    let legs_max = it.number_or("legs_max", 1_000, 2..=100_000);
    if last > first && legs_max > (last - first).div_ceil(2) {
        it.warn(
            "legs_max",
            format!("{legs_max} 条腿，端口只够 {} 条", (last - first).div_ceil(2)),
            "放宽 port_first 到 port_last，或减小 legs_max",
        );
    }
    let recording_dir = it.path("recording_dir").unwrap_or_else(|| data_dir.join("recordings"));
    let own = it.path("prompt_dir");
    if let Some(own) = &own
        && !own.is_dir()
    {
        it.complain("prompt_dir", format!("{} 不是目录", own.display()), "建好目录或改正路径");
    }
    let bundled = data_dir.join("prompts");
    let flows = root.section("flows").path("dir").map(|it| it.join("prompts"));
    let workers = workers(&it);
    let config = MediaConfig {
        address,
        ports: port(first)..=port(last),
        browser_port: browser_port(&it, first, last, workers),
        prompt_dirs: own.into_iter().chain(flows).chain([bundled]).collect(),
        recording_dir,
        port_quarantine: it.secs_or("port_quarantine_secs", 40, 0..=600),
        legs_max: usize::try_from(legs_max).unwrap_or(usize::MAX),
        lang: embedded::LANGUAGE.to_owned(),
        intake: intake(&it),
        workers,
        pin: it.bool_or("pin_workers", true),
        coding: coding(&it),
        recorder: super::recording::read(root),
        busy_max: u8::try_from(it.number_or("busy_max_percent", 70, 1..=100)).unwrap_or(100),
    };
    it.end();
    config
}

fn address(it: &Section<'_, '_>) -> Option<IpAddr> {
    let ip: IpAddr = it.parsed("address", " IP 地址")?;
    if ip.is_unspecified() {
        it.complain("address", format!("{ip} 不是对方能连到的地址"), "写本机的 IP，如 10.1.2.10");
    }
    Some(ip)
}

/// Threads that pass packets on.
fn workers(it: &Section<'_, '_>) -> u8 {
    let own = default_workers();
    let number = it.number_or("workers", own.into(), 1..=WORKERS_MAX.into());
    let number = u8::try_from(number).unwrap_or(own);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if usize::from(number) > cores {
        it.warn(
            "workers",
            format!("{number} 个语音线程，本机只有 {cores} 个处理器核"),
            "不写则按核数自动取",
        );
    }
    number
}

/// An even port of the range, the first of as many as there are workers; whichever are free when it
/// is not said.
fn browser_port(it: &Section<'_, '_>, first: u64, last: u64, workers: u8) -> Option<u16> {
    let number = it.number("browser_port", first..=last)?;
    if number + 2 * u64::from(workers - 1) > last {
        it.complain(
            "browser_port",
            format!("从 {number} 起不够 {workers} 个端口"),
            "每个语音线程（workers）用一个偶数端口，都要在 port_last 以内",
        );
    }
    if number % 2 != 0 {
        it.complain(
            "browser_port",
            format!("{number} 是奇数"),
            "写 port_first 到 port_last 之间的偶数",
        );
    }
    Some(port(number))
}

fn intake(it: &Section<'_, '_>) -> IntakeChoice {
    let Some(word) = it.text("intake") else { return IntakeChoice::default() };
    match word.value.as_str() {
        "auto" => IntakeChoice::Auto,
        "sockets" => IntakeChoice::Sockets,
        "sk_lookup" => IntakeChoice::Lookup,
        other => {
            let advice = "可写：auto、sockets、sk_lookup";
            it.complain("intake", format!("{other:?} 不认识"), advice);
            IntakeChoice::default()
        }
    }
}

fn coding(it: &Section<'_, '_>) -> Coding {
    let default = Coding::default();
    let complexity = it.number_or("opus_complexity", default.opus_complexity.into(), 0..=10);
    Coding {
        codecs: codecs(it, "codecs").unwrap_or(default.codecs),
        browser_codecs: codecs(it, "browser_codecs").unwrap_or(default.browser_codecs),
        opus_complexity: u8::try_from(complexity).unwrap_or(default.opus_complexity),
    }
}

fn codecs(it: &Section<'_, '_>, key: &'static str) -> Option<Codecs> {
    let named = |name: &str| Codec::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(name));
    let mut found = Vec::new();
    for name in it.texts(key)? {
        if let Some(codec) = named(&name.value) {
            found.push(codec);
        } else {
            let all = Codec::ALL.map(|it| it.name().to_ascii_lowercase()).join("、");
            it.complain_at(&name, format!("编码 {:?} 不认识", name.value), format!("可写：{all}"));
        }
    }
    if !found.contains(&Codec::Pcma) {
        it.complain(key, "没有 pcma", "A 律人人都有，必须写上；放在前面的优先");
    }
    Some(Codecs::of(found))
}

fn port(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
