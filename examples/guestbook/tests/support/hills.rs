//! A picture with something to see.

const WIDTH: u16 = 640;
const HEIGHT: u16 = 360;

/// The number of colours, and of bits of a code less one.
const COLOURS: u8 = 128;

/// Hills in the evening, as a GIF file without compression.
pub(crate) fn hills() -> Vec<u8> {
    let mut gif = b"GIF89a".to_vec();
    gif.extend(WIDTH.to_le_bytes());
    gif.extend(HEIGHT.to_le_bytes());
    gif.extend([0xf6, 0, 0]);
    gif.extend((0..COLOURS).flat_map(colour));
    gif.extend([b',', 0, 0, 0, 0]);
    gif.extend(WIDTH.to_le_bytes());
    gif.extend(HEIGHT.to_le_bytes());
    gif.extend([0, 7]);
    let mut codes = Vec::new();
    for y in 0..i32::from(HEIGHT) {
        for x in 0..i32::from(WIDTH) {
            if x % 100 == 0 {
                codes.push(COLOURS); // clears the table, so that codes stay as short as a byte
            }
            codes.push(pixel(x, y));
        }
    }
    codes.push(COLOURS + 1); // the end
    for block in codes.chunks(255) {
        gif.extend(u8::try_from(block.len()));
        gif.extend(block);
    }
    gif.extend(b"\0;");
    gif
}

/// The red, green and blue of a colour: 96 of the sky, and then those of the hills.
fn colour(number: u8) -> [u8; 3] {
    match number.checked_sub(96) {
        None => [250 - number / 3, 120 + number, 90 + number],
        Some(number) => [70 - number, 62 - number, 90 - number],
    }
}

fn pixel(x: i32, y: i32) -> u8 {
    // Each hill is a parabola.
    let ridge = |base: i32, height: i32, width: i32| {
        let x = x % width;
        base - 4 * height * x * (width - x) / (width * width)
    };
    let is_in_sun = (x - 470).pow(2) + (y - 150).pow(2) < 46_i32.pow(2);
    if is_in_sun {
        0
    } else if y > ridge(340, 90, 440) {
        124
    } else if y > ridge(300, 110, 660) {
        108
    } else {
        u8::try_from(95 * (360 - y) / 360).unwrap_or(95)
    }
}
