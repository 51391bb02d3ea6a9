//! Documents of a batch: the window rows of each token.

use burn::tensor::backend::Backend;

use super::{
    sources::{SourceList, Sources},
    windows::WindowPlan,
};

/// The mapping from window rows to the document grid.
#[derive(Clone, Debug)]
pub struct DocumentIndex<B: Backend> {
    /// The shape of the document grid, `[b, l]`; `l` is the length of the longest document.
    pub shape: [usize; 2],
    /// The one or two window rows of each cell, `[b * l]`. A token of two windows takes their mean:
    /// its second row has the weight 1/2.
    ///
    /// `None` if every document fits one window, because the token grid is then the document grid.
    pub merge: Option<Sources<B>>,
}

impl<B: Backend> DocumentIndex<B> {
    pub(super) fn new(n_documents: usize, plan: &WindowPlan, device: &B::Device) -> Self {
        let shape = [n_documents, plan.longest_document];
        if !plan.is_windowed {
            return Self { shape, merge: None };
        }
        let mut sources = SourceList::new(shape[0] * shape[1]);
        for planned in &plan.windows {
            for token in planned.window.content.clone() {
                let cell = planned.document * plan.longest_document + token;
                sources.add(cell, planned.first_row + planned.position(token));
            }
        }
        Self { shape, merge: Some(sources.tensors(0.5, device)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::testing::{INPUT, indices},
    };

    fn index(lengths: &[usize]) -> DocumentIndex<TestBackend> {
        let plan = WindowPlan::new(lengths.iter().copied(), INPUT.window_rule());
        DocumentIndex::new(lengths.len(), &plan, &Default::default())
    }

    #[test]
    fn documents_of_one_window_need_no_merge() {
        let index = index(&[5, 8]);
        assert_eq!(index.shape, [2, 8]);
        assert!(index.merge.is_none());
    }

    #[test]
    fn a_token_of_two_windows_has_two_rows() {
        // The second document has rows 3 to 10 in its first window and 11 to 18 in its second.
        let index = index(&[3, 11]);
        assert_eq!(index.shape, [2, 11]);
        let merge = index.merge.expect("two windows");
        let first = indices(merge.first);
        assert_eq!(first[..3], [0, 1, 2]);
        assert_eq!(first[11..], [3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 18]);
        let second = indices(merge.second);
        assert_eq!(second[11..], [3, 4, 5, 6, 12, 13, 14, 15, 16, 17, 18]);
        let weights: Vec<f32> = merge.second_weight.into_data().to_vec().unwrap();
        assert_eq!(weights[..11], [0.0; 11]);
        assert_eq!(weights[11..], [0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
    }
}
