//! A few kinds of SVG elements, in few bytes. The unit is a tenth of a pixel, so that all coordinates are
//! whole numbers.

use std::fmt::{Display, Write as _};

pub type Place = [i32; 2];

/// Elements, each in its class.
#[derive(Default)]
pub struct Svg(String);

impl Svg {
    /// Appends one line of markup.
    fn line(&mut self, markup: impl Display) {
        writeln!(self.0, "{markup}").expect("a String can be written to");
    }

    pub fn text(&mut self, class: &str, [x, y]: Place, text: impl Display) {
        self.line(format_args!(r#"<text class="{class}" x="{x}" y="{y}">{text}</text>"#));
    }

    pub fn disc(&mut self, class: &str, [x, y]: Place, radius: u32) {
        self.line(format_args!(r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"/>"#));
    }

    /// One path of several lines.
    pub fn lines(&mut self, class: &str, lines: impl IntoIterator<Item = Vec<Place>>) {
        let data: String = lines.into_iter().map(|line| data(&line)).collect();
        self.line(format_args!(r#"<path class="{class}" d="{data}"/>"#));
    }

    /// A framed area, outside which nothing of `content` is seen.
    pub fn window(&mut self, [x, y]: Place, [width, height]: Place, content: &Self) {
        self.line(format_args!(r#"<svg x="{x}" y="{y}" width="{width}" height="{height}">"#));
        self.0.push_str(&content.0);
        self.line(r#"<rect class="frame" width="100%" height="100%"/>"#);
        self.line("</svg>");
    }

    /// The whole file.
    pub fn file(&self, [width, height]: Place, title: &str, style: &str) -> String {
        let pixels = format!(r#"width="{}" height="{}""#, width / 10, height / 10);
        let view = format!(r#"viewBox="0 0 {width} {height}""#);
        let body = &self.0;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" {pixels} {view} role="img" aria-labelledby="title">
<title id="title">{title}</title>
<style>{style}</style>
<rect class="page" width="{width}" height="{height}" rx="80"/>
{body}</svg>
"#
        )
    }
}

/// Where the line begins, and then each move; a line that does not move is a dot.
fn data(line: &[Place]) -> String {
    let [x, y] = line[0];
    let mut data = format!("M{x} {y}l");
    let moves = line.windows(2).map(|pair| [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]]);
    for (place, [x, y]) in moves.filter(|step| *step != [0, 0]).enumerate() {
        // A minus parts two numbers as well as a space does.
        let gaps = [x, y].map(|number| if number < 0 { "" } else { " " });
        let first = if place == 0 { "" } else { gaps[0] };
        data += &format!("{first}{x}{}{y}", gaps[1]);
    }
    if data.ends_with('l') {
        data += "0 0";
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_moves() {
        assert_eq!(data(&[[10, 20], [13, 16], [13, 16], [10, 18]]), "M10 20l3-4-3 2");
        assert_eq!(data(&[[10, 20]]), "M10 20l0 0");
    }
}
