//! Points, boxes and curves of drawings.

/// A point. The y axis points down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

impl Point {
    /// The point at the fraction `t` of the way to `other`.
    fn towards(self, other: Self, t: f64) -> Self {
        Self { x: self.x + (other.x - self.x) * t, y: self.y + (other.y - self.y) * t }
    }

    /// The distance to `other`.
    pub(super) fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The sum of two points as vectors, the second `factor` times.
    pub(super) fn plus(self, other: Self, factor: f64) -> Self {
        Self { x: self.x + other.x * factor, y: self.y + other.y * factor }
    }
}

/// An axis-parallel box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    /// A box around `centre`.
    pub(super) fn around(centre: Point, width: f64, height: f64) -> Self {
        Self { left: centre.x - width / 2.0, top: centre.y - height / 2.0, width, height }
    }

    /// Reports whether the boxes share more than an edge.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.left < other.left + other.width
            && other.left < self.left + self.width
            && self.top < other.top + other.height
            && other.top < self.top + self.height
    }
}

/// A cubic Bézier curve by its control points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve(pub(super) [Point; 4]);

impl Curve {
    /// The point at the parameter `t`, from 0 to 1.
    pub(super) fn at(&self, t: f64) -> Point {
        self.blossom(t, t, t)
    }

    /// The part from `start` to `end`.
    pub(super) fn part(&self, start: f64, end: f64) -> Self {
        Self([
            self.blossom(start, start, start),
            self.blossom(start, start, end),
            self.blossom(start, end, end),
            self.blossom(end, end, end),
        ])
    }

    /// The part outside the circles of radius `from` around the start and `to` around the end. The
    /// whole curve if it does not leave one of them.
    pub(super) fn between_circles(&self, from: f64, to: f64) -> Self {
        const STEPS: u32 = 64;
        let [first, .., last] = self.0;
        let parameter = |step: u32| f64::from(step) / f64::from(STEPS);
        let outside =
            |centre: Point, radius: f64| move |t: &f64| self.at(*t).distance(centre) >= radius;
        let start = (0..STEPS).map(parameter).find(outside(first, from)).unwrap_or(0.0);
        let end = (0..=STEPS).rev().map(parameter).find(outside(last, to)).unwrap_or(1.0);
        if start < end { self.part(start, end) } else { *self }
    }

    /// The value of the symmetric trilinear function whose diagonal is the curve.
    fn blossom(&self, r: f64, s: f64, t: f64) -> Point {
        let [a, b, c, d] = self.0;
        let (ab, bc, cd) = (a.towards(b, r), b.towards(c, r), c.towards(d, r));
        ab.towards(bc, s).towards(bc.towards(cd, s), t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Point {
        Point { x, y }
    }

    fn curve() -> Curve {
        Curve([point(0.0, 0.0), point(0.0, 80.0), point(100.0, 80.0), point(100.0, 0.0)])
    }

    #[test]
    fn a_part_of_a_curve_has_the_points_of_the_curve() {
        let (curve, part) = (curve(), curve().part(0.25, 0.75));
        for (t, of_part) in [(0.25, 0.0), (0.5, 0.5), (0.625, 0.75), (0.75, 1.0)] {
            assert!(curve.at(t).distance(part.at(of_part)) < 1e-9, "{t}");
        }
        // By hand: (3 · 80 · ¼ + 3 · 80 · ¼) ⁄ 2 · … at the middle is ¾ · 80.
        assert!(curve.at(0.5).distance(point(50.0, 60.0)) < 1e-9);
    }

    #[test]
    fn a_curve_between_circles_begins_and_ends_at_their_edges() {
        let Curve([start, .., end]) = curve().between_circles(10.0, 20.0);
        let near = |found: f64, radius: f64| (radius..radius + 4.0).contains(&found);
        assert!(near(start.distance(point(0.0, 0.0)), 10.0), "{start:?}");
        assert!(near(end.distance(point(100.0, 0.0)), 20.0), "{end:?}");
        assert_eq!(curve().between_circles(500.0, 500.0), curve());
    }

    #[test]
    fn boxes_that_touch_do_not_overlap() {
        let area = Area::around(point(0.0, 0.0), 10.0, 4.0);
        assert!(area.overlaps(&Area::around(point(9.9, 3.9), 10.0, 4.0)));
        assert!(!area.overlaps(&Area::around(point(10.0, 0.0), 10.0, 4.0)));
        assert!(!area.overlaps(&Area::around(point(0.0, 4.0), 10.0, 4.0)));
        assert!(area.overlaps(&Area::around(point(0.0, 0.0), 1.0, 1.0)));
    }
}
