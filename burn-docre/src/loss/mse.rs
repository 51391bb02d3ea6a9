//! Mean squared error of logits (KD-DocRE, eq. 12).

use burn::tensor::{Tensor, backend::Backend};

/// Mean squared error of the student's logits against the teacher's, over pairs and all classes
/// with TH (eq. 12).
///
/// # Shapes
/// - `student`, `teacher`: `[p, r]` → `[1]`; the teacher receives no gradient
pub fn mse_distillation_loss<B: Backend>(
    student: Tensor<B, 2>,
    teacher: Tensor<B, 2>,
) -> Tensor<B, 1> {
    let difference = student - teacher.detach();
    (difference.clone() * difference).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::testing::{assert_gradient_matches_differences, tensor, value};

    const TEACHER: [[f32; 3]; 2] = [[0.5, -1.0, 2.0], [0.0, 0.3, -0.2]];
    const STUDENT: [[f32; 3]; 2] = [[0.1, 0.4, 1.0], [-1.0, 0.0, 0.6]];

    #[test]
    fn the_squared_error_is_averaged_over_pairs_and_classes() {
        let loss = mse_distillation_loss(tensor(&[[1.0, 2.0]]), tensor(&[[0.0, 4.0]]));
        assert!((value(loss) - 2.5).abs() < 1e-6);
    }

    #[test]
    fn a_student_that_equals_its_teacher_has_no_loss() {
        assert_eq!(value(mse_distillation_loss(tensor(&TEACHER), tensor(&TEACHER))), 0.0);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        assert_gradient_matches_differences(
            &|student| mse_distillation_loss(student, tensor(&TEACHER)),
            &STUDENT,
        );
    }
}
