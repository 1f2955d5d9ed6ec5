//! Reading config.json: what is kept, what is refused, and where.

use serde_json::{Value, json};
use warren_oci::{Config, Error};

const FULL: &str = include_str!("data/full.json");

fn refused(text: &str) -> Error {
    Config::parse(text).expect_err("a wrong config.json")
}

/// Without what a reader takes for the same: zeros, nulls and empty lists.
fn without_defaults(value: &Value) -> Value {
    let is_default = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().map(without_defaults).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), without_defaults(value)))
            .filter(|(_, value)| !is_default(value))
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn every_property_is_read_and_written_again() {
    let config = Config::parse(FULL).expect("a full config.json");
    let before: Value = serde_json::from_str(FULL).expect("JSON");
    let after: Value = serde_json::from_str(&config.text()).expect("JSON");
    assert_eq!(without_defaults(&after), without_defaults(&before));
    assert_eq!(Config::parse(&config.text()), Ok(config));
}

#[test]
fn unknown_properties_are_ignored_and_null_is_absence() {
    let text = r#"{"ociVersion": "1.3.0", "x": {"y": [1]}, "hostname": null, "mounts": null,
        "linux": {"seccomp": null, "maskedPaths": null, "windows": {}}}"#;
    let config = Config::parse(text).expect("a good config.json");
    assert_eq!(config.hostname, "");
    assert!(config.linux.expect("linux").masked_paths.is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    for (text, words) in [
        (
            r#"{"linux": {"resources": {"memory": {"limit": "1G"}}}}"#,
            "linux.resources.memory.limit: expected an integer, found string \"1G\"",
        ),
        (
            r#"{"process": {"args": ["sh", 3, "x"]}}"#,
            "process.args[1]: expected a string, found integer `3`",
        ),
        (
            r#"{"process": {"args": "sh"}}"#,
            "process.args: expected an array, found string \"sh\"",
        ),
        (
            r#"{"mounts": [{"destination": "/a"}, {"options": {"ro": 1}}]}"#,
            "mounts[1].options: expected an array, found an object",
        ),
        (
            r#"{"process": {"user": {"uid": -1}}}"#,
            "process.user.uid: integer `-1` is out of range (u32)",
        ),
        (
            r#"{"process": {"user": {"uid": 1.5}}}"#,
            "process.user.uid: expected an integer, found floating point `1.5`",
        ),
        (
            r#"{"root": {"path": "a", "readonly": "no"}}"#,
            "root.readonly: expected a boolean, found string \"no\"",
        ),
        (
            r#"{"root": [], "hostname": "x"}"#,
            "root: expected an object, found an array",
        ),
        (
            r#"{"linux": {"seccomp": {"syscalls": [{"names": ["a"]}], "defaultAction": ""}}}"#,
            "linux.seccomp.syscalls[0]: missing field `action`",
        ),
        ("[]", "config.json: expected an object, found an array"),
        ("3", "config.json: expected an object, found integer `3`"),
        (
            "{\"root\":\n {\"path\": }}",
            "root.path: line 2 column 11: expected value",
        ),
        (
            "",
            "config.json: line 1 column 0: EOF while parsing a value",
        ),
    ] {
        assert_eq!(refused(text).to_string(), words, "{text}");
    }
}

/// Each value of a document by its path, in the form that errors have.
fn values(value: &mut Value, path: &str, see: &mut impl FnMut(&mut Value, &str)) {
    see(value, path);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                values(item, &format!("{path}[{index}]"), see);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                values(member, &format!("{path}{dot}{key}"), see);
            }
        }
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, wanted: &str) -> &'a mut Value {
    let mut place = value;
    for part in wanted.replace('[', "\u{0}[").split('\u{0}') {
        match part.strip_prefix('[') {
            Some(rest) => {
                let (index, keys) = rest.split_once(']').expect("an index");
                place = &mut place[index.parse::<usize>().expect("a number")];
                for key in keys.split('.').filter(|key| !key.is_empty()) {
                    place = &mut place[key];
                }
            }
            None => {
                for key in part.split('.').filter(|key| !key.is_empty()) {
                    place = &mut place[key];
                }
            }
        }
    }
    place
}

/// Keys of maps have dots, which a path does not tell from its own.
fn has_words_as_keys(path: &str) -> bool {
    [
        "annotations",
        "sysctl",
        "unified",
        "rdma",
        "netDevices",
        "timeOffsets",
    ]
    .iter()
    .any(|map| path.contains(&format!("{map}.")))
}

#[test]
fn a_value_of_another_type_anywhere_is_refused_with_its_own_path() {
    let mut full: Value = serde_json::from_str(FULL).expect("JSON");
    let mut paths = Vec::new();
    values(&mut full, "", &mut |_, path| paths.push(path.to_owned()));
    let mut refusals = 0;
    for path in paths.iter().filter(|path| !has_words_as_keys(path)) {
        for wrong in [
            json!("words"),
            json!(true),
            json!(1.5),
            json!([]),
            json!({}),
        ] {
            let mut changed = full.clone();
            *at(&mut changed, path) = wrong.clone();
            // Both as one line and as many.
            for text in [
                changed.to_string(),
                serde_json::to_string_pretty(&changed).expect("JSON"),
            ] {
                let Err(error) = Config::parse(&text) else {
                    continue;
                };
                refusals += 1;
                // An object where only a property of it is missed tells of itself.
                assert_eq!(error.path(), path, "{wrong} at {path}: {error}");
            }
        }
    }
    assert!(refusals > 1500, "{refusals}");
}

#[test]
fn a_text_that_ends_or_changes_anywhere_never_panics() {
    for end in (0..FULL.len()).filter(|end| FULL.is_char_boundary(*end)) {
        let error = Config::parse(&FULL[..end]);
        assert!(error.is_err() || FULL[end..].trim().is_empty(), "{end}");
    }
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    const BYTES: &[u8] = b"{}[]:,\"\\ \n0-9.eEtfnu\x7fx";
    for _ in 0..20_000 {
        let mut bytes = FULL.as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = BYTES[next(BYTES.len())],
                1 => bytes.insert(at, BYTES[next(BYTES.len())]),
                _ => drop(bytes.drain(at..(at + next(9)).min(bytes.len() - 1).max(at))),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = Config::parse(&text) {
            assert!(!error.to_string().is_empty());
        }
    }
}
