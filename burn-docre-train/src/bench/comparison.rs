//! The comparison of records: the names of their processes, their work and their conditions.

use std::collections::BTreeSet;

use super::record::Record;

/// Suffixes for names that several processes share, in the order in which they are tried.
const QUALIFIERS: [fn(&Record) -> String; 5] = [
    |record| record.system.clone().unwrap_or_default(),
    |record| record.device.clone(),
    Record::build,
    |record| record.drivers.clone(),
    |record| format!("{} threads", record.threads),
];

/// A record with the name of its process, which is the same in all modes and unique to the process.
pub(crate) struct Named<'a> {
    /// The record.
    pub record: &'a Record,
    /// The name of the process that measured it.
    pub name: String,
}

/// Names every record.
pub(crate) fn named(records: &[Record]) -> Vec<Named<'_>> {
    let names: Vec<String> = records.iter().map(Record::label).collect();
    let names =
        QUALIFIERS.iter().fold(names, |names, qualifier| qualified(records, &names, qualifier));
    let numbers = numbers(records, &names);
    let names = names.into_iter().zip(numbers).map(|(name, number)| name + &number);
    records.iter().zip(names).map(|(record, name)| Named { record, name }).collect()
}

/// Appends the `qualifier` to every name that is shared by records with different qualifiers.
fn qualified(
    records: &[Record],
    names: &[String],
    qualifier: &fn(&Record) -> String,
) -> Vec<String> {
    let values: Vec<String> = records.iter().map(qualifier).collect();
    let longer = |(name, value): (&String, &String)| {
        let mut same_name = names.iter().zip(&values).filter(|(other, _)| *other == name);
        if same_name.any(|(_, other)| other != value) && !value.is_empty() {
            format!("{name}, {value}")
        } else {
            name.clone()
        }
    };
    names.iter().zip(&values).map(longer).collect()
}

/// The suffixes ` #1`, ` #2`, … for names that several processes have; empty for other names.
///
/// A process is known by its name and file, and in a file by the number of earlier records with its
/// name and mode.
fn numbers(records: &[Record], names: &[String]) -> Vec<String> {
    let keys: Vec<_> =
        records.iter().zip(names).map(|(record, name)| (record.file, name, &record.name)).collect();
    let process = |i: usize| {
        let earlier = keys[..i].iter().filter(|key| **key == keys[i]).count();
        (keys[i].0, earlier)
    };
    let number = |i: usize| {
        let same_name = (0..keys.len()).filter(|&other| keys[other].1 == keys[i].1);
        let processes: BTreeSet<_> = same_name.map(process).collect();
        match processes.iter().position(|&other| other == process(i)) {
            Some(position) if processes.len() > 1 => format!(" #{}", position + 1),
            _ => String::new(),
        }
    };
    (0..keys.len()).map(number).collect()
}

/// The distinct names, in the order of their first appearance.
pub(crate) fn names<'a>(records: &'a [Named]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for Named { name, .. } in records {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

/// The records by mode. Modes are in the order of their first appearance, the records of a mode in
/// descending order of speed.
pub(crate) fn by_mode<'a>(records: &'a [Named]) -> Vec<(&'a str, Vec<&'a Named<'a>>)> {
    let mut modes: Vec<(&str, Vec<&Named>)> = Vec::new();
    for named in records {
        match modes.iter_mut().find(|(mode, _)| *mode == named.record.name) {
            Some((_, of_mode)) => of_mode.push(named),
            None => modes.push((&named.record.name, vec![named])),
        }
    }
    let rate = |named: &Named| named.record.per_second(named.record.documents);
    for (_, of_mode) in &mut modes {
        of_mode.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    }
    modes
}

