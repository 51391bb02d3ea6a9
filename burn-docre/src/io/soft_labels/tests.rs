//! Tests of the store through its public functions.

use std::path::{Path, PathBuf};

use super::*;
use crate::{
    Error, PairSet, Result,
    io::{atomic_file::partial_path, model_directory::ModelId},
    text::encoded::DocumentKey,
};

const TEACHER: ModelId = ModelId([7; 32]);
const N_CLASSES: usize = 3;

fn key(byte: u8) -> DocumentKey {
    DocumentKey([byte; 32])
}

fn logits(seed: u8, n_pairs: usize) -> Vec<f32> {
    (0..n_pairs * N_CLASSES).map(|i| (i as f32 - 4.3) * 1.7 + f32::from(seed)).collect()
}

/// Writes a shard of documents, given as key byte and number of pairs.
fn write(directory: &Path, shard: Shard, documents: &[(u8, usize)]) -> PathBuf {
    let mut writer = SoftLabelWriter::create(directory, shard, TEACHER, N_CLASSES).unwrap();
    for &(byte, n_pairs) in documents {
        writer.push(key(byte), n_pairs, &logits(byte, n_pairs)).unwrap();
    }
    writer.finish().unwrap()
}

fn open(directory: &Path) -> Result<SoftLabelStore> {
    SoftLabelStore::open(directory, TEACHER, N_CLASSES)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T>, cause: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::SoftLabels { .. }), "{error:?}");
    assert!(error.to_string().contains(cause), "{error}");
}

fn file_names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn file_names_and_shards_correspond() {
    let shard = Shard { index: 2, count: 12 };
    assert_eq!(shard.to_string(), "labels-00002-of-00012.bin");
    assert_eq!(Shard::from_file_name("labels-00002-of-00012.bin"), Some(shard));
    for other in ["labels-2-of-12.bin", ".partial-labels-00002-of-00012.bin", "labels.bin", ""] {
        assert_eq!(Shard::from_file_name(other), None, "{other}");
    }
}

#[test]
fn logits_come_back_in_half_precision_from_every_shard() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Shard { index: 1, count: 2 }, &[(9, 2), (1, 6)]);
    write(dir.path(), Shard { index: 0, count: 2 }, &[(5, 1), (200, 0)]);
    let store = open(dir.path()).unwrap();
    assert_eq!((store.len(), store.is_empty()), (4, false));
    for (byte, n_pairs) in [(9, 2), (1, 6), (5, 1), (200, 0)] {
        let read = store.get(key(byte), n_pairs).unwrap();
        let written = logits(byte, n_pairs);
        assert_eq!(read.len(), written.len());
        for (read, written) in read.iter().zip(&written) {
            assert!((read - written).abs() <= written.abs() / 2048.0, "{read} for {written}");
        }
    }
}

#[test]
fn an_empty_store_opens() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Shard::WHOLE, &[]);
    assert!(open(dir.path()).unwrap().is_empty());
}

#[test]
fn values_beyond_half_precision_are_clamped() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SoftLabelWriter::create(dir.path(), Shard::WHOLE, TEACHER, 3).unwrap();
    writer.push(key(1), 1, &[1e9, f32::NEG_INFINITY, 65519.9]).unwrap();
    writer.finish().unwrap();
    let read = open(dir.path()).unwrap().get(key(1), 1).unwrap();
    assert_eq!(read, [65504.0, -65504.0, 65504.0]);
}

#[test]
fn nan_is_refused_and_names_the_document() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SoftLabelWriter::create(dir.path(), Shard::WHOLE, TEACHER, 3).unwrap();
    let mut bad = logits(1, 2);
    bad[4] = f32::NAN;
    assert_refused(writer.push(key(0xab), 2, &bad), "document abab");
    assert_refused(writer.push(key(0xab), 2, &bad), "NaN at pair 1, class 1");
}

#[test]
fn a_wrong_number_of_logits_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SoftLabelWriter::create(dir.path(), Shard::WHOLE, TEACHER, 3).unwrap();
    assert_refused(writer.push(key(1), 2, &[0.0; 5]), "5 logits are not 2 pairs of 3 classes");
    assert_refused(writer.push(key(1), usize::MAX, &[]), "pairs of 3 classes");
}

#[test]
fn an_impossible_shard_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (index, count) in [(2, 2), (0, 0)] {
        let shard = Shard { index, count };
        assert_refused(SoftLabelWriter::create(dir.path(), shard, TEACHER, 3), "no shard");
    }
    assert_refused(SoftLabelWriter::create(dir.path(), Shard::WHOLE, TEACHER, 0), "0 classes");
}

#[test]
fn a_repeated_document_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SoftLabelWriter::create(dir.path(), Shard::WHOLE, TEACHER, 3).unwrap();
    writer.push(key(1), 2, &logits(1, 2)).unwrap();
    writer.push(key(1), 2, &logits(99, 2)).unwrap();
    assert_eq!(writer.len(), 1);
    assert_refused(writer.push(key(1), 1, &logits(1, 1)), "2 pairs before and has 1 now");
    writer.finish().unwrap();
    let first = open(dir.path()).unwrap().get(key(1), 2).unwrap()[0];
    assert!((first - logits(1, 2)[0]).abs() < 0.01);
}

#[test]
fn another_teacher_or_class_count_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Shard::WHOLE, &[(1, 2)]);
    assert_refused(
        SoftLabelStore::open(dir.path(), ModelId([8; 32]), N_CLASSES),
        "another teacher",
    );
    assert_refused(SoftLabelStore::open(dir.path(), TEACHER, 97), "computed for 3 classes, not 97");
}

