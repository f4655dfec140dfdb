//! What other systems see of a call.

use hotline_base::{AgentNo, WallTime};

use super::*;
use crate::fixture;

#[test]
fn time_is_written_as_in_china_and_read_from_anywhere() {
    let at = Time(WallTime(1_795_219_200_007));
    assert_eq!(at.to_string(), "2026-11-21T08:00:00.007+08:00");
    let read: Time = serde_json::from_str("\"2026-11-21T00:00:00.007Z\"").unwrap();
    assert_eq!(read, at);
    assert!(Time(WallTime(i64::MAX)).to_string().starts_with("9999-12-31"));
    assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
}

#[test]
fn record_survives_the_way_through_json() {
    let record = fixture::answered(7, 1, "1001", "13800138000");
    let mut json = CallJson::from(&record);
    json.facts = Some(record.facts.iter().map(|it| StampedJson::from(&**it)).collect());
    let text = serde_json::to_string(&json).unwrap();
    assert_eq!(serde_json::from_str::<CallJson>(&text).unwrap(), json);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["call_id"], "7");
    assert_eq!(value["outcome"], "answered");
    assert_eq!(value["segments"][0]["agent_no"], "1001");
    assert_eq!(value["facts"][0]["type"], "arrived");
    assert_eq!(value["facts"][0]["at"], value["t_in"]);
}

#[test]
fn masked_record_holds_neither_number_nor_what_the_caller_entered() {
    let record = fixture::answered(7, 1, "1001", "13800138000");
    let mut json = CallJson::from(&record);
    json.facts = Some(record.facts.iter().map(|it| StampedJson::from(&**it)).collect());
    assert!(json.was_with(&AgentNo::new("1001")));
    assert!(!json.was_with(&AgentNo::new("1002")));
    let whole = serde_json::to_string(&json).unwrap();
    assert!(whole.contains("13800138000") && whole.contains("4501001980"));
    let masked = serde_json::to_string(&json.masked()).unwrap();
    assert!(!masked.contains("13800138000") && !masked.contains("4501001980"), "{masked}");
    assert!(masked.contains("138****8000"));
}

#[test]
fn nothing_of_a_record_is_printed_by_debug() {
    let record = fixture::answered(7, 1, "1001", "13800138000");
    let json = CallJson::from(&record);
    let printed = format!("{json:?} {:?}", StampedJson::from(&*record.facts[0]));
    assert!(!printed.contains("13800138000"), "{printed}");
}
