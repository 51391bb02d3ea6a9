//! The layout of a tensor's values in a file, and its conversion to row-major order.

use std::{collections::BTreeMap, io};

use super::source::Source;

/// The maximum number of bytes of a read.
const STRIP: usize = 256 * 1024;
/// The number of columns that are transposed at once: one cache line of f32.
const BLOCK: usize = 16;

/// The type of a tensor's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    /// An unsupported type, with its name in the file.
    Other(String),
}

impl Element {
    /// The size of a value in bytes. `None` for an unsupported type.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::F64 => Some(8),
            Self::F32 => Some(4),
            Self::F16 | Self::Bf16 => Some(2),
            Self::Other(_) => None,
        }
    }

    /// Decodes little-endian values to f32.
    fn decode(&self, bytes: &[u8], values: &mut [f32]) {
        match self {
            Self::F64 => decode_with(bytes, values, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => decode_with(bytes, values, f32::from_le_bytes),
            Self::F16 => decode_with(bytes, values, |b| half::f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => decode_with(bytes, values, |b| half::bf16::from_le_bytes(b).to_f32()),
            Self::Other(_) => {}
        }
    }
}

fn decode_with<const N: usize>(bytes: &[u8], values: &mut [f32], one: impl Fn([u8; N]) -> f32) {
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *value = one(*bytes);
    }
}

/// The tensors of a file by name.
pub(super) type TensorTable = BTreeMap<String, Layout>;

/// The place and arrangement of a tensor's values.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Index of the file among the shards.
    pub(super) source: usize,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    /// The distance between neighbours along each dimension, in values.
    pub(super) strides: Vec<usize>,
    /// The position of the first value in the file, in bytes.
    pub(super) offset: u64,
}

/// The strides of row-major values; `None` on overflow.
pub(super) fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = shape[i].max(1).checked_mul(strides[i])?;
    }
    Some(strides)
}