#[test]
fn a_document_without_labels_is_an_error_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Shard::WHOLE, &[(1, 2)]);
    let store = open(dir.path()).unwrap();
    assert_refused(store.get(key(2), 2), "label the documents again");
    assert_refused(store.get(key(1), 6), "has 6 entity pairs, its labels are for 2");
    assert!(store.contains(key(1)) && !store.contains(key(2)));
}

#[test]
fn labels_without_the_diagonal_are_refused_for_a_document_that_classifies_it() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = |set: PairSet| set.n_pairs(3);
    write(dir.path(), Shard::WHOLE, &[(1, pairs(PairSet::OffDiagonal))]);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.get(key(1), pairs(PairSet::OffDiagonal)).unwrap().len(), 6 * N_CLASSES);
    let all = store.get(key(1), pairs(PairSet::All));
    assert_refused(all, "has 9 entity pairs, its labels are for 6");
}

#[test]
fn a_missing_shard_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Shard { index: 0, count: 3 }, &[(1, 2)]);
    write(dir.path(), Shard { index: 2, count: 3 }, &[(2, 2)]);
    // File names count from 0, the message from 1.
    assert_refused(open(dir.path()), "labels-00001-of-00003.bin is missing");
    assert_refused(open(dir.path()), "label the documents of part 2 of 3");
}

#[test]
fn a_missing_store_a_second_store_and_renamed_shards_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert_refused(open(&dir.path().join("none")), "label the documents first");
    assert_refused(open(dir.path()), "label the documents first");
    let whole = write(dir.path(), Shard::WHOLE, &[(1, 2)]);
    let half = Shard { index: 0, count: 2 };
    write(dir.path(), half, &[(1, 2)]);
    assert_refused(open(dir.path()), "several stores");
    std::fs::rename(half.path(dir.path()), whole).unwrap();
    assert_refused(open(dir.path()), "renamed");
}

#[test]
fn a_file_of_the_wrong_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), Shard::WHOLE, &[(1, 2), (2, 1)]);
    let whole = std::fs::read(&path).unwrap();
    for len in (0..whole.len()).chain([whole.len() + 1]) {
        let mut bytes = whole.clone();
        bytes.resize(len, 0);
        std::fs::write(&path, bytes).unwrap();
        assert_refused(open(dir.path()), "file");
    }
}

#[test]
fn a_changed_byte_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), Shard::WHOLE, &[(1, 2), (2, 1)]);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&path, bytes).unwrap();
        let read =
            open(dir.path()).and_then(|store| Ok((store.get(key(1), 2)?, store.get(key(2), 1)?)));
        assert!(matches!(read, Err(Error::SoftLabels { .. })), "byte {at}: {read:?}");
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), Shard::WHOLE, &[(1, 2)]);
    let whole = std::fs::read(&path).unwrap();
    for at in [56, 64] {
        let mut bytes = whole.clone();
        bytes[at..at + 8].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        assert_refused(open(dir.path()), "damaged");
    }
}

#[test]
fn an_unfinished_shard_does_not_have_its_final_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SoftLabelWriter::create(dir.path(), Shard::WHOLE, TEACHER, 3).unwrap();
    writer.push(key(1), 1, &logits(1, 1)).unwrap();
    assert_eq!(file_names(dir.path()), [".partial-labels-00000-of-00001.bin"]);
    assert_refused(open(dir.path()), "the directory has none");
    drop(writer);
    assert_eq!(file_names(dir.path()), [""; 0]);
}

#[test]
fn the_partial_file_of_a_killed_run_is_overwritten() {
    let clean = tempfile::tempdir().unwrap();
    let dirty = tempfile::tempdir().unwrap();
    let partial = partial_path(&Shard::WHOLE.path(dirty.path()));
    std::fs::write(partial, vec![1; 5000]).unwrap();
    let expected = std::fs::read(write(clean.path(), Shard::WHOLE, &[(1, 2)])).unwrap();
    let actual = std::fs::read(write(dirty.path(), Shard::WHOLE, &[(1, 2)])).unwrap();
    assert_eq!(actual, expected);
    assert_eq!(file_names(dirty.path()), ["labels-00000-of-00001.bin"]);
}

#[test]
fn a_second_writer_of_a_shard_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let create = || SoftLabelWriter::create(dir.path(), Shard::WHOLE, TEACHER, 3);
    let first = create().unwrap();
    assert_refused(create(), "another process");
    first.finish().unwrap();
    assert!(create().is_ok());
}

#[test]
fn equal_input_gives_equal_bytes() {
    let bytes = || {
        let dir = tempfile::tempdir().unwrap();
        std::fs::read(write(dir.path(), Shard::WHOLE, &[(3, 2), (1, 1), (2, 4)])).unwrap()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn complete_shards_are_recognised_in_a_resumed_run() {
    let dir = tempfile::tempdir().unwrap();
    let done = Shard { index: 0, count: 2 };
    let path = write(dir.path(), done, &[(1, 2)]);
    let check = |shard| SoftLabelStore::open_shard(dir.path(), shard, TEACHER, N_CLASSES);
    assert!(check(done).unwrap().unwrap().contains(key(1)));
    assert!(check(Shard { index: 1, count: 2 }).unwrap().is_none());
    let of_another = SoftLabelStore::open_shard(dir.path(), done, ModelId([8; 32]), N_CLASSES);
    assert_refused(of_another, "another teacher");
    std::fs::write(path, b"").unwrap();
    assert_refused(check(done), "cut off");
}
