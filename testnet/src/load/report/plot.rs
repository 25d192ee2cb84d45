//! Plots as SVG: axes with titles and units, a legend, bands for faults, and the figures of each
//! place in a `<title>` that shows when the pointer is over it.
//!
//! Invariant: every text is escaped, every coordinate is finite and inside of the drawing.

use std::fmt::Write as _;

/// Size of a drawing, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 300.0;
/// Around the plot.
const LEFT: f64 = 74.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Places with figures at most; more are not told apart by a pointer.
const PLACES: usize = 240;
/// Marks on an axis, about.
const MARKS: f64 = 6.0;
/// Legend entries that fit on the one line.
const LEGEND: usize = 6;
/// Width of a letter of the legend, about.
const LETTER: f64 = 6.6;

/// How numbers are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from zero.
    Linear,
    /// By their logarithm.
    Log,
    /// Percentiles, each nine as wide as the one before.
    Nines,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A line, the space under it filled.
    Area,
    /// A line.
    Line,
    /// A broken line.
    Dashed,
}

/// A row of figures.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour: `c1` to `c6`, or `bad`.
    pub colour: &'static str,
    /// How it is drawn.
    pub look: Look,
    /// Its points, from left to right; one without a figure is left out.
    pub points: Vec<(f64, f64)>,
}

/// Something that was so from one place of the x axis to another.
#[derive(Debug, Clone)]
pub struct Band {
    /// What.
    pub name: String,
    /// From.
    pub from: f64,
    /// To.
    pub to: f64,
}

/// A plot.
#[derive(Debug, Clone)]
pub struct Plot {
    /// What it shows, for those who cannot see it.
    pub label: String,
    /// What is along the x axis, with its unit.
    pub x: &'static str,
    /// What is along the y axis, with its unit.
    pub y: String,
    /// How x is laid out.
    pub x_scale: Scale,
    /// How y is laid out.
    pub y_scale: Scale,
    /// The figures.
    pub series: Vec<Series>,
    /// Behind them.
    pub bands: Vec<Band>,
}

/// Text in HTML and SVG.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A number as short as it can be understood.
#[must_use]
pub fn short(number: f64) -> String {
    let size = number.abs();
    let (scaled, unit) = match size {
        _ if size >= 1e12 => (number / 1e12, "T"),
        _ if size >= 1e9 => (number / 1e9, "G"),
        _ if size >= 1e6 => (number / 1e6, "M"),
        _ if size >= 1e4 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let text = match scaled.abs() {
        near if near >= 100.0 || (near - near.round()).abs() < 1e-9 => format!("{scaled:.0}"),
        near if near >= 10.0 => format!("{scaled:.1}"),
        near if near >= 0.1 => format!("{scaled:.2}"),
        _ => format!("{scaled:.3}"),
    };
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    format!("{text}{unit}")
}

/// One axis: from numbers to places.
struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    start: f64,
    length: f64,
}

impl Axis {
    fn of(scale: Scale, numbers: impl Iterator<Item = f64>, start: f64, length: f64) -> Self {
        let numbers = numbers.filter(|number| number.is_finite());
        let numbers = numbers.filter(|number| scale != Scale::Log || *number > 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in numbers {
            low = low.min(number);
            high = high.max(number);
        }
        if !low.is_finite() {
            (low, high) = (1.0, 10.0);
        }
        let (from, to) = match scale {
            Scale::Linear => {
                let (low, high) = (low.min(0.0), high.max(0.0));
                let step = step_of(high - low);
                ((low / step).floor() * step, ((high / step).ceil() * step).max(low + step))
            }
            Scale::Log => {
                let (low, high) = (low.log10().floor(), high.log10().ceil());
                (low, if high > low { high } else { low + 1.0 })
            }
            Scale::Nines => (0.0, nines(high).max(nines(99.0))),
        };
        Self { scale, from, to, start, length }
    }

    fn place(&self, number: f64) -> f64 {
        let along = match self.scale {
            Scale::Linear => number,
            Scale::Log => number.max(f64::MIN_POSITIVE).log10(),
            Scale::Nines => nines(number),
        };
        let share = ((along - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.start + share * self.length
    }

    fn marks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => {
                let step = step_of(self.to - self.from);
                let count = ((self.to - self.from) / step).round().clamp(1.0, 20.0) as u32;
                let number = |mark: u32| step.mul_add(f64::from(mark), self.from);
                (0..=count).map(|mark| (number(mark), short(number(mark)))).collect()
            }
            Scale::Log => {
                let decades = (self.to - self.from).round().clamp(1.0, 12.0) as i32;
                let first = self.from.round() as i32;
                let fine: &[f64] = if decades <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let decade = |at: i32| {
                    fine.iter().map(move |digit| digit * 10_f64.powi(first.saturating_add(at)))
                };
                let numbers = (0..=decades).flat_map(decade);
                let inside = numbers.filter(|number| number.log10() <= self.to + 1e-9);
                inside.map(|number| (number, short(number))).collect()
            }
            Scale::Nines => {
                let all = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 100.0];
                let shown = all.into_iter().filter(|one| *one < 100.0);
                let inside = shown.filter(|one| nines(*one) <= self.to + 1e-9);
                inside.map(|one| (one, format!("{one}"))).collect()
            }
        }
    }
}

