//! The facts of a document as a directed graph in SVG.
//!
//! The entities of facts stand on a circle, evenly spaced from top to bottom on each side, with
//! their names outside. Facts of one pair and one status are one edge.

use std::collections::BTreeMap;

use maud::{Markup, html};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{
    placement::{Area, Curve, Point},
    text::colour,
    view::{DocumentView, FactView, Status},
};

/// The radius of an entity's circle.
const NODE: f64 = 11.0;
/// The vertical distance of entities on one side, at least.
const SPACING: f64 = 30.0;
/// The radius of the circle of entities, at least.
const MIN_RADIUS: f64 = 90.0;
/// The width of a character of names; of a wide one twice as much.
const CHARACTER: f64 = 7.0;
/// The width of a character of relations, in a smaller type.
const SMALL_CHARACTER: f64 = 6.2;
/// The height of a line of text.
const LINE: f64 = 15.0;
/// The maximum number of columns of a name and of a relation.
const MAX_COLUMNS: usize = 20;
/// The margin around the drawing.
const MARGIN: f64 = 6.0;
/// The size of an arrowhead.
const ARROW: f64 = 8.0;
/// The factor by which the circle grows while a label has no room, and the number of attempts.
const GROWTH: (f64, u32) = (1.15, 6);
/// The places of a label on its edge, best first.
const PLACES: [f64; 11] = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82, 0.12, 0.88];

/// The graph with all coordinates.
#[derive(Debug)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// The box around everything.
    area: Area,
}

#[derive(Debug)]
struct Node {
    entity: usize,
    at: Point,
    /// The name, shortened.
    name: String,
    name_area: Area,
}

#[derive(Debug)]
struct Edge {
    head: usize,
    tail: usize,
    status: Status,
    /// The indices of its facts.
    facts: Vec<usize>,
    curve: Curve,
    label: Option<Label>,
}

/// The text on an edge: the relation, or the number of the fact where there is little room.
#[derive(Debug)]
struct Label {
    text: String,
    /// True if the text is the number of a fact, for want of room.
    is_number: bool,
    area: Area,
}

/// Draws the graph. Its facts are also in the table of facts, which the drawing refers to.
pub(super) fn render(view: &DocumentView) -> Markup {
    let graph = Graph::new(view);
    let Graph { nodes, edges, area } = &graph;
    let view_box = format!("{:.1} {:.1} {:.1} {:.1}", area.left, area.top, area.width, area.height);
    let (n_nodes, n_edges) = (nodes.len(), edges.len());
    let name = format!(
        "Graph of {n_nodes} entities with {n_edges} edges. The table of facts has the same content."
    );
    html! {
        div.doc-scroll tabindex="0" role="region" aria-label="Graph of the facts" {
            svg.doc-graph role="img" aria-label=(name) viewBox=(view_box)
                width=(format!("{:.0}", area.width)) height=(format!("{:.0}", area.height)) {
                @for edge in edges { (edge.render(view)) }
                @for node in nodes { (node.render(view)) }
            }
        }
    }
}

impl Graph {
    /// Lays out the graph. The circle grows until every edge has room for its relation, up to a
    /// limit.
    fn new(view: &DocumentView) -> Self {
        let order = order(view);
        let n_side = order.len().div_ceil(2);
        let mut radius = MIN_RADIUS.max(n_side as f64 * SPACING / 2.0);
        for _ in 0..GROWTH.1 {
            let graph = Self::with_radius(view, &order, radius);
            let is_full = |edge: &Edge| edge.label.as_ref().is_some_and(|label| !label.is_number);
            if graph.edges.iter().all(is_full) {
                return graph;
            }
            radius *= GROWTH.0;
        }
        Self::with_radius(view, &order, radius)
    }

    fn with_radius(view: &DocumentView, order: &[usize], radius: f64) -> Self {
        let nodes: Vec<Node> = positions(order.len(), radius)
            .zip(order)
            .map(|(at, &entity)| Node::new(view, entity, at))
            .collect();
        let mut taken: Vec<Area> = nodes.iter().flat_map(Node::areas).collect();
        let mut edges = edges(view, &nodes);
        for edge in &mut edges {
            edge.label = edge.place_label(view, &taken);
            taken.extend(edge.label.iter().map(|label| label.area));
        }
        let points = edges.iter().flat_map(|edge| edge.curve.0);
        let area = around(taken.iter().copied().chain(points.map(|p| Area::around(p, 0.0, 0.0))));
        Self { nodes, edges, area }
    }
}