impl Layout {
    /// The number of values; `None` on overflow.
    pub(super) fn n_values(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))
    }

    /// The number of values from the first to the last in the file; `None` on overflow.
    pub(super) fn span(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let steps = self.shape.iter().zip(&self.strides);
        steps
            .map(|(n, stride)| (n - 1).checked_mul(*stride))
            .try_fold(1usize, |sum, step| sum.checked_add(step?))
    }

    /// The layout of the transposed matrix. Layouts of other rank are unchanged.
    pub(super) fn transposed(mut self) -> Self {
        if self.shape.len() == 2 {
            self.shape.reverse();
            self.strides.reverse();
        }
        self
    }

    fn is_row_major(&self) -> bool {
        let Some(expected) = row_major(&self.shape) else { return false };
        let strides = self.strides.iter().zip(&expected).zip(&self.shape);
        strides.into_iter().all(|((stride, expected), &n)| n <= 1 || stride == expected)
    }

    /// Checks that `source` has all values, and returns their number.
    ///
    /// # Errors
    /// If the file ends before the last value, the type is unsupported, or values overlap.
    pub(super) fn check(&self, source: &Source<'_>) -> io::Result<usize> {
        let refuse = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        let Some(size) = self.element.size() else {
            return Err(refuse(format!("values of type {:?} are not supported", self.element)));
        };
        let (Some(n_values), Some(span)) = (self.n_values(), self.span()) else {
            return Err(refuse("has more values than a machine can hold".into()));
        };
        // A small file could otherwise describe a tensor of any size.
        if n_values > span {
            return Err(refuse("has values that overlap each other in the file".into()));
        }
        let end = (span as u64).checked_mul(size as u64).and_then(|n| n.checked_add(self.offset));
        if end.is_none_or(|end| end > source.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n_values)
    }

    /// Reads the values in row-major order into `values`. [`check`](Self::check) must have passed.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If the length of `values` is not the number of values.
    pub(super) fn fill(&self, source: &Source<'_>, values: &mut [f32]) -> io::Result<()> {
        assert_eq!(Some(values.len()), self.n_values(), "the buffer has the tensor's size");
        if values.is_empty() || self.is_row_major() {
            self.fill_straight(source, values)
        } else if self.clone().transposed().is_row_major() {
            self.fill_transposed(source, [self.shape[1], self.shape[0]], values)
        } else {
            self.gather(source, values)
        }
    }

    /// The size of a value in bytes. Only checked layouts are read.
    fn size(&self) -> usize {
        self.element.size().expect("`check` refuses other types")
    }

    fn fill_straight(&self, source: &Source<'_>, values: &mut [f32]) -> io::Result<()> {
        let size = self.size();
        let mut buffer = vec![0; STRIP.min(values.len() * size)];
        let mut offset = self.offset;
        for strip in values.chunks_mut(STRIP / size) {
            let bytes = &mut buffer[..strip.len() * size];
            source.read_exact_at(offset, bytes)?;
            self.element.decode(bytes, strip);
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    /// Reads a row-major matrix `[rows, columns]` as its transpose `[columns, rows]`.
    fn fill_transposed(
        &self,
        source: &Source<'_>,
        [rows, columns]: [usize; 2],
        values: &mut [f32],
    ) -> io::Result<()> {
        let size = self.size();
        let n_strip_rows = (STRIP / (columns * size)).clamp(1, rows).max(BLOCK.min(rows));
        let mut buffer = vec![0; n_strip_rows * columns * size];
        let mut strip = vec![0.0; n_strip_rows * columns];
        for first in (0..rows).step_by(n_strip_rows) {
            let n_rows = n_strip_rows.min(rows - first);
            let bytes = &mut buffer[..n_rows * columns * size];
            source.read_exact_at(self.offset + (first * columns * size) as u64, bytes)?;
            let strip = &mut strip[..n_rows * columns];
            self.element.decode(bytes, strip);
            for block in (0..columns).step_by(BLOCK) {
                for column in block..columns.min(block + BLOCK) {
                    let start = column * rows + first;
                    let into = &mut values[start..start + n_rows];
                    for (value, from) in
                        into.iter_mut().zip(strip[column..].iter().step_by(columns))
                    {
                        *value = *from;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads values of any strides: reads the whole span, then picks the values.
    fn gather(&self, source: &Source<'_>, values: &mut [f32]) -> io::Result<()> {
        let span = self.span().expect("`check` refuses an overflow");
        let mut spanned = vec![0.0; span];
        let contiguous = Self { shape: vec![span], strides: vec![1], ..self.clone() };
        contiguous.fill_straight(source, &mut spanned)?;
        let mut index = vec![0; self.shape.len()];
        for value in values {
            let at: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
            *value = spanned[at];
            for (i, n) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(layout: &Layout, source: &Source<'_>) -> io::Result<Vec<f32>> {
        let mut values = vec![0.0; layout.check(source)?];
        layout.fill(source, &mut values)?;
        Ok(values)
    }

    fn floats(n: usize) -> Vec<u8> {
        (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect()
    }

    fn layout(shape: &[usize], strides: &[usize], first: usize) -> Layout {
        Layout {
            source: 0,
            element: Element::F32,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            offset: 4 * first as u64,
        }
    }

    #[test]
    fn values_of_any_strides_are_read() {
        let bytes = floats(700 * 300);
        let source = Source::memory(&bytes);
        let cases = [
            layout(&[700, 300], &[300, 1], 0),
            layout(&[300, 700], &[1, 300], 0),
            layout(&[17, 1], &[5, 3], 2),
            layout(&[3, 4, 5], &[1, 3, 12], 7),
            layout(&[6, 7], &[21, 2], 1),
            layout(&[9], &[4], 3),
            layout(&[], &[], 11),
            layout(&[0, 3], &[3, 1], 0),
        ];
        for layout in cases {
            let mut expected = vec![layout.offset as usize / 4];
            for (n, stride) in layout.shape.iter().zip(&layout.strides) {
                expected =
                    expected.iter().flat_map(|at| (0..*n).map(move |i| at + i * stride)).collect();
            }
            let values = read(&layout, &source).unwrap();
            assert!(values.iter().map(|v| *v as usize).eq(expected), "{layout:?}");
        }
    }

    #[test]
    fn values_beyond_the_file_and_overlapping_values_are_refused() {
        let bytes = floats(10);
        let source = Source::memory(&bytes);
        assert!(read(&layout(&[10], &[1], 1), &source).is_err());
        assert!(read(&layout(&[usize::MAX, 2], &[2, 1], 0), &source).is_err());
        let error = read(&layout(&[100, 100], &[0, 0], 0), &source).unwrap_err();
        assert!(error.to_string().contains("overlap"), "{error}");
    }

    #[test]
    fn every_type_becomes_f32() {
        let read_one = |element, bytes: &[u8]| {
            let layout = Layout { element, ..layout(&[1], &[1], 0) };
            read(&layout, &Source::memory(bytes)).unwrap()
        };
        assert_eq!(read_one(Element::F64, &(-2.5f64).to_le_bytes()), [-2.5]);
        assert_eq!(read_one(Element::F16, &half::f16::from_f32(-2.5).to_le_bytes()), [-2.5]);
        assert_eq!(read_one(Element::Bf16, &half::bf16::from_f32(-2.5).to_le_bytes()), [-2.5]);
        let integer = Layout { element: Element::Other("I64".into()), ..layout(&[1], &[1], 0) };
        assert!(read(&integer, &Source::memory(&[0; 8])).is_err());
    }
}