/// How many nines a percentile has; the last hundredth of a permille is the end of the axis.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile.clamp(0.0, 99.999) / 100.0).log10()
}

/// A round distance between marks.
fn step_of(range: f64) -> f64 {
    let rough = (range / MARKS).max(1e-9);
    let unit = 10_f64.powf(rough.log10().floor());
    let times = rough / unit;
    unit * match times {
        _ if times <= 1.0 => 1.0,
        _ if times <= 2.0 => 2.0,
        _ if times <= 5.0 => 5.0,
        _ => 10.0,
    }
}

impl Plot {
    /// The drawing.
    #[must_use]
    pub fn svg(&self) -> String {
        let (wide, high) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let ends = self.bands.iter().flat_map(|band| [band.from, band.to]);
        let x = Axis::of(self.x_scale, points().map(|(x, _)| *x).chain(ends), LEFT, wide);
        let y = Axis::of(self.y_scale, points().map(|(_, y)| *y), HEIGHT - BOTTOM, -high);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(&self.label)
        );
        self.bands_into(&mut svg, &x);
        self.axes_into(&mut svg, &x, &y);
        for series in &self.series {
            series.draw(&mut svg, &x, &y);
        }
        self.legend_into(&mut svg);
        self.places_into(&mut svg, &x);
        svg.push_str("</svg>\n");
        svg
    }

    fn bands_into(&self, svg: &mut String, x: &Axis) {
        for band in &self.bands {
            let (from, to) = (x.place(band.from), x.place(band.to));
            let (name, wide) = (escaped(&band.name), (to - from).max(2.0));
            let high = HEIGHT - TOP - BOTTOM;
            let _ = writeln!(
                svg,
                "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{wide:.1}\" \
                 height=\"{high}\"/><rect class=\"cap\" x=\"{from:.1}\" y=\"{TOP}\" \
                 width=\"{wide:.1}\" height=\"4\"><title>{name}, {} to {} s</title></rect>",
                short(band.from),
                short(band.to)
            );
        }
    }

    fn axes_into(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (number, text) in y.marks() {
            let at = y.place(number);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                at + 4.0
            );
        }
        for (number, text) in x.marks() {
            let at = x.place(number);
            let _ = writeln!(
                svg,
                "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{:.1}\"/>\
                 <text class=\"mark\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}\
                 </text>",
                bottom + 5.0,
                bottom + 18.0
            );
        }
        let (middle, centre) = (f64::midpoint(LEFT, right), f64::midpoint(TOP, bottom));
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"name\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"name\" x=\"16\" y=\"{centre:.1}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 16 {centre:.1})\">{}</text>",
            HEIGHT - 8.0,
            escaped(self.x),
            escaped(&self.y)
        );
    }

    fn legend_into(&self, svg: &mut String) {
        let mut at = LEFT;
        let faults = (!self.bands.is_empty()).then_some(("fault in force", "cap", Look::Area));
        let named = self.series.iter().take(LEGEND);
        let named = named.map(|series| (series.name.as_str(), series.colour, series.look));
        for (name, colour, look) in named.chain(faults) {
            let swatch = match look {
                Look::Area => format!(
                    "<rect class=\"{colour} swatch\" x=\"{at:.1}\" y=\"10\" width=\"14\" \
                     height=\"10\" rx=\"2\"/>"
                ),
                Look::Line | Look::Dashed => {
                    let dashed = if look == Look::Dashed { " dashed" } else { "" };
                    format!(
                        "<line class=\"{colour} line{dashed}\" x1=\"{at:.1}\" x2=\"{:.1}\" \
                         y1=\"15\" y2=\"15\"/>",
                        at + 14.0
                    )
                }
            };
            let _ = writeln!(
                svg,
                "{swatch}<text class=\"key\" x=\"{:.1}\" y=\"19\">{}</text>",
                at + 20.0,
                escaped(name)
            );
            let letters = u32::try_from(name.chars().count()).unwrap_or_default();
            at += f64::from(letters).mul_add(LETTER, 40.0);
        }
    }

    /// Strips that say the figures under the pointer.
    fn places_into(&self, svg: &mut String, x: &Axis) {
        let mut places: Vec<f64> =
            self.series.iter().flat_map(|one| one.points.iter().map(|(x, _)| *x)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let every = places.len().div_ceil(PLACES).max(1);
        let places: Vec<f64> = places.into_iter().step_by(every).collect();
        for (number, place) in places.iter().enumerate() {
            let here = x.place(*place);
            let before = number.checked_sub(1).and_then(|at| places.get(at));
            let after = places.get(number.saturating_add(1));
            let from = before.map_or(here - 4.0, |it| f64::midpoint(x.place(*it), here));
            let to = after.map_or(here + 4.0, |it| f64::midpoint(x.place(*it), here));
            let from = from.max(LEFT);
            let unit = if self.x_scale == Scale::Nines { "%" } else { " s" };
            let mut title = format!("{}{unit}", short_place(*place));
            for series in &self.series {
                let value = series.at(*place);
                let value = value.filter(|value| self.y_scale != Scale::Log || *value > 0.0);
                if let Some(value) = value {
                    let _ = write!(title, "\n{}: {}", series.name, short(value));
                }
            }
            for band in self.bands.iter().filter(|it| it.from <= *place && *place <= it.to) {
                let _ = write!(title, "\n{}", band.name);
            }
            let _ = writeln!(
                svg,
                "<rect class=\"strip\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" \
                 height=\"{}\"><title>{}</title></rect>",
                (to - from).max(1.0),
                HEIGHT - TOP - BOTTOM,
                escaped(&title)
            );
        }
    }
}