/// The entities that have facts, in an order around the circle with short edges.
///
/// Two entities change places as long as that shortens the edges.
fn order(view: &DocumentView) -> Vec<usize> {
    const MAX_PASSES: usize = 20;
    let mut neighbours: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for FactView { head, tail, .. } in &view.facts {
        neighbours.entry(*head).or_default().push(*tail);
        neighbours.entry(*tail).or_default().push(*head);
    }
    let mut order: Vec<usize> = neighbours.keys().copied().collect();
    let n = order.len();
    let mut place: BTreeMap<usize, usize> = order.iter().copied().zip(0..).collect();
    let distance = |a: usize, b: usize| a.abs_diff(b).min(n - a.abs_diff(b));
    let length = |entity: usize, place: &BTreeMap<usize, usize>| -> usize {
        neighbours[&entity].iter().map(|other| distance(place[&entity], place[other])).sum()
    };
    for _ in 0..MAX_PASSES {
        let mut is_changed = false;
        for (i, j) in (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))) {
            let (a, b) = (order[i], order[j]);
            let before = length(a, &place) + length(b, &place);
            place.extend([(a, j), (b, i)]);
            if length(a, &place) + length(b, &place) < before {
                order.swap(i, j);
                is_changed = true;
            } else {
                place.extend([(a, i), (b, j)]);
            }
        }
        if !is_changed {
            break;
        }
    }
    order
}

/// The places of `n` entities around a circle: down its right side, then up its left side.
fn positions(n: usize, radius: f64) -> impl Iterator<Item = Point> {
    let n_right = n.div_ceil(2);
    (0..n).map(move |i| {
        let (side, index, n_side) =
            if i < n_right { (1.0, i, n_right) } else { (-1.0, n - 1 - i, n - n_right) };
        let y = radius * ((2 * index + 1) as f64 / n_side as f64 - 1.0);
        Point { x: side * (radius * radius - y * y).sqrt(), y }
    })
}

impl Node {
    fn new(view: &DocumentView, entity: usize, at: Point) -> Self {
        let name = view.entities.get(entity).map_or("", |entity| entity.name.as_str());
        let name = shortened(name);
        let width = name.width() as f64 * CHARACTER;
        let gap = NODE + 5.0;
        let left = if at.x < 0.0 { at.x - gap - width } else { at.x + gap };
        let name_area = Area { left, top: at.y - LINE / 2.0, width, height: LINE };
        Self { entity, at, name, name_area }
    }

    /// The boxes of its circle and of its name.
    fn areas(&self) -> [Area; 2] {
        [Area::around(self.at, 2.0 * NODE, 2.0 * NODE), self.name_area]
    }

    fn render(&self, view: &DocumentView) -> Markup {
        let Self { entity, at, name, name_area } = self;
        let (anchor, x) = if at.x < 0.0 {
            ("end", name_area.left + name_area.width)
        } else {
            ("start", name_area.left)
        };
        html! {
            g class={ "doc-node " (colour(*entity)) } data-e=(entity) {
                title { (view.label(*entity)) }
                circle cx=(px(at.x)) cy=(px(at.y)) r=(NODE) {}
                text x=(px(at.x)) y=(px(at.y)) text-anchor="middle" { (entity + 1) }
                text.doc-name x=(px(x)) y=(px(at.y)) text-anchor=(anchor) { (name) }
            }
        }
    }
}

