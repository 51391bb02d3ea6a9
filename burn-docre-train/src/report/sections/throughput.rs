//! The throughput of backends, from the records of `docre bench`.

use maud::html;

use super::parts::Section;
use crate::{
    bench::{
        comparison::{Named, by_mode, conditions, named, names, work},
        record::{AchievedFlops, Record},
    },
    memory,
    report::{
        chart::{Bar, BarChart, BarGroup, Series, Unit},
        table::{Row, Table},
    },
    ui::three_digits,
};

pub(super) fn section(records: &[Record]) -> Option<Section> {
    if records.is_empty() {
        return None;
    }
    let records = named(records);
    let series = series(&records);
    let modes = by_mode(&records);
    let body = html! {
        p { "Medians of the samples; modes have different work and are not comparable." }
        ul {
            @for line in work(&records).into_iter().chain(conditions(&records)) { li { (line) } }
        }
        div.charts { @for (mode, records) in &modes { (chart(mode, records, &series)) } }
        @for (mode, records) in &modes { (table(mode, records, &series)) }
    };
    Some(Section { id: "throughput", title: "Throughput", body })
}

/// The processes that measured the records.
fn series(records: &[Named]) -> Vec<Series> {
    let series = |(index, name): (usize, &str)| Series {
        index,
        key: (index + 1).to_string(),
        name: name.to_owned(),
    };
    names(records).into_iter().enumerate().map(series).collect()
}

fn series_of(named: &Named, series: &[Series]) -> Series {
    series.iter().find(|series| series.name == named.name).cloned().unwrap_or_default()
}

/// The chart of a mode. Each process has one bar, under its name.
fn chart(mode: &str, records: &[&Named], series: &[Series]) -> BarChart {
    let group = |named: &&Named| {
        let rate = named.record.per_second(named.record.documents);
        let bar = Bar { series: series_of(named, series), value: Some(rate) };
        BarGroup { label: named.name.clone(), note: String::new(), bars: vec![bar] }
    };
    BarChart::new(
        format!("Documents per second, {mode}"),
        "process",
        Unit::Number,
        records.iter().map(group).collect(),
    )
}

/// The table of a mode, the fastest process first.
fn table(mode: &str, records: &[&Named], series: &[Series]) -> Table {
    let head =
        ["", "process", "docs/s", "±", "tokens/s", "pairs/s", "GFLOP/s", "of matmul", "memory"];
    let row = |named: &&Named| {
        let Named { record, name } = named;
        let (flops, share) = record.achieved_flops().map_or_else(
            || ("–".into(), "–".into()),
            |AchievedFlops { per_second, share_of_matmul }| {
                (three_digits(per_second / 1e9), format!("{:.0} %", 100.0 * share_of_matmul))
            },
        );
        let cells = [
            name.clone(),
            three_digits(record.per_second(record.documents)),
            format!("{:.0} %", 100.0 * record.spread()),
            three_digits(record.per_second(record.tokens)),
            three_digits(record.per_second(record.pairs)),
            flops,
            share,
            record.peak_memory_bytes.map_or("–".into(), memory::gib),
        ];
        Row::new(series_of(named, series).key, cells)
    };
    Table {
        caption: format!("Throughput: {mode}"),
        head: head.map(String::from).into(),
        n_text_columns: 2,
        rows: records.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::record;

    #[test]
    fn every_mode_has_its_bars_and_its_table_with_the_fastest_first() {
        let records = [
            record("flex", "inference", 4.0),
            record("tch", "inference", 2.0),
            record("tch", "training", 8.0),
        ];
        let text = section(&records).unwrap().body.into_string();
        // 16 documents in 4, 2 and 8 seconds.
        assert!(text.contains("inference. tch: 2 8.00. flex: 1 4.00."), "{text}");
        for part in ["Throughput: inference", "Throughput: training", "<td>3.0 GiB</td>"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let (tch, flex) = (
            text.find("<td class=\"text\">tch</td>").unwrap(),
            text.find("<td class=\"text\">flex</td>").unwrap(),
        );
        assert!(tch < flex, "{text}");
    }
}
