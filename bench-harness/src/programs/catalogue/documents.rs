//! Pictures and pages.

use crate::programs::inputs::{picture, postscript};
use crate::programs::{Program, Step, Work};

pub(super) const IMAGEMAGICK: Program = Program {
    name: "imagemagick",
    stands_for: "picture processing: large buffers of pixels, made and dropped, on two threads",
    does: "resizes, blurs, turns and recolours a picture, and writes it as JPEG and PNG",
    packages: &["imagemagick-6.q16"],
    file: "/usr/bin/convert-im6.q16",
    version: &["--version"],
    quick: false,
    make: |inputs| {
        // A tenth of the amount is a tenth of the pixels.
        let side = inputs.scale.sqrt();
        let (width, height) = ((1_200.0 * side) as usize, (900.0 * side) as usize);
        inputs.write("picture.ppm", &picture(inputs.seed, width.max(64), height.max(48)))
    },
    work: Work::Commands(|place| {
        let convert = |words: &[&str], output: &str| {
            let words: Vec<String> = std::iter::once(place.input("picture.ppm"))
                .chain(words.iter().map(|word| (*word).to_owned()))
                // A file says when it was made.
                .chain(
                    ["+set", "date:create", "+set", "date:modify", "+set", "date:timestamp"]
                        .map(str::to_owned),
                )
                .chain(["-define", "png:exclude-chunks=date,time", output].map(str::to_owned))
                .collect();
            Step { environment: vec![("MAGICK_THREAD_LIMIT", "2")], ..place.step(&words) }
        };
        vec![
            convert(&["-resize", "60%", "-blur", "0x2", "-rotate", "30"], "out.png"),
            convert(&["-colorspace", "Lab", "-modulate", "110", "-unsharp", "0x1"], "out.jpg"),
            convert(&["-colors", "64", "-resize", "50%"], "out.gif"),
        ]
    }),
};

pub(super) const GHOSTSCRIPT: Program = Program {
    name: "ghostscript",
    stands_for: "page description languages: an interpreter with chunks of its own above malloc",
    does: "renders generated pages as pictures and as PDF",
    packages: &["ghostscript"],
    file: "/usr/bin/gs",
    version: &["--version"],
    quick: false,
    make: |inputs| inputs.write("pages.ps", &postscript(inputs.seed, inputs.amount(24))),
    work: Work::Commands(|place| {
        let pages = place.input("pages.ps");
        let gs = |words: &[&str]| {
            let all = ["-q", "-dNOPAUSE", "-dBATCH", "-dSAFER"].iter().chain(words).copied();
            place.step(&all.chain([pages.as_str()]).collect::<Vec<_>>())
        };
        vec![
            gs(&["-sDEVICE=ppmraw", "-r72", "-dTextAlphaBits=4", "-sOutputFile=out%03d.ppm"]),
            // A PDF says when it was made and has a number drawn from that, so it is no output.
            gs(&["-sDEVICE=pdfwrite", "-sOutputFile=written.pdf"]),
        ]
    }),
};
