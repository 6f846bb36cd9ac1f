//! What was measured as a picture: groups of bars, as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use thiserror::Error;

/// A titled list of groups, one below the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// What was measured, and where.
    pub title: String,
    /// Each with an axis of its own.
    pub groups: Vec<Group>,
}

/// Bars that share an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// What they have in common.
    pub title: String,
    /// What the axis counts, such as `MB/s`.
    pub unit: String,
    /// Top to bottom.
    pub bars: Vec<Bar>,
}

/// A value with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it is the value of.
    pub label: String,
    /// At least 0, in the group's unit.
    pub value: f64,
}

/// Why there is no picture.
#[derive(Debug, Error)]
#[error("cannot draw the chart: {0}")]
pub struct ChartError(String);

impl Bar {
    /// A bar.
    pub fn new(label: impl Into<String>, value: f64) -> Self {
        Self { label: label.into(), value }
    }
}

// Pixels.
const WIDTH: u32 = 960;
const TITLE_HEIGHT: u32 = 48;
const BAR_HEIGHT: u32 = 26;
const AROUND_BARS: u32 = 98;
const LABELS_WIDTH: u32 = 330;
const AXIS_HEIGHT: u32 = 44;

/// Most letters that fit.
const TITLE_LETTERS: usize = 76;
const LABEL_LETTERS: usize = 42;

/// The part of an axis that the longest bar takes: its value is written behind it.
const LONGEST: f64 = 0.85;
const FONT: &str = "sans-serif";
const BAR_COLOUR: RGBColor = RGBColor(0x2f, 0x6d, 0xa8);

