//! The differences between the configurations of the runs.

use std::collections::{BTreeMap, BTreeSet};

use maud::html;
use toml::{Table as Toml, Value};

use super::parts::Section;
use crate::report::{
    run::ReportedRun,
    table::{Row, Table},
};

pub(super) fn section(runs: &[ReportedRun]) -> Option<Section> {
    if runs.is_empty() {
        return None;
    }
    // A configuration that was read has a TOML form.
    let texts: Vec<String> = runs.iter().filter_map(|run| run.config.to_toml().ok()).collect();
    let tables: Vec<Toml> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    let rows = differences(&tables);
    let keys = runs.iter().map(|run| run.key.clone());
    let body = html! {
        @if let [_] = runs {
            p { "There is one run, so there is no difference." }
        } @else if rows.is_empty() {
            p { "The runs have equal configurations." }
        } @else {
            p { "Keys that do not have the same value in all runs; “–” is no value." }
            (Table {
                caption: "Differences between the configurations".into(),
                head: std::iter::once("key".into()).chain(keys).collect(),
                n_text_columns: 1 + runs.len(),
                rows,
            })
        }
        @for (run, text) in runs.iter().zip(&texts) {
            details {
                summary { "Configuration of " (run.key) ", " (run.name) }
                pre.scroll tabindex="0" role="region" aria-label={ "Configuration of " (run.key) } {
                    (text)
                }
            }
        }
    };
    Some(Section { id: "configurations", title: "Configurations", body })
}

/// One row for each key whose values differ.
fn differences(configurations: &[Toml]) -> Vec<Row> {
    let flat: Vec<BTreeMap<String, String>> = configurations.iter().map(flattened).collect();
    let keys: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    let differ = |key: &&String| flat.iter().any(|values| values.get(*key) != flat[0].get(*key));
    let value = |values: &BTreeMap<String, String>, key: &String| {
        values.get(key).cloned().unwrap_or("–".into())
    };
    let row = |key: &String| Row::new(key.clone(), flat.iter().map(|values| value(values, key)));
    keys.into_iter().filter(differ).map(row).collect()
}

/// The values by their keys with all sections, as `stages.teacher.epochs`.
fn flattened(table: &Toml) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                let inner = flattened(section).into_iter();
                flat.extend(inner.map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            value => drop(flat.insert(key.clone(), value.to_string())),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Vec<String> {
        let tables: Vec<Toml> = texts.iter().map(|text| text.parse().unwrap()).collect();
        differences(&tables).iter().map(|row| row.markup(1).into_string()).collect()
    }

    #[test]
    fn only_keys_with_different_values_have_a_row() {
        let a = "seed = 1\n[loss]\nkind = \"atl\"\n[stages.teacher]\nepochs = 2\n";
        let b = "seed = 1\n[loss]\nkind = \"afl\"\ngamma = 1.0\n[stages.teacher]\nepochs = 2\n";
        let expected = [
            "<tr><th class=\"text\" scope=\"row\"><span>loss.gamma</span></th><td>–</td><td>1.0</td></tr>",
            "<tr><th class=\"text\" scope=\"row\"><span>loss.kind</span></th><td>&quot;atl&quot;</td><td>&quot;afl&quot;</td></tr>",
        ];
        assert_eq!(rows(&[a, b]), expected);
        assert!(rows(&[a, a]).is_empty() && rows(&[]).is_empty());
    }
}