/// The edges, without labels: one for each pair and status.
fn edges(view: &DocumentView, nodes: &[Node]) -> Vec<Edge> {
    let mut facts: BTreeMap<(usize, usize), BTreeMap<Status, Vec<usize>>> = BTreeMap::new();
    for (index, fact) in view.facts.iter().enumerate() {
        let of_pair = facts.entry((fact.head, fact.tail)).or_default();
        of_pair.entry(fact.status).or_default().push(index);
    }
    let at: BTreeMap<usize, Point> = nodes.iter().map(|node| (node.entity, node.at)).collect();
    let mut edges = Vec::new();
    for ((head, tail), of_pair) in facts {
        for (i, (status, facts)) in of_pair.into_iter().enumerate() {
            let curve = curve(at[&head], at[&tail], i);
            edges.push(Edge { head, tail, status, facts, curve, label: None });
        }
    }
    edges
}

/// The curve of an edge, bent to the middle of the circle and to its own left side. The edges of
/// one pair and of its inverse are apart; `index` counts those of the pair.
fn curve(head: Point, tail: Point, index: usize) -> Curve {
    let distance = head.distance(tail);
    if distance == 0.0 {
        return self_loop(head, index);
    }
    let bend = 14.0 + 18.0 * index as f64;
    let left = Point { x: (tail.y - head.y) / distance, y: (head.x - tail.x) / distance };
    // Entities that are close to each other have a flat curve.
    let pull = 0.45 * (1.0 - (-distance / 150.0).exp());
    let control = |point: Point| {
        let inner = Point { x: point.x * (1.0 - pull), y: point.y * (1.0 - pull) };
        inner.plus(left, bend)
    };
    let third =
        |from: Point, to: Point| Point { x: 0.0, y: 0.0 }.plus(from, 2.0 / 3.0).plus(to, 1.0 / 3.0);
    let controls = [control(third(head, tail)), control(third(tail, head))];
    Curve([head, controls[0], controls[1], tail]).between_circles(NODE, NODE + 2.0)
}

/// The curve of an edge from an entity to itself, on the side of the middle of the circle.
fn self_loop(at: Point, index: usize) -> Curve {
    let inwards = (-at.y).atan2(-at.x);
    let reach = 60.0 + 20.0 * index as f64;
    let control = |angle: f64| {
        let angle = inwards + angle;
        at.plus(Point { x: angle.cos(), y: angle.sin() }, reach)
    };
    Curve([at, control(-0.6), control(0.6), at]).between_circles(NODE, NODE + 2.0)
}

impl Edge {
    /// The name of the first relation, and the number of further ones.
    fn relations(&self, view: &DocumentView) -> String {
        let name = self.facts.first().map_or("", |fact| view.facts[*fact].name.as_str());
        match self.facts.len() - 1 {
            0 => shortened(name),
            n => format!("{} +{n}", shortened(name)),
        }
    }

    /// The first place on the curve where the relation overlaps nothing, or else its number.
    fn place_label(&self, view: &DocumentView, taken: &[Area]) -> Option<Label> {
        let number = format!("#{}", self.facts.first()? + 1);
        [(self.relations(view), false), (number, true)].into_iter().find_map(|(text, is_number)| {
            let width = text.width() as f64 * SMALL_CHARACTER + 6.0;
            let areas = PLACES.map(|t| Area::around(self.curve.at(t), width, LINE));
            let free = |area: &Area| taken.iter().all(|taken| !area.overlaps(taken));
            areas.into_iter().find(free).map(|area| Label { text, is_number, area })
        })
    }

    fn render(&self, view: &DocumentView) -> Markup {
        let Self { head, tail, status, facts, curve, label } = self;
        let names: Vec<&str> = facts.iter().map(|fact| view.facts[*fact].name.as_str()).collect();
        let title = format!(
            "{} → {}: {} ({})",
            view.label(*head),
            view.label(*tail),
            names.join(", "),
            status.name()
        );
        html! {
            g class={ "doc-edge doc-" (status.name()) } data-h=(head) data-t=(tail) {
                title { (title) }
                path.doc-line d=(path(curve)) {}
                path.doc-arrow d=(arrow(curve)) {}
                @if let Some(Label { text, area, .. }) = label {
                    rect x=(px(area.left)) y=(px(area.top)) width=(px(area.width))
                        height=(px(area.height)) rx="3" {}
                    text x=(px(area.left + area.width / 2.0)) y=(px(area.top + area.height / 2.0))
                        text-anchor="middle" { (text) }
                }
            }
        }
    }
}

