//! The comparisons as one picture, an SVG: a bar for each row beside each peer.
//!
//! A bar is as long as its ratio, on a logarithmic axis, so that twice as good and half as good look alike.
//! It starts at 1, as good as the peer. The picture has its own background, for light and dark pages.
//!
//! Columns are as wide as their longest text. Names stand in text only, never in attributes: there the crate
//! `svg` does not escape quotes.
//!
//! Thread-safety: plain values.

mod rates;
mod scale;
mod text;

pub(crate) use rates::{Line, Point, rates};

use scale::{AXIS, Scale, drawable};
use svg::node::element::{Group, Line as Stroke, Path, Rectangle, Title};
use svg::{Document, Node};
use text::{Font, HEADLINE, MUTED, PLAIN, STRONG, number, printable, shorten, text, width, wrap};

/// A row beside one peer.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// The row's name.
    pub(crate) group: String,
    pub(crate) peer: String,
    /// Of `ours` and `peer_value`.
    pub(crate) unit: String,
    pub(crate) ours: f64,
    pub(crate) peer_value: f64,
    /// How many times better than the peer.
    pub(crate) ratio: f64,
    /// Least and most of the rounds.
    pub(crate) ratio_spread: Option<(f64, f64)>,
    /// The least ratio that is wanted.
    pub(crate) goal: Option<f64>,
}

const FAMILY: &str = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif";
const INK: &str = "#1f2328";
const GRID: &str = "#d8dee4";
/// Told apart by everyone: Okabe and Ito, "Color Universal Design", 2008.
const BETTER: &str = "#56b4e9";
const WORSE: &str = "#e69f00";

const MARGIN: f64 = 24.0;
const GAP: f64 = 14.0;
const ROW: f64 = 36.0;
const THICK: f64 = 16.0;
/// A mark of the legend.
const MARK: f64 = 22.0;
/// Names that need more are cut; the bar's tooltip has them in full.
const LABEL: f64 = 480.0;

/// Draws the rows in their order. Those without a ratio above 0 are named below the picture.
pub(crate) fn svg(rows: &[Bar], title: &str, footer: &str) -> String {
    let (bars, others): (Vec<&Bar>, Vec<&Bar>) = rows.iter().partition(|b| drawable(b.ratio));
    let mut notes: Vec<String> = others
        .iter()
        .map(|b| format!("Not drawn: {}, the ratio is {}.", b.name(), number(b.ratio)))
        .collect();
    for bar in &bars {
        if let Some((least, most)) = bar.ratio_spread.filter(|_| bar.spread().is_none()) {
            let (least, most) = (number(least), number(most));
            notes.push(format!("Spread not drawn: {}, the ratios are {least} to {most}.", bar.name()));
        }
    }
    if bars.is_empty() {
        notes.insert(0, "No row has a peer to be compared with.".into());
    }
    let columns = Columns::of(&bars);
    let mut page = Page { content: Group::new().set("font-family", FAMILY), y: MARGIN, width: columns.width };
    page.paragraph(HEADLINE, title);
    if !bars.is_empty() {
        page.legend();
        page.chart(&bars, &columns);
    }
    notes.iter().for_each(|note| page.paragraph(PLAIN, note));
    page.paragraph(MUTED, footer);
    page.finish(title)
}

impl Bar {
    fn name(&self) -> String {
        format!("{} beside {}", self.group, self.peer)
    }

    fn label(&self) -> String {
        format!("{} ({})", self.group, self.unit)
    }

    fn values(&self) -> String {
        format!("({} vs {} {})", number(self.ours), number(self.peer_value), self.unit)
    }

    fn times(&self) -> String {
        format!("{}x", number(self.ratio))
    }

    fn spread(&self) -> Option<(f64, f64)> {
        self.ratio_spread.filter(|(least, most)| drawable(*least) && drawable(*most))
    }

    fn goal(&self) -> Option<f64> {
        self.goal.filter(|g| drawable(*g))
    }

    /// All ratios that need a place on the axis.
    fn extent(&self) -> impl Iterator<Item = f64> {
        let spread = self.spread().into_iter().flat_map(|(least, most)| [least, most]);
        [self.ratio].into_iter().chain(spread).chain(self.goal())
    }
}

/// Where things stand from left to right: labels end, the axis, ratios end, values start.
struct Columns {
    label: f64,
    scale: Scale,
    times: f64,
    values: f64,
    width: f64,
}

impl Columns {
    fn of(bars: &[&Bar]) -> Self {
        let widest =
            |font, of: fn(&Bar) -> String| bars.iter().map(|b| width(&of(b), font)).fold(0.0, f64::max);
        // At the least what the words above the ends of the axis need.
        let label = widest(STRONG, Bar::label).max(widest(MUTED, |b| b.peer.clone())).clamp(150.0, LABEL);
        let label = MARGIN + label;
        let left = label + GAP;
        let times = left + AXIS + GAP + widest(STRONG, Bar::times);
        let values = times + 8.0;
        let width = values + widest(MUTED, Bar::values).max(100.0) + MARGIN;
        Self { label, scale: Scale::of(bars.iter().flat_map(|b| b.extent()), left), times, values, width }
    }

