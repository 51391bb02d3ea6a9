//! KL divergence of softened class distributions (the alternative of KD-DocRE's table 6).

use burn::tensor::{Tensor, backend::Backend};

use super::targets::log_softmax;

/// KL divergence of the student from the teacher at the temperature `T`:
/// `T^2 KL(softmax(teacher / T) || softmax(student / T))`, summed over classes and averaged over
/// pairs.
///
/// The factor `T^2` keeps the size of the gradient independent of the temperature (Hinton et al.,
/// 2015). KD-DocRE's paper gives neither the formula nor the temperature.
///
/// # Shapes
/// - `student`, `teacher`: `[p, r]` → `[1]`; the teacher receives no gradient
pub fn kl_distillation_loss<B: Backend>(
    student: Tensor<B, 2>,
    teacher: Tensor<B, 2>,
    temperature: f64,
) -> Tensor<B, 1> {
    let p = student.dims()[0] as f64;
    let teacher = log_softmax(teacher.detach() / temperature);
    let student = log_softmax(student / temperature);
    let divergence = teacher.clone().exp() * (teacher - student);
    divergence.sum() * (temperature * temperature / p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::testing::{assert_gradient_matches_differences, tensor, value};

    const TEACHER: [[f32; 3]; 2] = [[0.5, -1.0, 2.0], [0.0, 0.3, -0.2]];
    const STUDENT: [[f32; 3]; 2] = [[0.1, 0.4, 1.0], [-1.0, 0.0, 0.6]];

    #[test]
    fn a_student_that_equals_its_teacher_has_no_loss() {
        let divergence = value(kl_distillation_loss(tensor(&TEACHER), tensor(&TEACHER), 2.0));
        assert!(divergence.abs() < 1e-6);
    }

    #[test]
    fn the_divergence_of_two_classes_equals_a_calculation_by_hand() {
        // teacher (1/2, 1/2), student (3/4, 1/4): 1/2 log(2/3) + 1/2 log 2.
        let loss = kl_distillation_loss(tensor(&[[3f32.ln(), 0.0]]), tensor(&[[0.0, 0.0]]), 1.0);
        assert!((value(loss) - 0.5 * (4f64 / 3.0).ln()).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        assert_gradient_matches_differences(
            &|student| kl_distillation_loss(student, tensor(&TEACHER), 2.0),
            &STUDENT,
        );
    }
}
