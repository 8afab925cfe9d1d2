//! The page in a real browser.

mod support;

use std::future::pending;
use std::io;
use std::time::Duration;

use dashboard::Options;
use squall_browser::{Browser, Page};
use squall_net::{block_on, spawn_named};
use support::Program;

/// The number in the tile with this title.
fn tile(title: &str) -> String {
    format!(
        "[...document.querySelectorAll('.tile')].find(tile => tile.querySelector('h3').textContent \
         === '{title}')?.querySelector('p').firstChild.textContent"
    )
}

async fn open(browser: &Browser, program: &Program) -> io::Result<Page> {
    let page = browser.open(&format!("http://{}/", program.address())).await?;
    page.wait_for("document.querySelectorAll('.tile').length > 0").await?;
    Ok(page)
}

#[test]
fn the_page_shows_live_numbers_and_tells_when_the_loop_is_stuck() -> io::Result<()> {
    let program = Program::start(Options::default().interval(Duration::from_millis(100)));
    block_on(async {
        let Some(browser) = Browser::start().await? else { return Ok(()) };
        let page = open(&browser, &program).await?;
        page.wait_for("document.getElementById('connection').textContent === 'live'").await?;
        program.on_loop(|| (0..3).for_each(|_| drop(spawn_named("waits", pending::<()>()))));
        page.wait_for(&format!("{} === '3'", tile("Tasks"))).await?;
        page.wait_for("document.getElementById('tasks').textContent.includes('waits')").await?;
        page.wait_for(&format!("parseFloat({}) > 0", tile("Messages"))).await?;
        assert_eq!(page.evaluate("document.getElementById('banner').hidden").await?, true);

        let line = line!() + 1;
        let stuck = program.stick();
        page.wait_for("!document.getElementById('banner').hidden").await?;
        let told = page.evaluate("document.getElementById('banner').textContent").await?;
        let told = told.as_str().unwrap_or_default();
        assert!(told.starts_with("main is stuck for "), "{told}");
        let origin = format!("In a callback of {}:{line}, for ", file!());
        page.wait_for(&format!(
            "document.getElementById('banner').textContent.includes('{origin}')"
        ))
        .await?;
        drop(stuck);
        page.wait_for("document.getElementById('banner').hidden").await?;

        program.dashboard.stop();
        page.wait_for("document.getElementById('connection').className === 'lost'").await
    })
}

#[test]
fn names_are_text_and_not_html() -> io::Result<()> {
    let program = Program::start(Options::default().interval(Duration::from_millis(100)));
    const NAME: &str = "<img src=x onerror=\"document.title='broken'\"></script>";
    program.on_loop(|| drop(spawn_named(NAME, pending::<()>())));
    block_on(async {
        let Some(browser) = Browser::start().await? else { return Ok(()) };
        let page = open(&browser, &program).await?;
        page.wait_for("document.querySelector('#tasks b') !== null").await?;
        assert_eq!(page.evaluate("document.querySelector('#tasks b').textContent").await?, NAME);
        assert_eq!(page.evaluate("document.querySelectorAll('main img').length").await?, 0);
        // What is inline does not run, whoever puts it there.
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
            .await?;
        page.evaluate("new Promise(done => setTimeout(done, 100))").await?;
        assert_eq!(page.evaluate("document.title").await?, "squall dashboard");
        Ok(())
    })
}

#[test]
fn the_page_fits_a_narrow_screen_and_follows_the_colours_of_the_system() -> io::Result<()> {
    let program = Program::start(Options::default().interval(Duration::from_millis(100)));
    program.on_loop(|| drop(spawn_named("a-long-name-".repeat(20), pending::<()>())));
    block_on(async {
        let Some(browser) = Browser::start().await? else { return Ok(()) };
        let page = open(&browser, &program).await?;
        page.wait_for("document.querySelector('#tasks b') !== null").await?;
        for width in [360, 1400] {
            page.resize(width, 900).await?;
            page.wait_for(&format!("innerWidth === {width}")).await?;
            let overflow = "document.documentElement.scrollWidth - innerWidth";
            assert_eq!(page.evaluate(overflow).await?, 0, "at {width} pixels");
        }
        let background = "getComputedStyle(document.body).backgroundColor";
        let light = page.evaluate(background).await?;
        page.set_dark(true).await?;
        page.wait_for(&format!("{background} !== '{}'", light.as_str().unwrap_or_default())).await
    })
}