    fn row(&self, bar: &Bar, top: f64) -> Group {
        let (y, one, end) = (top + ROW / 2.0, self.scale.x(1.0), self.scale.x(bar.ratio));
        let color = if bar.ratio < 1.0 { WORSE } else { BETTER };
        let fit = |content: &str, font| shorten(content, self.label - MARGIN, font);
        let tooltip = format!("{}: {} {}", bar.name(), bar.times(), bar.values());
        let mut row = Group::new()
            .add(Title::new(printable(&tooltip)))
            .add(text(self.label, y - 4.0, "end", STRONG, &fit(&bar.label(), STRONG)))
            .add(text(self.label, y + 11.0, "end", MUTED, &fit(&bar.peer, MUTED)))
            .add(area(one.min(end), one.max(end), y - THICK / 2.0, THICK, color).set("class", "bar"))
            .add(text(self.times, y + 4.5, "end", STRONG, &bar.times()))
            .add(text(self.values, y + 4.5, "start", MUTED, &bar.values()));
        if let Some((least, most)) = bar.spread() {
            row = row.add(whisker(self.scale.x(least), self.scale.x(most), y).set("class", "spread"));
        }
        if let Some(goal) = bar.goal() {
            row = row.add(diamond(self.scale.x(goal), y).set("class", "goal"));
        }
        row
    }
}

/// What was drawn so far, from top to bottom.
struct Page {
    content: Group,
    y: f64,
    width: f64,
}

impl Page {
    fn add(&mut self, node: impl Into<Box<dyn Node>>) {
        self.content.append(node);
    }

    fn paragraph(&mut self, font: Font, content: &str) {
        for line in wrap(content, self.width - 2.0 * MARGIN, font) {
            self.y += font.size * 1.4;
            self.add(text(MARGIN, self.y, "start", font, &line));
        }
        self.y += font.size * 0.5;
    }

    fn legend(&mut self) {
        self.y += 20.0;
        let marks = [
            ("better than the peer", Group::new().add(area(0.0, MARK, -6.0, 12.0, BETTER))),
            ("worse than the peer", Group::new().add(area(0.0, MARK, -6.0, 12.0, WORSE))),
            ("least and most of the rounds", Group::new().add(whisker(0.0, MARK, 0.0))),
            ("goal: this or better", Group::new().add(diamond(MARK / 2.0, 0.0))),
        ];
        let mut x = MARGIN;
        for (name, mark) in marks {
            self.add(mark.set("transform", format!("translate({} {})", px(x), px(self.y - 4.0))));
            x += MARK + 6.0;
            self.add(text(x, self.y, "start", PLAIN, name));
            x += width(name, PLAIN) + GAP;
        }
        self.y += GAP;
    }

    fn chart(&mut self, bars: &[&Bar], columns: &Columns) {
        let scale = &columns.scale;
        let one = scale.x(1.0);
        self.y += 24.0;
        let middle = "as good as the peer";
        let beside = width(middle, STRONG) / 2.0 + GAP;
        self.add(text(one - beside, self.y, "end", PLAIN, "\u{2190} worse"));
        self.add(text(one, self.y, "middle", STRONG, middle));
        self.add(text(one + beside, self.y, "start", PLAIN, "better \u{2192}"));
        let top = self.y + 28.0;
        let bottom = top + ROW * bars.len() as f64;
        for (x, label) in scale.ticks() {
            self.add(line((x, top), (x, bottom), GRID, 1.0).set("class", "tick"));
            self.add(text(x, top - 8.0, "middle", PLAIN, &label));
            self.add(text(x, bottom + 18.0, "middle", PLAIN, &label));
        }
        self.add(line((one, top - 4.0), (one, bottom + 4.0), INK, 2.5).set("class", "one"));
        for (i, bar) in bars.iter().enumerate() {
            let y = top + ROW * i as f64;
            if i > 0 && bars[i - 1].group != bar.group {
                self.add(line((MARGIN, y), (self.width - MARGIN, y), GRID, 1.0));
            }
            self.add(columns.row(bar, y));
        }
        let caption = "times as good as the peer, logarithmic";
        self.add(text(scale.left + AXIS / 2.0, bottom + 40.0, "middle", MUTED, caption));
        self.y = bottom + 52.0;
    }

    fn finish(self, title: &str) -> String {
        let (width, height) = (px(self.width), px(self.y + MARGIN));
        let background = Rectangle::new()
            .set("x", 0.5)
            .set("y", 0.5)
            .set("width", width - 1.0)
            .set("height", height - 1.0)
            .set("rx", 6)
            .set("fill", "#ffffff")
            .set("stroke", GRID);
        let document = Document::new()
            .set("viewBox", (0, 0, width, height))
            .set("width", width)
            .set("height", height)
            .set("role", "img")
            .add(Title::new(printable(title)))
            .add(background)
            .add(self.content);
        format!("{document}\n")
    }
}

fn area(from: f64, to: f64, top: f64, height: f64, color: &str) -> Rectangle {
    let (x, width) = (px(from), px(to - from));
    let area = Rectangle::new().set("x", x).set("y", px(top)).set("width", width).set("height", height);
    area.set("fill", color)
}

fn line(from: (f64, f64), to: (f64, f64), color: &str, thick: f64) -> Stroke {
    let line =
        Stroke::new().set("x1", px(from.0)).set("y1", px(from.1)).set("x2", px(to.0)).set("y2", px(to.1));
    line.set("stroke", color).set("stroke-width", thick)
}

fn whisker(from: f64, to: f64, y: f64) -> Path {
    let (from, to, y) = (px(from), px(to), px(y));
    let ways = format!("M{from} {y}H{to}M{from} {}v8M{to} {}v8", y - 4.0, y - 4.0);
    Path::new().set("d", ways).set("stroke", INK).set("stroke-width", 1.5).set("fill", "none")
}

fn diamond(x: f64, y: f64) -> Path {
    let ways = format!("M{} {}l5 6l-5 6l-5 -6z", px(x), px(y - 6.0));
    Path::new().set("d", ways).set("stroke", INK).set("stroke-width", 1.5).set("fill", "#ffffff")
}

/// Tenths are fine enough, and keep the file small.
fn px(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
