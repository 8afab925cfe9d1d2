//! The pages in a real browser. `GUESTBOOK_SCREENSHOTS=DIR` keeps pictures of them.

mod support;

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;
use squall_browser::{Browser, Page};
use squall_net::block_on;
use support::{Directory, Guestbook, picture_files};

/// A picture with something to see: hills in the evening, as a GIF without compression.
fn hills() -> Vec<u8> {
    const WIDTH: u16 = 640;
    const HEIGHT: u16 = 360;
    let mut gif = b"GIF89a".to_vec();
    gif.extend(WIDTH.to_le_bytes());
    gif.extend(HEIGHT.to_le_bytes());
    gif.extend([0xf6, 0, 0]); // 128 colours
    for colour in 0..128_u8 {
        let [red, green, blue] = if colour < 96 {
            [250 - colour / 3, 120 + colour, 90 + colour] // the sky
        } else {
            [70 - (colour - 96), 62 - (colour - 96), 90 - (colour - 96)] // the hills
        };
        gif.extend([red, green, blue]);
    }
    gif.push(b',');
    gif.extend([0; 4]);
    gif.extend(WIDTH.to_le_bytes());
    gif.extend(HEIGHT.to_le_bytes());
    gif.extend([0, 7]); // codes of eight bits, as long as the table is cleared in time
    let pixel = |x: f32, y: f32| {
        let ridge = |base: f32, height: f32, length: f32| base - height * (x / length).sin().abs();
        if (x - 470.0).hypot(y - 150.0) < 46.0 {
            0
        } else if y > ridge(340.0, 90.0, 140.0) {
            124
        } else if y > ridge(300.0, 110.0, 210.0) {
            108
        } else {
            (95.0 * (1.0 - y / 360.0)) as u8
        }
    };
    let mut codes = Vec::new();
    for (number, place) in (0..u32::from(WIDTH) * u32::from(HEIGHT)).enumerate() {
        if number % 100 == 0 {
            codes.push(128); // clears the table
        }
        let (x, y) = (place % u32::from(WIDTH), place / u32::from(WIDTH));
        codes.push(pixel(x as f32, y as f32));
    }
    codes.push(129); // the end
    for block in codes.chunks(255) {
        gif.push(u8::try_from(block.len()).unwrap());
        gif.extend(block);
    }
    gif.extend(b"\0;");
    gif
}

/// Types into a field, as far as scripts of the page can tell.
async fn fill(page: &Page, field: &str, text: &str) -> io::Result<()> {
    let (field, text) = (json!(field), json!(text));
    let script = format!(
        "{{ const field = document.getElementById({field}); field.value = {text}; \
         field.dispatchEvent(new Event('input', {{ bubbles: true }})); }}"
    );
    page.evaluate(&script).await.map(drop)
}

/// Sends the form, and waits until the next page has loaded.
async fn send(page: &Page) -> io::Result<()> {
    page.evaluate("window.isFormer = true; document.querySelector('form button').click()").await?;
    page.wait_for("!window.isFormer && document.readyState === 'complete'").await
}

/// The visible sentence beside a field. It must be below the field, and named by it.
async fn problem(page: &Page, field: &str) -> io::Result<String> {
    let script = format!(
        "(() => {{ const field = document.getElementById({field:?}); \
         const sentence = document.getElementById(field.getAttribute('aria-describedby')); \
         const [above, below] = [field, sentence].map(element => element.getBoundingClientRect()); \
         return below.top >= above.bottom && below.top - above.bottom < 40 && below.height > 0 \
             ? sentence.textContent : 'not beside the field'; }})()"
    );
    Ok(page.evaluate(&script).await?.as_str().unwrap_or_default().to_owned())
}

/// Keeps pictures of the page, if they are asked for.
async fn keep(page: &Page, name: &str) -> io::Result<()> {
    let Some(directory) = std::env::var_os("GUESTBOOK_SCREENSHOTS") else { return Ok(()) };
    for (width, height, is_dark, suffix) in [
        (1400, 900, false, "wide"),
        (1400, 900, true, "wide-dark"),
        (360, 780, false, "narrow"),
        (360, 780, true, "narrow-dark"),
    ] {
        page.resize(width, height).await?;
        page.set_dark(is_dark).await?;
        page.screenshot(Path::new(&directory).join(format!("{name}-{suffix}.png"))).await?;
    }
    page.set_dark(false).await
}

/// Whether nothing is wider than the window.
const FITS: &str = "document.documentElement.scrollWidth <= window.innerWidth";

async fn visit(guestbook: &Guestbook, directory: &Directory, browser: &Browser) -> io::Result<()> {
    let page = browser.open(&format!("http://{}/", guestbook.address)).await?;
    // Without a name, the form comes back with what was typed.
    fill(&page, "message", "The view from the hut, an hour before the storm.").await?;
    send(&page).await?;
    assert_eq!(problem(&page, "name").await?, "Please enter your name.");
    let typed = page.evaluate("document.getElementById('message').value").await?;
    assert_eq!(typed, "The view from the hut, an hour before the storm.");
    assert_eq!(page.evaluate("document.activeElement.id").await?, "name");
    keep(&page, "problem").await?;

    // A picture that is too large is refused before it is sent.
    let file = directory.0.join("large.gif");
    fs::write(&file, [&hills()[..], &vec![0; 2 << 20]].concat())?;
    page.choose_file("#picture", &file).await?;
    page.wait_for("document.getElementById('picture-problem') !== null").await?;
    let sentence = "Please choose a picture of at most 2 MiB.";
    assert_eq!(problem(&page, "picture").await?, sentence);

    let file = directory.0.join("hills.gif");
    fs::write(&file, hills())?;
    page.choose_file("#picture", &file).await?;
    page.wait_for("document.getElementById('preview').naturalWidth === 640").await?;
    fill(&page, "name", "Ada").await?;
    send(&page).await?;
    assert_eq!(page.evaluate("location.hash").await?, "#entry-1");
    assert_eq!(page.evaluate("document.querySelector('h3').textContent").await?, "Ada");
    page.wait_for("document.querySelector('article img').naturalWidth === 640").await?;
    assert_eq!(picture_files(directory).len(), 1);

    // What looks like a script is text.
    fill(&page, "name", "Grace <b>").await?;
    fill(&page, "message", "<script>document.title = 'hacked'</script>\nשלום & hello").await?;
    send(&page).await?;
    assert_eq!(page.evaluate("document.title").await?, "Guestbook");
    let shown = page.evaluate("document.querySelector('article .message').textContent").await?;
    assert_eq!(shown, "<script>document.title = 'hacked'</script>\nשלום & hello");
    keep(&page, "list").await?;
    for width in [360, 1400] {
        page.resize(width, 900).await?;
        assert_eq!(page.evaluate(FITS).await?, true, "at {width} pixels");
    }
    page.load(&format!("http://{}/none", guestbook.address)).await?;
    keep(&page, "error").await
}

#[test]
fn a_visitor_sees_what_is_wrong_and_then_the_entry_with_its_picture() {
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &[]);
    block_on(async {
        let Some(browser) = Browser::start().await? else { return Ok(()) };
        visit(&guestbook, &directory, &browser).await
    })
    .unwrap();
}
