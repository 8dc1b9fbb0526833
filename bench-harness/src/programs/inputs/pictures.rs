//! A picture of soft shapes with grain, and pages of text and curves.

use super::words::sentence;
use crate::random::Random;
use std::fmt::Write;

/// A picture in the format PPM: discs of colour on a slope, with grain as a camera gives it.
pub fn picture(seed: u64, width: usize, height: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let discs: Vec<_> = (0..24)
        .map(|_| {
            let radius = random.between(height / 16, height / 4) as i64;
            let colour = [random.below(256), random.below(256), random.below(256)];
            (random.below(width) as i64, random.below(height) as i64, radius * radius, colour)
        })
        .collect();
    let mut bytes = format!("P6\n{width} {height}\n255\n").into_bytes();
    for y in 0..height {
        for x in 0..width {
            let inside = |&&(left, top, square, _): &&(i64, i64, i64, [usize; 3])| {
                let (across, down) = (x as i64 - left, y as i64 - top);
                across * across + down * down < square
            };
            let slope = [x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)];
            let colour = discs.iter().rev().find(inside).map_or(slope, |disc| disc.3);
            let grain = random.below(16);
            bytes.extend(colour.map(|channel| (channel * 15 / 16 + grain).min(255) as u8));
        }
    }
    bytes
}

/// So many pages in PostScript: text in several sizes, curves, fills, and a procedure that draws
/// dashes.
pub fn postscript(seed: u64, pages: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let mut text = String::from(
        "%!PS-Adobe-3.0\n/dashes { 0 1 40 { dup 5 mul 20 add exch 77 mod 3 mul 40 add moveto 10 20 rlineto \
         stroke } for } def\n",
    );
    for page in 0..pages {
        let _ = writeln!(text, "%%Page: {0} {0}", page + 1);
        for line in 0..40 {
            let (size, words) = (random.between(6, 14), random.between(4, 14));
            let face = ["Helvetica", "Times-Roman", "Courier"][random.below(3)];
            let _ = write!(
                text,
                "/{face} findfont {size} scalefont setfont 50 {} moveto ",
                760 - line * 18
            );
            let _ = writeln!(text, "({}) show", sentence(random, words));
        }
        for _ in 0..60 {
            let mut place = || random.between(30, 550);
            let curve = [place(), place(), place(), place(), place(), place(), place(), place()];
            let _ = write!(text, "newpath {} {} moveto ", curve[0], curve[1]);
            let _ = write!(text, "{} {} {} ", curve[2], curve[3], curve[4]);
            let _ = write!(
                text,
                "{} {} {} curveto 0.{} setgray ",
                curve[5],
                curve[6],
                curve[7],
                random.below(9)
            );
            let paint = ["stroke", "closepath fill", "closepath eofill"][random.below(3)];
            let _ = writeln!(text, "{paint}");
        }
        text.push_str("0 setgray dashes showpage\n");
    }
    text.push_str("%%EOF\n");
    text.into_bytes()
}
