//! Tests that `docs/configuration.md` documents every key and every kind, and no unknown key.
//!
//! The tests read the names from error messages: the error about an unknown key lists the known
//! keys, and the error about an unknown kind lists the kinds.

use std::collections::BTreeSet;

use super::RunConfig;

const PAGE: &str = include_str!("../../../docs/configuration.md");
const DEMO: &str = include_str!("../../../configs/demo.toml");
/// A name that is neither a key nor a kind.
const UNKNOWN: &str = "no_such_name";

/// The names that an error about an unknown `what`, which is "field" or "variant", lists; `None`
/// for other errors.
fn expected(error: &str, what: &str) -> Option<Vec<String>> {
    let rest = error.split(&format!("unknown {what} `{UNKNOWN}`")).nth(1)?;
    let list = rest.split(" in `").next()?;
    Some(list.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The error message of the demo's configuration with the override `item`; empty if it is accepted.
fn refusal(item: &str) -> String {
    let error = RunConfig::parse(DEMO, &[item.to_owned()]).err();
    error.map(|error| format!("{error:#}")).unwrap_or_default()
}

/// Collects the keys and kinds of the table at `path` and of the tables in it. `kind` is the entry
/// that selects the table's kind, as in `kind = "mse", `; it is empty for a table without kinds.
fn collect(path: &str, kind: &str, keys: &mut BTreeSet<String>, kinds: &mut BTreeSet<String>) {
    let Some(fields) = expected(&refusal(&format!("{path}={{ {kind}{UNKNOWN} = 1 }}")), "field")
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
        // A value without kinds is a choice of names, a table, or a plain value.
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

/// Collects the keys of a table and of the tables in it.
fn written_keys(path: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        keys.insert(key.clone());
        if let Some(table) = value.as_table() {
            written_keys(&key, table, keys);
        }
    }
}

/// Every key and every kind that the configuration accepts; `NAME` stands for the name of a stage.
fn known() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut keys, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    let top = expected(&refusal(&format!("{UNKNOWN}=1")), "field").expect("the top level's keys");
    for key in top {
        keys.insert(key.clone());
        explore(&key, &mut keys, &mut kinds);
    }
    explore("stages.student", &mut keys, &mut kinds);
    // Errors about some tables list only a part of the keys. Resolved configurations contain the
    // others.
    let key_classifier = "{ kind = \"own-encoder\", xi = 0.15, tau = 0.5 }";
    for items in [
        &["stages.student.distillation={ kind = \"mse\" }"][..],
        &["stages.student.distillation={ kind = \"kl\", temperature = 2.0 }"],
        &[
            &format!("model={{ kind = \"kmgre\", key_classifier = {key_classifier} }}"),
            "em={ warmup_epochs = 1 }",
        ],
    ] {
        let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
        let resolved = RunConfig::parse(DEMO, &items).unwrap().to_toml().unwrap();
        written_keys("", &resolved.parse().unwrap(), &mut keys);
    }
    let stages = ["stages.teacher", "stages.student", "stages.finetune"];
    let with_placeholder = |key: String| {
        let stage = stages.iter().find_map(|stage| key.strip_prefix(stage));
        stage.map_or(key.clone(), |rest| format!("stages.NAME{rest}"))
    };
    (keys.into_iter().map(with_placeholder).collect(), kinds)
}

/// The keys on the page: the first cells of its tables.
fn documented() -> BTreeSet<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

/// Reports whether the page has rows for keys of the table `key`. Such a table needs no row of its
/// own.
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
fn the_configuration_page_has_no_unknown_key() {
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
