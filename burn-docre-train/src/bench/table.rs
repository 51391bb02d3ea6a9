//! The comparison as a table for the terminal.

use std::fmt::Write;

use super::{
    comparison::{Named, by_mode, conditions, named, work},
    record::{AchievedFlops, Record},
};
use crate::ui::three_digits;

/// The width of the longest bar in characters.
const BAR: usize = 24;

/// Formats one block of rows per mode, the fastest record first. The bars show the speed relative
/// to the fastest record.
pub fn table(records: &[Record]) -> String {
    let records = named(records);
    let mut text = String::new();
    let width = records.iter().map(|named| named.name.chars().count()).max().unwrap_or(0).max(8);
    for (mode, records) in by_mode(&records) {
        let _ = writeln!(
            text,
            "{mode:<width$}  {:>9}  {:<BAR$}  {:>5}  {:>8}  {:>9}  {:>8}  {:>9}  {:>7}  {:>8}",
            "docs/s", "", "±", "tokens/s", "pairs/s", "GFLOP/s", "of matmul", "memory", "warm-up",
        );
        let fastest = records[0].record;
        let rows = records.iter().map(|named| row(named, fastest, width));
        text.extend(rows.chain(["\n".into()]));
    }
    text + &notes(&records)
}

fn row(named: &Named, fastest: &Record, width: usize) -> String {
    let Named { record, name } = named;
    let rate = record.per_second(record.documents);
    let (flops, share) = record.achieved_flops().map_or_else(
        || ("-".into(), "-".into()),
        |AchievedFlops { per_second, share_of_matmul }| {
            (three_digits(per_second / 1e9), format!("{:.0} %", 100.0 * share_of_matmul))
        },
    );
    let memory = record.peak_memory_bytes.map_or("-".into(), crate::memory::gib);
    format!(
        "{name:<width$}  {:>9}  {:<BAR$}  {:>4.0}%  {:>8}  {:>9}  {flops:>8}  {share:>9}  {memory:>7}  {:>8}\n",
        three_digits(rate),
        bar(rate / fastest.per_second(fastest.documents)),
        100.0 * record.spread(),
        three_digits(record.per_second(record.tokens)),
        three_digits(record.per_second(record.pairs)),
        crate::ui::duration(record.warmup_seconds),
    )
}

/// Formats the speed of each record relative to the first record of its mode, whose speed is 1. The
/// ratios are computed sample by sample; the line gives their median and their range.
pub fn turns(records: &[Record]) -> String {
    let mut text = String::new();
    for of_mode in named(records).chunk_by(|a, b| a.record.name == b.record.name) {
        let [first, others @ ..] = of_mode else { continue };
        let ratios = others.iter().map(|Named { record, name }| {
            let turns = record.raw_durations.iter().zip(&first.record.raw_durations);
            let mut ratios: Vec<f64> =
                turns.map(|(own, first)| first.as_secs_f64() / own.as_secs_f64()).collect();
            ratios.sort_by(f64::total_cmp);
            let at = |i: usize| ratios.get(i).copied().unwrap_or(f64::NAN);
            let (min, median, max) = (at(0), at(ratios.len() / 2), at(ratios.len().max(1) - 1));
            format!("{name} {median:.2} ({min:.2} to {max:.2})")
        });
        let ratios: Vec<_> = ratios.collect();
        if !ratios.is_empty() {
            let (mode, first) = (&first.record.name, &first.name);
            let _ = writeln!(text, "{mode}, turn by turn, {first} = 1: {}", ratios.join(", "));
        }
    }
    text
}

/// The work, the conditions, and the meaning of the columns.
fn notes(records: &[Named]) -> String {
    let samples = records.iter().map(|named| named.record.num_samples);
    let samples = match (samples.clone().min().unwrap_or(0), samples.max().unwrap_or(0)) {
        (min, max) if min == max => min.to_string(),
        (min, max) => format!("{min} to {max}"),
    };
    let columns = format!(
        "medians of {samples} samples each, ± half the range; of matmul: share of the speed of a large matrix product in the same process"
    );
    let lines = work(records).into_iter().chain([columns]).chain(conditions(records));
    lines.map(|line| line + "\n").collect()
}

/// Draws a bar of the given share of [`BAR`], with a resolution of an eighth of a character.
fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::{super::record::tests::record, *};

    #[test]
    fn bars_are_proportional() {
        assert_eq!(bar(1.0).chars().count(), BAR);
        assert_eq!(bar(0.5).chars().count(), BAR / 2);
        assert_eq!(bar(0.0), "");
    }

    #[test]
    fn records_of_one_mode_are_compared_sample_by_sample() {
        let with = |backend, seconds: [f64; 3]| {
            let raw_durations = seconds.map(std::time::Duration::from_secs_f64).to_vec();
            Record { raw_durations, ..record(backend, "training", 1.0) }
        };
        let records = [with("flex", [1.0, 2.0, 4.0]), with("tch", [2.0, 2.0, 2.0])];
        let expected = "training, turn by turn, flex = 1: tch 1.00 (0.50 to 2.00)\n";
        assert_eq!(turns(&records), expected);
        assert_eq!(turns(&records[..1]), "");
    }

    #[test]
    fn every_mode_has_a_block_with_the_fastest_record_first() {
        let records = [
            record("flex", "inference", 4.0),
            record("tch", "inference", 2.0),
            record("tch", "training", 8.0),
        ];
        let text = table(&records);
        let tch = text.find("\ntch").expect("a line of tch");
        assert!(tch < text.find("\nflex").expect("a line of flex"), "{text}");
        assert!(text.contains("training") && text.contains("3.0 GiB"), "{text}");
        assert!(text.contains("flex: a processor, library 1.2, 2 threads"), "{text}");
        assert!(text.contains("medians of 3 samples each, ± half the range"), "{text}");
        assert!(!text.contains("warm-up was"), "{text}");
    }

    #[test]
    fn records_of_one_backend_on_different_devices_have_different_names_and_work() {
        let there =
            Record { device: "a card".into(), documents: 8, ..record("flex", "label", 2.0) };
        let text = table(&[record("flex", "label", 4.0), there]);
        for name in ["\nflex, a processor  ", "\nflex, a card  ", "\nflex, a card: a card, "] {
            assert!(text.contains(name), "{text}");
        }
        assert!(text.contains("\nnot the same work: kd-docre on 16 documents"), "{text}");
    }

    #[test]
    fn a_warm_up_that_reached_its_maximum_length_is_reported() {
        let unsteady = Record { is_steady: false, ..record("wgpu", "training", 1.0) };
        let text = table(&[unsteady]);
        assert!(text.contains("wgpu in training: passes were still getting faster"), "{text}");
    }
}
