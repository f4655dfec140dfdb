//! Where a caller's number is from decides what he is asked.

use std::io::Write as _;

use tempfile::NamedTempFile;

use crate::{engine::Engine, setup::Setup};

/// The number of the whole region instead of one city's.
const REGION: (&str, &str, &str) = (
    "numbers/nanning.numbers.yaml",
    "flow: gx12345.main, note: 政务服务便民热线",
    "flow: gx12345.main, params: {city: \"450000\"}, note: 政务服务便民热线",
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mobile_caller_is_asked_whether_he_is_from_the_city_of_his_number_and_others_for_theirs() {
    let mut table = NamedTempFile::new().unwrap();
    table.write_all(b"1340770,450100\n1340780,450200\n").unwrap();
    let sip_more = format!("[callers]\nmobile_regions = \"{}\"\n", table.path().display());
    let flow_edits = vec![REGION];
    let engine = Engine::start(Setup { flow_edits, sip_more, ..Setup::default() }).await;
    for (number, prompt) in [
        ("13407800001", "city.450200"),
        ("13407700001", "city.450100"),
        ("13800138000", "ask.area_code"),
    ] {
        let caller = engine.caller_from(number).await;
        caller.ask_for_person(&engine).await;
        caller.hears(&engine, prompt).await;
        caller.hang_up();
    }
}
