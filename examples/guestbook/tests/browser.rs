//! The pages in a real browser. `GUESTBOOK_SCREENSHOTS=DIR` keeps pictures of them.

#[path = "support/hills.rs"]
mod hills;
mod support;

use std::fs;
use std::io;
use std::path::Path;

use hills::hills;
use serde_json::json;
use squall_browser::{Browser, Page};
use squall_net::block_on;
use support::{Directory, Guestbook, picture_files};

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
    // After the script's end: a script whose page goes away has no value.
    let click = "setTimeout(() => document.querySelector('form button').click())";
    page.evaluate(&format!("window.isFormer = true; {click}; null")).await?;
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
    // What looks like a script is text.
    fill(&page, "name", "Eve <b>").await?;
    fill(&page, "message", "<script>document.title = 'hacked'</script>\nשלום & hello").await?;
    send(&page).await?;
    assert_eq!(page.evaluate("document.title").await?, "Guestbook");
    let shown = page.evaluate("document.querySelector('article .message').textContent").await?;
    assert_eq!(shown, "<script>document.title = 'hacked'</script>\nשלום & hello");

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
    assert_eq!(page.evaluate("location.hash").await?, "#entry-2");
    assert_eq!(page.evaluate("document.querySelector('h3').textContent").await?, "Ada");
    page.wait_for("document.querySelector('article img').naturalWidth === 640").await?;
    assert_eq!(picture_files(directory).len(), 1);

    keep(&page, "list").await?;
    for width in [360, 1400] {
        page.resize(width, 900).await?;
        assert_eq!(page.evaluate(FITS).await?, true, "at {width} pixels");
    }
    page.load(&format!("http://{}/none", guestbook.address)).await?;
    keep(&page, "error").await
}

async fn wait_for_database(
    guestbook: &Guestbook,
    database: &Path,
    browser: &Browser,
) -> io::Result<()> {
    let page = browser.open(&format!("http://{}/", guestbook.address)).await?;
    let notice = "document.querySelector('[role=alert]').textContent";
    let sentence = "The entries cannot be read at the moment. Please try again in a few seconds.";
    assert_eq!(page.evaluate(notice).await?, sentence);
    fill(&page, "name", "Ada").await?;
    fill(&page, "message", "Is anybody there?").await?;
    send(&page).await?;
    let notice = page.evaluate(notice).await?;
    assert!(notice.as_str().unwrap().starts_with("The guestbook did not confirm your entry."));
    keep(&page, "away").await?;
    fs::create_dir(database.parent().unwrap())?;
    send(&page).await?;
    let shown = page.evaluate("document.querySelector('article .message').textContent").await?;
    assert_eq!(shown, "Is anybody there?");
    Ok(())
}

#[test]
fn a_form_waits_in_the_browser_while_the_database_is_away() {
    let directory = Directory::new();
    let database = directory.0.join("missing/entries.db");
    let options = ["--database", database.to_str().unwrap()];
    let guestbook = Guestbook::start(&directory.0, &options);
    block_on(async {
        let Some(browser) = Browser::start().await? else { return Ok(()) };
        wait_for_database(&guestbook, &database, &browser).await
    })
    .unwrap();
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