fn path(Curve([start, first, second, end]): &Curve) -> String {
    let [start, first, second, end] =
        [start, first, second, end].map(|point| format!("{} {}", px(point.x), px(point.y)));
    format!("M{start}C{first} {second} {end}")
}

/// The arrowhead at the end of a curve.
fn arrow(curve: &Curve) -> String {
    let Curve([.., end]) = *curve;
    let before = curve.at(0.9);
    let length = before.distance(end).max(f64::MIN_POSITIVE);
    let back = Point { x: (before.x - end.x) / length, y: (before.y - end.y) / length };
    let side = Point { x: -back.y, y: back.x };
    let corner = |sign: f64| end.plus(back, ARROW).plus(side, sign * ARROW / 2.0);
    let [end, one, other] =
        [end, corner(1.0), corner(-1.0)].map(|point| format!("{} {}", px(point.x), px(point.y)));
    format!("M{end}L{one}L{other}Z")
}

/// A coordinate with one decimal.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// The box around all areas, with a margin.
fn around(areas: impl Iterator<Item = Area>) -> Area {
    let empty = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
    let [left, top, right, bottom] = areas.fold(empty, |[left, top, right, bottom], area| {
        [
            left.min(area.left),
            top.min(area.top),
            right.max(area.left + area.width),
            bottom.max(area.top + area.height),
        ]
    });
    if left > right {
        return Area { left: 0.0, top: 0.0, width: 0.0, height: 0.0 };
    }
    Area {
        left: left - MARGIN,
        top: top - MARGIN,
        width: right - left + 2.0 * MARGIN,
        height: bottom - top + 2.0 * MARGIN,
    }
}

