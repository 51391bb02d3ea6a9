use std::{fs, path::PathBuf};

use super::*;
use crate::{
    error::chain_of,
    io::weights::{Weight, WeightFile},
};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

fn open(name: &str) -> WeightFile<'static> {
    WeightFile::open(&fixture(name)).unwrap_or_else(|error| panic!("{}", chain_of(&error)))
}

/// Checks that the file has each reference weight, with `prefix` before its name and `of` applied
/// to its values.
#[track_caller]
fn assert_holds(file: &WeightFile<'_>, prefix: &str, of: impl Fn(f32) -> f32) {
    let plain = open("plain.safetensors");
    assert_eq!(plain.names().count(), 21);
    for name in plain.names() {
        let Weight { shape, values } = plain.read(name).unwrap();
        let expected = Weight { shape, values: values.into_iter().map(&of).collect() };
        let found = file.read(&format!("{prefix}{name}")).unwrap();
        assert!(found == expected, "{}: {name}", file.path().display());
        let transposed =
            file.stored(&format!("{prefix}{name}")).unwrap().transposed().read().unwrap();
        assert!(transposed == expected.transposed(), "{}: {name}", file.path().display());
    }
}

#[test]
fn weights_of_any_strides_and_offsets_have_the_values_that_pytorch_saved() {
    for name in [
        "strided-zip.bin",
        "strided-old.bin",
        "views-zip.bin",
        "views-old.bin",
        "sparse-views-zip.bin",
        "float64-zip.bin",
    ] {
        assert_holds(&open(name), "", |value| value);
    }
}

#[test]
fn half_types_are_read_as_their_nearest_f32() {
    assert_holds(&open("float16-zip.bin"), "", |value| half::f16::from_f32(value).to_f32());
    assert_holds(&open("bfloat16-zip.bin"), "", |value| half::bf16::from_f32(value).to_f32());
}

#[test]
fn a_state_dict_is_found_in_a_training_checkpoint() {
    for name in ["training-zip.bin", "training-old.bin"] {
        let file = open(name);
        assert_holds(&file, "module.bert.", |value| value);
        assert_eq!(file.names().count(), 24);
        let error = file.read("module.bert.embeddings.position_ids").unwrap_err();
        assert!(chain_of(&error).contains("I64"), "{}", chain_of(&error));
    }
}

#[test]
fn a_file_in_memory_has_the_same_weights_as_on_disk() {
    for name in ["strided-zip.bin", "strided-old.bin"] {
        let bytes = fs::read(fixture(name)).unwrap();
        assert_holds(&WeightFile::from_bytes(&bytes).unwrap(), "", |value| value);
    }
}

#[track_caller]
fn refusal(pickle: &[u8]) -> String {
    Pickle::read(&mut &pickle[..]).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_pickle_that_names_code_is_refused_without_running_it() {
    for pickle in [
        &b"\x80\x02cos\nsystem\nX\x05\0\0\0false\x85R."[..],
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x05false\x85R.",
        b"\x80\x02c__builtin__\neval\nX\x01\0\0\x001\x85R.",
        b"\x80\x02ctorch\nload\n.",
    ] {
        let error = refusal(pickle);
        assert!(error.contains("which has no place in a weight file"), "{error}");
    }
    assert!(refusal(b"\x80\x02(S'x'\nios\nsystem\n.").contains("instruction"));
}

#[test]
fn pickles_that_are_malformed_are_errors() {
    for pickle in [
        &b""[..],
        b".",
        b"\x80\x02",
        b"0.",
        b"t.",
        b"(0.",
        b"h\x07.",
        b"}K\x01s.",
        b"}(K\x01u.",
        b"N)R.",
        b"\x8a\xff.",
        b"X\xff\xff\xff\xff.",
        b"N\x85Q.",
    ] {
        assert!(Pickle::read(&mut &pickle[..]).is_err(), "{pickle:?}");
    }
}

#[test]
fn a_tensor_beyond_its_storage_is_refused() {
    let storage = Storage { key: 0, dtype: "F32", n_values: 12, first: 0 };
    let place = Place { offset: 100, n_values: 12 };
    let tensor = |first, shape: &[usize], strides: &[usize]| Tensor {
        storage,
        first,
        shape: shape.to_vec(),
        strides: strides.to_vec(),
    };
    assert!(layout(&tensor(0, &[3, 4], &[4, 1]), place, 0).is_some());
    assert!(layout(&tensor(0, &[3, 4], &[1, 3]), place, 0).is_some());
    for tensor in [
        tensor(1, &[3, 4], &[4, 1]),
        tensor(0, &[3, 4], &[5, 1]),
        tensor(usize::MAX, &[2], &[1]),
        tensor(0, &[2], &[usize::MAX]),
        tensor(0, &[3, 3], &[usize::MAX, usize::MAX]),
    ] {
        assert!(layout(&tensor, place, 0).is_none(), "{tensor:?}");
    }
}

/// Changes, cuts and overwrites files. Each result is read or refused, without a panic.
#[test]
fn damaged_files_are_errors_or_other_values() {
    let mut random = 1u64;
    let mut next = move |n: usize| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) as usize % n
    };
    for name in ["strided-zip.bin", "strided-old.bin", "training-zip.bin", "plain.safetensors"] {
        let whole = fs::read(fixture(name)).unwrap();
        for round in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..1 + round % 5 {
                // The old format has its pickles at the start, an archive has its table at the end.
                let at = match next(3) {
                    0 => next(bytes.len()),
                    1 => next(2500),
                    _ => bytes.len() - 1 - next(2500),
                };
                bytes[at] = next(256) as u8;
            }
            if round % 7 == 0 {
                bytes.truncate(next(whole.len()));
            }
            let Ok(file) = WeightFile::from_bytes(&bytes) else { continue };
            for name in file.names() {
                let _ = file.read(name);
            }
        }
    }
}
