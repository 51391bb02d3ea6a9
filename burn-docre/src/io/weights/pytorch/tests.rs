use std::{
    fs,
    io::{Cursor, Write},
    path::PathBuf,
};

use super::{
    pickle::{MAX_BYTES, MAX_PAIRS, MAX_STEPS},
    *,
};
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

/// Writes the entries of a zip archive again, each with the bytes and the method that `of` returns
/// for its name and bytes.
fn rewritten(
    archive: &[u8],
    of: impl Fn(&str, Vec<u8>) -> (Vec<u8>, CompressionMethod),
) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut copy = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let (bytes, method) = of(entry.name(), bytes);
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        copy.start_file(entry.name(), options).unwrap();
        copy.write_all(&bytes).unwrap();
    }
    copy.finish().unwrap().into_inner()
}

#[test]
fn a_compressed_pickle_or_storage_is_refused_because_pytorch_writes_none() {
    let archive = fs::read(fixture("strided-zip.bin")).unwrap();
    let stored = rewritten(&archive, |_, bytes| (bytes, CompressionMethod::Stored));
    assert_holds(&WeightFile::from_bytes(&stored).unwrap(), "", |value| value);
    for compressed in ["data.pkl", "data/0"] {
        let damaged = rewritten(&archive, |name, bytes| {
            let is_compressed = name.ends_with(compressed);
            let method =
                if is_compressed { CompressionMethod::Deflated } else { CompressionMethod::Stored };
            (bytes, method)
        });
        let error = chain_of(&WeightFile::from_bytes(&damaged).map(|_| ()).unwrap_err());
        let expected = format!("{compressed}` is compressed or encrypted");
        assert!(error.contains(&expected), "{error}");
    }
}

/// Each pickle stays below the other limits.
#[test]
fn a_pickle_beyond_a_limit_is_refused() {
    let nothing = vec![b'N'; MAX_STEPS - 1];
    assert!(Pickle::read(&mut &[&nothing[..], b"."].concat()[..]).is_ok());
    let repeated = |text: &[u8]| text.repeat(MAX_STEPS / text.len() + 1);
    // Values, marks, entries of the stack, of the memo, and of a list.
    for pickle in [
        repeated(b"N"),
        repeated(b"("),
        [b"N".to_vec(), repeated(b"2")].concat(),
        [b"N".to_vec(), repeated(b"\x94")].concat(),
        [b"]".to_vec(), repeated(b"]a]a")].concat(),
    ] {
        let error = refusal(&[&pickle[..], b"."].concat());
        assert!(error.contains("more than 2097152 instructions"), "{error}");
    }

    let long = u32::try_from(MAX_BYTES).unwrap().to_le_bytes();
    let bytes = [b"B", &long[..]].concat();
    let mut endless = bytes.chain(std::io::repeat(b'.'));
    let error = Pickle::read(&mut endless).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("cut off or too long"), "{error}");

    let pairs = |n: usize| {
        let start = b"ccollections\nOrderedDict\n(](NN\x86q\x00".to_vec();
        [start, b"h\x00".repeat(n - 1), b"etR.".to_vec()].concat()
    };
    assert!(Pickle::read(&mut &pairs(MAX_PAIRS)[..]).is_ok());
    let error = refusal(&pairs(MAX_PAIRS + 1));
    assert!(error.contains("too many entries"), "{error}");
}

#[test]
fn weights_that_were_saved_on_a_gpu_are_read_as_those_of_a_cpu() {
    let on_gpu = |bytes: &[u8]| {
        let (cpu, cuda) = (&b"X\x03\0\0\0cpu"[..], &b"X\x06\0\0\0cuda:0"[..]);
        let mut moved = Vec::new();
        let mut rest = bytes;
        while let Some(at) = rest.windows(cpu.len()).position(|window| window == cpu) {
            moved.extend_from_slice(&rest[..at]);
            moved.extend_from_slice(cuda);
            rest = &rest[at + cpu.len()..];
        }
        assert!(!moved.is_empty(), "the pickle names no device");
        [&moved[..], rest].concat()
    };
    let old = on_gpu(&fs::read(fixture("strided-old.bin")).unwrap());
    assert_holds(&WeightFile::from_bytes(&old).unwrap(), "", |value| value);
    let archive = rewritten(&fs::read(fixture("strided-zip.bin")).unwrap(), |name, bytes| {
        let bytes = if is_pickle(name) { on_gpu(&bytes) } else { bytes };
        (bytes, CompressionMethod::Stored)
    });
    assert_holds(&WeightFile::from_bytes(&archive).unwrap(), "", |value| value);
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
