//! The result as a picture (SVG): a bar for each measurement, a line where it was predicted.

use std::fmt::Write;

use super::report::{Report, described, per_second};
use super::tester::Run;

pub fn draw(report: &Report) -> String {
    let most = report.runs.iter().flat_map(|run| [run.octets_per_second(), run.predicted.unwrap_or(0.0)]);
    let scale = BAR_WIDTH / most.fold(1.0, f64::max);
    let mut rows = String::new();
    let mut y = TOP;
    for run in &report.runs {
        row(&mut rows, run, y, scale);
        y += ROW;
    }
    let (width, height) = (LABEL_WIDTH + BAR_WIDTH + 160.0, y + 40.0);
    let legend = y + 20.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"30\" font-size=\"18\">odile link: {}</text>\n\
         <text x=\"20\" y=\"52\" fill=\"#555\">round trip {:.2} ms</text>\n{rows}\
         <text x=\"20\" y=\"{legend}\" fill=\"#555\">bar: measured, coloured by what limits it; black line: predicted from \
         window, flow and round trip</text>\n</svg>\n",
        escaped(&report.target),
        report.round_trip.median.as_secs_f64() * 1e3,
    )
}

fn row(out: &mut String, run: &Run, y: f64, scale: f64) {
    let width = run.octets_per_second() * scale;
    let middle = y + BAR / 2.0 + 5.0;
    let _ = writeln!(
        out,
        "<text x=\"20\" y=\"{middle:.0}\">{}</text>\n\
         <rect x=\"{LABEL_WIDTH}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{}\"><title>{}</title></rect>",
        escaped(&described(&run.point)),
        colour(run),
        escaped(&run.sentence),
    );
    let mut text_at = LABEL_WIDTH + width;
    if let Some(predicted) = run.predicted {
        let x = LABEL_WIDTH + predicted * scale;
        text_at = text_at.max(x);
        let (from, to) = (y - 2.0, y + BAR + 2.0);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{from:.0}\" x2=\"{x:.1}\" y2=\"{to:.0}\" stroke=\"black\" stroke-width=\"2\"/>"
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.0}\" y=\"{middle:.0}\">{} ({})</text>",
        text_at + 8.0,
        per_second(run.octets_per_second()),
        run.limiter.name()
    );
}

fn colour(run: &Run) -> &'static str {
    match run.limiter.name() {
        "credit" => "#e6a23c",
        "cpu" => "#c45656",
        "disk" => "#8e6bbf",
        "peer" => "#5b8ff9",
        _ => "#529b2e",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const TOP: f64 = 75.0;
const ROW: f64 = 32.0;
const BAR: f64 = 20.0;
const LABEL_WIDTH: f64 = 480.0;
const BAR_WIDTH: f64 = 520.0;

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_name_cannot_break_out_of_its_text() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
