//! Rates against time: a panel for each stream, what was configured as a step, what arrived as a line.

use super::text::{HEADLINE, MUTED, PLAIN, STRONG, text, width};
use super::{BETTER, FAMILY, GAP, GRID, INK, MARGIN, MARK, Page, WORSE, line, px};
use std::fmt::Write;
use svg::node::element::{Group, Path};

/// A stream over time.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// What is configured from each moment on.
    pub(crate) wanted: Vec<Point>,
    pub(crate) measured: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) seconds: f64,
    /// Mbit/s.
    pub(crate) rate: f64,
}

/// Of a panel's axes.
const WIDE: f64 = 360.0;
const HIGH: f64 = 130.0;
/// What stands to the left of an axis, and above and below one.
const LEFT: f64 = 44.0;
const ABOVE: f64 = 26.0;
const BELOW: f64 = 30.0;
const COLUMNS: usize = 2;

/// Draws all, two beside each other.
pub(crate) fn rates(lines: &[&Line], title: &str, footer: &str) -> String {
    let width = 2.0 * MARGIN + COLUMNS as f64 * (LEFT + WIDE + GAP);
    let mut page = Page { content: Group::new().set("font-family", FAMILY), y: MARGIN, width };
    page.paragraph(HEADLINE, title);
    if lines.is_empty() {
        page.paragraph(PLAIN, "No rate was measured over time: run qos-change.");
    } else {
        page.paragraph(PLAIN, "Mbit/s of frames in each 10 ms, against seconds.");
        legend(&mut page);
    }
    for pair in lines.chunks(COLUMNS) {
        for (i, one) in pair.iter().enumerate() {
            let left = MARGIN + LEFT + i as f64 * (LEFT + WIDE + GAP);
            panel(&mut page, one, left);
        }
        page.y += ABOVE + HIGH + BELOW;
    }
    page.paragraph(MUTED, footer);
    page.finish(title)
}

fn legend(page: &mut Page) {
    page.y += GAP;
    let mut x = MARGIN;
    for (name, color) in [("configured", WORSE), ("arrived", BETTER)] {
        page.add(line((x, page.y - 4.0), (x + MARK, page.y - 4.0), color, 3.0));
        x += MARK + 6.0;
        page.add(text(x, page.y, "start", PLAIN, name));
        x += width(name, PLAIN) + GAP;
    }
    page.y += GAP;
}

fn panel(page: &mut Page, one: &Line, left: f64) {
    let (top, bottom) = (page.y + ABOVE, page.y + ABOVE + HIGH);
    let all = || one.wanted.iter().chain(&one.measured);
    let end = all().map(|p| p.seconds).fold(0.1, f64::max);
    // A burst may be far above what is configured; it is cut off.
    let most = one.wanted.iter().map(|p| p.rate).fold(1.0, f64::max) * 1.25;
    let x = |seconds: f64| left + WIDE * seconds / end;
    let y = |rate: f64| bottom - HIGH * (rate / most).clamp(0.0, 1.0);
    page.add(text(left, top - 8.0, "start", STRONG, &one.name));
    let step = round_step(most / 4.0);
    for i in 0..=(most / step) as u32 {
        let rate = step * f64::from(i);
        page.add(line((left, y(rate)), (left + WIDE, y(rate)), GRID, 1.0));
        page.add(text(left - 6.0, y(rate) + 4.0, "end", MUTED, &format!("{rate}")));
    }
    let step = round_step(end / 6.0);
    for i in 0..=(end / step) as u32 {
        // Sums of tenths are not tenths.
        let seconds = (step * f64::from(i) * 1e3).round() / 1e3;
        page.add(text(x(seconds), bottom + 16.0, "middle", MUTED, &format!("{seconds}")));
    }
    page.add(line((left, bottom), (left + WIDE, bottom), INK, 1.0));
    let mut steps = String::new();
    for (i, p) in one.wanted.iter().enumerate() {
        let until = one.wanted.get(i + 1).map_or(end, |next| next.seconds);
        let verb = if i == 0 { 'M' } else { 'L' };
        let _ = write!(steps, "{verb}{} {}H{}", px(x(p.seconds)), px(y(p.rate)), px(x(until)));
    }
    page.add(stroke(steps, WORSE, 3.0).set("class", "wanted"));
    let mut ways = String::new();
    for (i, p) in one.measured.iter().enumerate() {
        let verb = if i == 0 { 'M' } else { 'L' };
        let _ = write!(ways, "{verb}{} {}", px(x(p.seconds)), px(y(p.rate)));
    }
    page.add(stroke(ways, BETTER, 1.5).set("class", "measured"));
}

fn stroke(ways: String, color: &str, thick: f64) -> Path {
    Path::new().set("d", ways).set("stroke", color).set("stroke-width", thick).set("fill", "none")
}

/// 1, 2 or 5 of some power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * decade).find(|s| *s >= least).unwrap_or(10.0 * decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_has_both_lines_and_round_labels() {
        let p = |seconds, rate| Point { seconds, rate };
        let one = Line {
            name: "a \"stream\" & more".into(),
            wanted: vec![p(0.0, 100.0), p(0.5, 20.0)],
            measured: vec![p(0.0, 99.0), p(0.5, 500.0), p(1.0, 20.0)],
        };
        let text = rates(&[&one, &one, &one], "Rates", "here");
        let document = roxmltree::Document::parse(&text).unwrap();
        let of = |class: &str| document.descendants().filter(|n| n.attribute("class") == Some(class)).count();
        assert_eq!((of("wanted"), of("measured")), (3, 3));
        let words: Vec<_> = document.descendants().filter_map(|n| n.text().map(str::trim)).collect();
        assert!(
            ["0", "50", "100", "0.2", "1", "a \"stream\" & more"].iter().all(|w| words.contains(w)),
            "{words:?}"
        );
        assert!(rates(&[], "Rates", "here").contains("run qos-change"));
    }
}