impl Chart {
    /// The chart as an SVG document.
    ///
    /// # Errors
    /// If the drawing library refuses a size.
    pub fn svg(&self) -> Result<String, ChartError> {
        let heights = self.groups.iter().map(Group::height);
        let height = TITLE_HEIGHT + heights.clone().sum::<u32>();
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(refused)?;
        let title = Text::new(fitting(&self.title, TITLE_LETTERS), (16, 14), (FONT, 24).into_font());
        area.draw(&title).map_err(refused)?;
        let mut top = TITLE_HEIGHT;
        for (group, height) in self.groups.iter().zip(heights) {
            let (_, below) = area.split_vertically(top);
            let (own, _) = below.split_vertically(height);
            group.draw(&area, &own)?;
            top += height;
        }
        area.present().map_err(refused)?;
        drop(area);
        Ok(svg)
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

impl Group {
    fn height(&self) -> u32 {
        AROUND_BARS + BAR_HEIGHT * self.bars.len() as u32
    }

    /// Draws the group on its `own` part of `all`.
    fn draw(&self, all: &Area<'_>, own: &Area<'_>) -> Result<(), ChartError> {
        let longest = self.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        let end = if longest.is_normal() { longest / LONGEST } else { 1.0 };
        // Downwards, each bar a unit high.
        let rows = self.bars.len() as f64..0.0;
        let mut chart = ChartBuilder::on(own)
            .caption(fitting(&self.title, TITLE_LETTERS), (FONT, 19))
            .margin_right(16)
            .margin_bottom(8)
            .set_label_area_size(LabelAreaPosition::Left, LABELS_WIDTH)
            .set_label_area_size(LabelAreaPosition::Bottom, AXIS_HEIGHT)
            .build_cartesian_2d(0.0..end, rows)
            .map_err(refused)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh().y_labels(0).x_labels(6).x_desc(fitting(&self.unit, TITLE_LETTERS));
        mesh.x_label_formatter(&|value| number(*value)).label_style((FONT, 16)).light_line_style(TRANSPARENT);
        mesh.draw().map_err(refused)?;
        let style = |position| (FONT, 16).into_font().color(&BLACK).pos(Pos::new(position, VPos::Center));
        for (row, bar) in (0..).map(f64::from).zip(&self.bars) {
            // Not a number is drawn as nothing, and written as what it is.
            let value = bar.value.clamp(0.0, end);
            let value = if value.is_nan() { 0.0 } else { value };
            let corners = [(0.0, row + 0.15), (value, row + 0.85)];
            chart.plotting_area().draw(&Rectangle::new(corners, BAR_COLOUR.filled())).map_err(refused)?;
            let at = |value| chart.plotting_area().map_coordinate(&(value, row + 0.5));
            let ((left, middle), (right, _)) = (at(0.0), at(value));
            let label = Text::new(fitting(&bar.label, LABEL_LETTERS), (left - 8, middle), style(HPos::Right));
            let value = Text::new(number(bar.value), (right + 6, middle), style(HPos::Left));
            all.draw(&label).and_then(|()| all.draw(&value)).map_err(refused)?;
        }
        Ok(())
    }
}

fn refused(error: impl std::fmt::Display) -> ChartError {
    ChartError(error.to_string())
}

/// The last `letters` of a text: of paths the end tells more. Characters that
/// no XML document may hold, control characters above all, are replaced.
fn fitting(text: &str, letters: usize) -> String {
    let allowed = |letter: char| !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}');
    let plain = text.chars().map(|letter| if allowed(letter) { letter } else { '\u{fffd}' });
    match text.chars().count().checked_sub(letters) {
        None | Some(0) => plain.collect(),
        Some(more) => std::iter::once('…').chain(plain.skip(more + 1)).collect(),
    }
}

/// Three digits or more, and no decimals that nobody reads.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let bars = vec![Bar::new("one in flight", 812.6), Bar::new("16 in flight", 2048.0), Bar::new("none", 0.0)];
        let reads = Group { title: "Strips".to_owned(), unit: "MB/s".to_owned(), bars };
        let odd = vec![Bar::new("</text><&\"\u{7}", 1.5), Bar::new("no number", f64::NAN)];
        let times = Group { title: "<Times>".to_owned(), unit: "ms".to_owned(), bars: odd };
        Chart { title: "/disk & co".to_owned(), groups: vec![reads, times] }
    }

    /// Whether every element that is opened is closed in order, and every `&` begins an entity.
    pub(crate) fn check_xml(text: &str) -> Result<(), String> {
        let mut open = Vec::new();
        for tag in text.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').ok_or("a tag without an end")?;
            let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
            if tag.starts_with('/') {
                let last = open.pop();
                if last != Some(name) {
                    return Err(format!("{name} closes {last:?}"));
                }
            } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
                open.push(name);
            }
        }
        let entities = ["amp;", "lt;", "gt;", "quot;", "apos;", "#"];
        if let Some(bare) = text.split('&').skip(1).find(|rest| !entities.iter().any(|name| rest.starts_with(name))) {
            return Err(format!("a bare & before {bare:.10}"));
        }
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?} left open")) }
    }

    #[test]
    fn a_chart_is_well_formed_and_says_everything() {
        let svg = chart().svg().expect("a chart");
        check_xml(&svg).expect("well-formed");
        for text in ["one in flight", "16 in flight", "813", "2048", "1.50", "MB/s", "ms", "Strips", "/disk &amp; co"] {
            assert!(svg.contains(text), "no {text} in {svg}");
        }
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains('\u{7}'));
        // The negative control.
        check_xml(&svg.replace("</svg>", "")).expect_err("left open");
        check_xml(&svg.replace("&amp;", "&")).expect_err("a bare &");
    }

    #[test]
    fn nothing_measured_is_a_chart_too() {
        let empty = Chart { groups: vec![Group::default()], ..Chart::default() };
        check_xml(&empty.svg().expect("a chart")).expect("well-formed");
    }

    #[test]
    fn long_texts_keep_their_end() {
        assert_eq!(fitting("/mnt/disk1", 10), "/mnt/disk1");
        assert_eq!(fitting("/mnt/disk1", 6), "…disk1");
        assert_eq!(fitting("a\nb\u{ffff}", 9), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.0314, 3.149, 31.49, 314.9, 31490.4].map(number);
        assert_eq!(numbers, ["0", "0.031", "3.15", "31.5", "315", "31490"]);
    }
}