fn short_place(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Series {
    /// The figure at a place, or the last one before it.
    fn at(&self, place: f64) -> Option<f64> {
        let before = self.points.iter().take_while(|(x, _)| *x <= place + 1e-9);
        before.last().map(|(_, y)| *y)
    }

    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let has = |value: f64| value.is_finite() && (y.scale != Scale::Log || value > 0.0);
        // Where there is no figure the line is broken.
        for run in self.points.split(|(_, value)| !has(*value)) {
            self.draw_run(svg, run, x, y);
        }
    }

    fn draw_run(&self, svg: &mut String, run: &[(f64, f64)], x: &Axis, y: &Axis) {
        let place = |(at, value): &(f64, f64)| (x.place(*at), y.place(*value));
        let places: Vec<(f64, f64)> = run.iter().map(place).collect();
        let (Some((first, top)), Some((last, _))) = (places.first(), places.last()) else { return };
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let path = path.join(" L");
        let (colour, floor) = (self.colour, y.start);
        if self.look == Look::Area {
            let _ = writeln!(
                svg,
                "<path class=\"{colour} area\" d=\"M{first:.1} {floor:.1} L{path} L{last:.1} \
                 {floor:.1} Z\"/>"
            );
        }
        let dashed = if self.look == Look::Dashed { " dashed" } else { "" };
        let _ = if places.len() == 1 {
            let place = format!("cx=\"{first:.1}\" cy=\"{top:.1}\"");
            writeln!(svg, "<circle class=\"{colour} dot\" {place} r=\"3\"/>")
        } else {
            writeln!(svg, "<path class=\"{colour} line{dashed}\" d=\"M{path}\"/>")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let series = Series { name: "a < b".to_owned(), colour: "c1", look: Look::Area, points };
        Plot {
            label: "test".to_owned(),
            x: "time (s)",
            y: "trades per second".to_owned(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            series: vec![series],
            bands: vec![Band { name: "bank-b is down".to_owned(), from: 2.0, to: 4.0 }],
        }
    }

    #[test]
    fn figures_are_where_they_belong_and_can_be_read_off() {
        let svg = plot(vec![(0.0, 0.0), (5.0, 50.0), (10.0, 100.0)]).svg();
        // The middle of both axes, which end at 10 s and 100/s.
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        let centre = f64::midpoint(TOP, HEIGHT - BOTTOM);
        assert!(svg.contains(&format!("{middle:.1} {centre:.1}")), "{svg}");
        assert!(svg.contains("<title>5 s\na &lt; b: 50</title>"), "{svg}");
        assert!(svg.contains("bank-b is down, 2 to 4 s") && svg.contains(">time (s)<"), "{svg}");
        assert!(!svg.contains("a < b"), "names are escaped");
        let gap = plot(vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0), (4.0, 5.0)]).svg();
        assert_eq!(gap.matches("class=\"c1 line\" d=").count(), 2, "a gap is no line");
    }

    #[test]
    fn nothing_and_zero_on_a_logarithm_draw_nothing_wrong() {
        for points in [vec![], vec![(0.0, 0.0)], vec![(0.0, f64::NAN), (1.0, f64::INFINITY)]] {
            for scale in [Scale::Linear, Scale::Log] {
                let svg = Plot { y_scale: scale, ..plot(points.clone()) }.svg();
                assert!(!svg.contains("d=\"MNaN") && !svg.contains("inf "), "{svg}");
            }
        }
    }

    #[test]
    fn marks_are_round_and_numbers_short() {
        let axis = Axis::of(Scale::Linear, [0.0, 87.0].into_iter(), 0.0, 100.0);
        let marks: Vec<String> = axis.marks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(marks, ["0", "20", "40", "60", "80", "100"]);
        let axis = Axis::of(Scale::Nines, [0.0, 99.99].into_iter(), 0.0, 100.0);
        assert!((axis.place(90.0) - 25.0).abs() < 1e-6 && (axis.place(99.0) - 50.0).abs() < 1e-6);
        let shown = [(0.25, "0.25"), (12_500.0, "12.5k"), (2e6, "2M"), (8_000.0, "8000")];
        for (number, text) in shown {
            assert_eq!(short(number), text);
        }
    }
}