/// Describes the work in one line, or in one line per mode if the modes differ.
pub(crate) fn work(records: &[Named]) -> Vec<String> {
    let modes = by_mode(records);
    let mut lines: Vec<String> = modes.iter().map(|(_, of_mode)| work_of_mode(of_mode)).collect();
    if lines.iter().all(|line| *line == lines[0]) {
        lines.truncate(1);
        return lines;
    }
    modes.iter().zip(lines).map(|((mode, _), line)| format!("{mode}: {line}")).collect()
}

fn work_of_mode(records: &[&Named]) -> String {
    let mut works: Vec<Vec<&Named>> = Vec::new();
    for &named in records {
        let is_same = |other: &&Named| is_same_work(other.record, named.record);
        match works.iter_mut().find(|same| same.iter().all(is_same)) {
            Some(same) => same.push(named),
            None => works.push(vec![named]),
        }
    }
    if let [same] = &works[..] {
        return work_of(same);
    }
    let works = works.iter().map(|same| {
        let names: Vec<&str> = same.iter().map(|named| named.name.as_str()).collect();
        let flops = same[0].record.flops;
        let flops = flops.map(|flops| format!(" of {:.0} GFLOP", flops as f64 / 1e9));
        let flops = flops.unwrap_or_default();
        format!("{}{flops} by {}", work_of(same), names.join(" and "))
    });
    format!("not the same work: {}", works.collect::<Vec<_>>().join("; "))
}

/// Reports whether two records are of the same work. A missing system or number of operations, as
/// in older records, is equal to any.
fn is_same_work(a: &Record, b: &Record) -> bool {
    documents_of(a) == documents_of(b)
        && are_equal_if_known(a.system.as_ref(), b.system.as_ref())
        && are_equal_if_known(a.flops, b.flops)
}

fn are_equal_if_known<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// Describes the work that `records` have in common.
fn work_of(records: &[&Named]) -> String {
    let documents = documents_of(records[0].record);
    match records.iter().find_map(|named| named.record.system.as_ref()) {
        Some(system) => format!("{system} on {documents}"),
        None => documents,
    }
}

fn documents_of(record: &Record) -> String {
    let Record { documents, tokens, pairs, .. } = record;
    let batch = record.batch_size();
    format!("{documents} documents in batches of {batch} ({tokens} tokens, {pairs} pairs)")
}