/// The text, cut after the maximum number of columns.
fn shortened(text: &str) -> String {
    if text.width() <= MAX_COLUMNS {
        return text.to_owned();
    }
    let mut n_columns = 0;
    let is_first = |c: &char| {
        n_columns += c.width().unwrap_or(0);
        n_columns < MAX_COLUMNS
    };
    let first: String = text.chars().take_while(is_first).collect();
    format!("{}…", first.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::documents::view::{EntityView, testing};

    fn fact(head: usize, tail: usize, status: Status, name: &str) -> FactView {
        FactView {
            status,
            head,
            tail,
            id: "P1".into(),
            name: name.into(),
            gold_evidence: Vec::new(),
            evidence: Vec::new(),
            key_mention_pairs: Vec::new(),
            score: None,
        }
    }

    /// A document of `n` entities with `facts`.
    fn view(n: usize, facts: Vec<FactView>) -> DocumentView {
        let entity = |i| EntityView {
            name: format!("Entity of a long name {i}"),
            kind: String::new(),
            mentions: Vec::new(),
        };
        DocumentView { entities: (0..n).map(entity).collect(), facts, ..testing::view() }
    }

    /// 36 entities with 70 facts of all statuses, in both directions and of an entity with itself.
    fn large() -> DocumentView {
        let status = |i| Status::ALL[i % 3];
        let relations = ["country", "located in the administrative territorial entity", "capital"];
        let facts = (0..70).map(|i| {
            let (head, tail) =
                if i % 10 == 9 { (i % 36, i % 36) } else { (i * 7 % 36, i * 5 % 36) };
            fact(head, tail, status(i), relations[i % 3])
        });
        view(40, facts.collect())
    }

    fn is_inside(area: &Area, outer: &Area) -> bool {
        area.left >= outer.left
            && area.top >= outer.top
            && area.left + area.width <= outer.left + outer.width
            && area.top + area.height <= outer.top + outer.height
    }

    #[test]
    fn names_circles_and_labels_are_apart_and_inside_the_drawing() {
        for view in [large(), testing::view()] {
            let graph = Graph::new(&view);
            let labels = graph.edges.iter().filter_map(|edge| edge.label.as_ref());
            let labels: Vec<Area> = labels.map(|label| label.area).collect();
            assert!(labels.len() * 10 > graph.edges.len() * 9, "few edges lack a label");
            let areas: Vec<Area> = graph.nodes.iter().flat_map(Node::areas).chain(labels).collect();
            for (i, area) in areas.iter().enumerate() {
                assert!(is_inside(area, &graph.area), "{area:?}");
                for other in &areas[..i] {
                    assert!(!area.overlaps(other), "{area:?} and {other:?}");
                }
            }
        }
    }

    #[test]
    fn every_coordinate_is_finite() {
        let loops = view(1, vec![fact(0, 0, Status::Wrong, "x"), fact(0, 0, Status::Missed, "y")]);
        let pair = view(2, vec![fact(0, 1, Status::Correct, ""), fact(1, 0, Status::Wrong, "y")]);
        for view in [loops, pair, large(), view(3, Vec::new())] {
            let html = render(&view).into_string();
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
            let graph = Graph::new(&view);
            let points = graph.edges.iter().flat_map(|edge| edge.curve.0);
            assert!(points.clone().all(|p| p.x.is_finite() && p.y.is_finite()));
            let area = Area::around(Point { x: 0.0, y: 0.0 }, 1e4, 1e4);
            assert!(is_inside(&graph.area, &area), "{:?}", graph.area);
        }
    }

    #[test]
    fn only_entities_with_facts_are_shown_and_each_pair_has_an_edge_for_each_status() {
        let graph = Graph::new(&testing::view());
        let mut entities: Vec<usize> = graph.nodes.iter().map(|node| node.entity).collect();
        entities.sort_unstable();
        assert_eq!(entities, [0, 1, 2]);
        let edges: Vec<_> =
            graph.edges.iter().map(|e| (e.head, e.tail, e.status, e.facts.clone())).collect();
        let expected = [
            (0, 1, Status::Correct, vec![0]),
            (0, 1, Status::Wrong, vec![2]),
            (0, 2, Status::Wrong, vec![3]),
            (1, 2, Status::Missed, vec![1]),
        ];
        assert_eq!(edges, expected);
        let alone =
            view(9, vec![fact(7, 3, Status::Correct, "x"), fact(7, 3, Status::Correct, "y")]);
        let graph = Graph::new(&alone);
        assert_eq!((graph.nodes.len(), graph.edges.len()), (2, 1));
        assert_eq!(graph.edges[0].label.as_ref().unwrap().text, "x +1");
    }

    #[test]
    fn the_edges_of_a_pair_and_of_its_inverse_are_apart() {
        let facts = [(0, 1), (1, 0)]
            .map(|(head, tail)| Status::ALL.map(|status| fact(head, tail, status, "x")));
        let graph = Graph::new(&view(2, facts.concat()));
        let middles: Vec<Point> = graph.edges.iter().map(|edge| edge.curve.at(0.5)).collect();
        for (i, middle) in middles.iter().enumerate() {
            assert!(middles[..i].iter().all(|other| middle.distance(*other) > 8.0), "{middles:?}");
        }
    }

    #[test]
    fn edges_become_shorter_by_the_order() {
        // The chain 0 – 4 – 1 – 5 – 2 – 6 – 3: neighbours can stand side by side.
        let chain = [0, 4, 1, 5, 2, 6, 3];
        let facts = chain.windows(2).map(|pair| fact(pair[0], pair[1], Status::Correct, "x"));
        let order = order(&view(7, facts.collect()));
        let place = |entity| order.iter().position(|e| *e == entity).unwrap();
        let n_beside = chain
            .windows(2)
            .filter(|pair| [1, 6].contains(&place(pair[0]).abs_diff(place(pair[1]))))
            .count();
        assert!(n_beside >= 5, "{order:?}");
    }

    #[test]
    fn text_is_escaped_and_cut_by_columns() {
        let mut hostile = view(2, vec![fact(0, 1, Status::Wrong, "</title><script>")]);
        hostile.entities[0].name = "\"><img onerror=x>".into();
        let html = render(&hostile).into_string();
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert_eq!(shortened("12345678901234567890"), "12345678901234567890");
        assert_eq!(shortened("123456789012345678901"), "1234567890123456789…");
        assert_eq!(shortened("東京東京東京東京東京東"), "東京東京東京東京東…");
    }
}
