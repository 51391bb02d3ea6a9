//! Tests that `docs/configuration.md` has every key and every kind, and no others.
//!
//! The keys come from the configuration's own errors: an unknown key is refused with the list of the known ones, an
//! unknown kind with the list of kinds.

use std::collections::BTreeSet;

use super::RunConfig;

const PAGE: &str = include_str!("../../../docs/configuration.md");
const DEMO: &str = include_str!("../../../configs/demo.toml");
/// No key and no kind has this name.
const UNKNOWN: &str = "no_such_name";

/// The names in backticks behind `expected` in an error about an unknown `what`; `None` for another error.
fn expected(error: &str, what: &str) -> Option<Vec<String>> {
    let rest = error.split(&format!("unknown {what} `{UNKNOWN}`")).nth(1)?;
    let list = rest.split(" in `").next()?;
    Some(list.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The error of the demo's configuration with one more override; empty where a value may be any text.
fn refusal(item: &str) -> String {
    let error = RunConfig::parse(DEMO, &[item.to_owned()]).err();
    error.map(|error| format!("{error:#}")).unwrap_or_default()
}

/// Collects the keys and kinds at `path` and below. The `value` chooses the kind of the table there, if it has kinds.
fn collect(path: &str, value: &str, keys: &mut BTreeSet<String>, kinds: &mut BTreeSet<String>) {
    let Some(fields) = expected(&refusal(&format!("{path}={{ {value}{UNKNOWN} = 1 }}")), "field")
    else {
        return;
    };
    for field in fields {
        let key = format!("{path}.{field}");
        if keys.insert(key.clone()) {
            explore(&key, keys, kinds);
        }
    }
}

/// Collects the keys and kinds of the table at `path`, if it is one.
fn explore(path: &str, keys: &mut BTreeSet<String>, kinds: &mut BTreeSet<String>) {
    let variants = expected(&refusal(&format!("{path}={{ kind = \"{UNKNOWN}\" }}")), "variant");
    let Some(variants) = variants else {
        // A value without kinds is a choice of names, a table, or neither.
        kinds.extend(
            expected(&refusal(&format!("{path}={UNKNOWN}")), "variant").unwrap_or_default(),
        );
        return collect(path, "", keys, kinds);
    };
    keys.insert(format!("{path}.kind"));
    for variant in variants {
        collect(path, &format!("kind = \"{variant}\", "), keys, kinds);
        kinds.insert(variant);
    }
}

/// The keys of a table and of the tables in it.
fn written_keys(path: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        keys.insert(key.clone());
        if let Some(table) = value.as_table() {
            written_keys(&key, table, keys);
        }
    }
}

/// Every key, with `NAME` for a stage, and every kind that the program knows.
fn known() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut keys, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    let top = expected(&refusal(&format!("{UNKNOWN}=1")), "field").expect("the top level's keys");
    for key in top {
        keys.insert(key.clone());
        explore(&key, &mut keys, &mut kinds);
    }
    explore("stages.student", &mut keys, &mut kinds);
    // Some tables do not list all their keys in errors. Resolved configurations have them.
    for distillation in ["kind = \"mse\"", "kind = \"kl\", temperature = 2.0"] {
        let item = format!("stages.student.distillation={{ {distillation} }}");
        let resolved = RunConfig::parse(DEMO, &[item]).unwrap().to_toml().unwrap();
        written_keys("", &resolved.parse().unwrap(), &mut keys);
    }
    let stages = ["stages.teacher", "stages.student", "stages.finetune"];
    let general = |key: String| {
        let stage = stages.iter().find_map(|stage| key.strip_prefix(stage));
        stage.map_or(key.clone(), |rest| format!("stages.NAME{rest}"))
    };
    (keys.into_iter().map(general).collect(), kinds)
}

/// The first cells of the page's tables: its keys.
fn documented() -> BTreeSet<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

/// A table whose keys all have rows needs none of its own.
fn has_rows_below(key: &str, documented: &BTreeSet<String>) -> bool {
    documented.iter().any(|row| row.starts_with(&format!("{key}.")))
}

#[test]
fn the_configuration_page_has_every_key_and_every_kind() {
    let ((keys, kinds), documented) = (known(), documented());
    let is_missing =
        |key: &&String| !documented.contains(*key) && !has_rows_below(key, &documented);
    let missing: Vec<&String> = keys.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:?}");
    let is_missing = |kind: &&String| !PAGE.contains(&format!("`\"{kind}\"`"));
    let missing: Vec<&String> = kinds.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks the kinds {missing:?}");
}

#[test]
fn the_configuration_page_has_no_key_that_the_program_does_not_know() {
    let (keys, _) = known();
    let unknown: Vec<String> = documented().into_iter().filter(|key| !keys.contains(key)).collect();
    assert!(unknown.is_empty(), "docs/configuration.md has {unknown:?}");
}

#[test]
fn keys_of_optional_and_nested_tables_are_found() {
    let (keys, kinds) = known();
    for key in ["data.distant", "encoder.pretrained", "encoder.scratch.dropout", "model.emb_size"] {
        assert!(keys.contains(key), "{key}: {keys:?}");
    }
    for key in ["patience", "distillation.temperature", "distillation.relation_weight"] {
        assert!(keys.contains(&format!("stages.NAME.{key}")), "{key}: {keys:?}");
    }
    for kind in ["atlop", "afl-paper", "bf16"] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
}