/// Describes the device, drivers, threads, speed and build of each process in one line, and each
/// warm-up that was cut off in a further one.
pub(crate) fn conditions(records: &[Named]) -> Vec<String> {
    let unsteady = records.iter().filter(|named| !named.record.is_steady).map(|named| {
        let Named { record, name } = named;
        format!(
            "{name} in {}: passes were still getting faster when the warm-up was cut off",
            record.name
        )
    });
    let line = |name: &str| {
        let own: Vec<&Record> =
            records.iter().filter(|named| named.name == name).map(|named| named.record).collect();
        let Record { device, drivers, threads, .. } = own[0];
        let drivers = if drivers.is_empty() { String::new() } else { format!(", {drivers}") };
        // The name of a CPU already ends with the number of its threads.
        let threads = format!(", {threads} threads");
        let threads = if device.ends_with(&threads) { "" } else { &threads };
        let mut peaks: Vec<String> =
            own.iter().map(|record| format!("{:.0}", record.matmul_peak_flops / 1e9)).collect();
        peaks.dedup();
        format!(
            "{name}: {device}{drivers}{threads}, {} GFLOP/s in a matrix product, {}",
            peaks.join(" and "),
            own[0].build()
        )
    };
    names(records).into_iter().map(line).chain(unsteady).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::record::tests::record, *};

    fn names_of(records: &[Record]) -> Vec<String> {
        named(records).into_iter().map(|named| named.name).collect()
    }

    fn flex() -> Record {
        record("flex", "inference", 1.0)
    }

    #[test]
    fn names_get_the_suffixes_that_distinguish_their_processes() {
        let elsewhere = Record { device: "a card".into(), ..flex() };
        let later = Record { git_hash: "0123456789".into(), ..flex() };
        let single = Record { threads: 1, ..flex() };
        let tch = record("tch", "inference", 1.0);
        assert_eq!(names_of(&[flex(), tch.clone()]), ["flex", "tch"]);
        let both = names_of(&[flex(), elsewhere, tch]);
        assert_eq!(both, ["flex, a processor", "flex, a card", "tch"]);
        assert_eq!(names_of(&[flex(), later]), ["flex, docre (0)", "flex, docre (012345678)"]);
        assert_eq!(names_of(&[flex(), single]), ["flex, 2 threads", "flex, 1 threads"]);
    }

    #[test]
    fn indistinguishable_processes_have_the_same_numbers_in_every_mode() {
        let training = || record("flex", "training", 1.0);
        let names = names_of(&[flex(), training(), flex(), training()]);
        assert_eq!(names, ["flex #1", "flex #1", "flex #2", "flex #2"]);
        // The first file has no training.
        let of_file = |file, record| Record { file, ..record };
        let records = [of_file(0, flex()), of_file(1, flex()), of_file(1, training())];
        assert_eq!(names_of(&records), ["flex #1", "flex #2", "flex #2"]);
    }

    #[test]
    fn equal_work_is_described_once() {
        let without_flops = Record { flops: None, ..record("tch", "training", 1.0) };
        let records = [flex(), record("flex", "training", 1.0), without_flops];
        let expected = "kd-docre on 16 documents in batches of 4 (4000 tokens, 6000 pairs)";
        assert_eq!(work(&named(&records)), [expected]);
    }

    #[test]
    fn a_record_without_a_system_is_of_the_same_work_as_one_system_only() {
        let peer = Record { system: None, ..record("pytorch", "inference", 1.0) };
        let documents = "16 documents in batches of 4 (4000 tokens, 6000 pairs)";
        assert_eq!(work(&named(std::slice::from_ref(&peer))), [documents]);
        assert_eq!(work(&named(&[peer.clone(), flex()])), [format!("kd-docre on {documents}")]);
        let kmgre = Record { system: Some("kmgre".into()), ..flex() };
        let expected = format!(
            "not the same work: kd-docre on {documents} of 1 GFLOP by pytorch and flex, kd-docre; \
             kmgre on {documents} of 1 GFLOP by flex, kmgre"
        );
        assert_eq!(work(&named(&[peer, flex(), kmgre])), [expected]);
    }

    #[test]
    fn different_work_is_described_with_the_names_of_its_processes() {
        let larger = Record { flops: Some(2_000_000_000), ..record("tch", "inference", 1.0) };
        let lines = work(&named(&[flex(), larger, record("tch", "training", 1.0)]));
        let [inference, training] = &lines[..] else { panic!("{lines:?}") };
        let same = "kd-docre on 16 documents in batches of 4 (4000 tokens, 6000 pairs)";
        assert_eq!(
            *inference,
            format!(
                "inference: not the same work: {same} of 1 GFLOP by flex; {same} of 2 GFLOP by tch"
            )
        );
        assert_eq!(*training, format!("training: {same}"));
    }

    #[test]
    fn every_process_has_a_line_with_its_conditions() {
        let card = Record { device: "a card".into(), drivers: String::new(), ..flex() };
        let training = Record { matmul_peak_flops: 3e9, ..record("flex", "training", 1.0) };
        let all = Record { device: "AMD, 2 threads".into(), ..record("tch", "inference", 1.0) };
        let lines = conditions(&named(&[flex(), card, training, all]));
        assert_eq!(
            lines,
            [
                "flex, a processor: a processor, library 1.2, 2 threads, 2 and 3 GFLOP/s in a matrix product, docre (0)",
                "flex, a card: a card, 2 threads, 2 GFLOP/s in a matrix product, docre (0)",
                "tch: AMD, 2 threads, library 1.2, 2 GFLOP/s in a matrix product, docre (0)",
            ]
        );
    }
}
