//! A browser: Chromium, without a screen, driven by `WebDriver`.

mod axe;
mod driver;
mod wire;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

pub use self::axe::Axe;
use self::driver::Driver;
use crate::{
    ns::Namespace,
    skip::skip,
    wait::{SOON, eventually},
};

/// Names a folder into which [`Browser::show`] puts what it sees.
const SCREENSHOTS: &str = "WEIR_SCREENSHOTS";
/// Of a window, width and height.
const LARGE: (u32, u32) = (800, 680);
/// The key that an element is known by (`WebDriver`, 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys, as `WebDriver` writes them (17.4.2).
pub mod key {
    /// To the next field.
    pub const TAB: &str = "\u{e004}";
    /// To send a form.
    pub const ENTER: &str = "\u{e007}";
}

/// How a browser is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// As usual.
    Run,
    /// Pages may run none.
    Blocked,
}

/// A browser with a profile of its own; it ends on drop.
#[derive(Debug)]
pub struct Browser<'a> {
    driver: Driver<'a>,
}

impl<'a> Browser<'a> {
    /// One in a namespace, to which every name below `example.com` leads to `server`;
    /// `None`, the test being skipped, where there can be none.
    pub fn for_test(
        namespace: &'a Namespace,
        server: &str,
        scripts: Scripts,
    ) -> Result<Option<Self>> {
        if let Some(missing) = driver::missing() {
            skip(&format!("there is no {missing}"));
            return Ok(None);
        }
        match Driver::start(namespace, server, scripts)? {
            Ok(driver) => Ok(Some(Self { driver })),
            Err(reason) => {
                skip(&format!("Chromium does not start: {reason}"));
                Ok(None)
            }
        }
    }

    /// Goes to an address, and waits for the page.
    pub fn go(&self, url: &str) -> Result<()> {
        self.driver.post("/url", &json!({ "url": url })).map(drop)
    }

    /// Where it is.
    pub fn url(&self) -> Result<String> {
        text(&self.driver.get("/url")?)
    }

    /// All text of the page, as it is seen.
    pub fn page(&self) -> Result<String> {
        let body = self.element("body")?;
        text(&self.driver.get(&format!("/element/{body}/text"))?)
    }

    /// Waits for a page that says so, and gives all of its text.
    pub fn waits_for(&self, said: &str) -> Result<String> {
        let page = eventually(SOON, || self.page().ok().filter(|page| page.contains(said)));
        page.with_context(|| format!("{said:?} is not on {:?}: {:?}", self.url(), self.page()))
    }

    /// Writes into the field of a CSS selector.
    pub fn fill(&self, selector: &str, value: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.driver.post(&format!("/element/{element}/value"), &json!({ "text": value })).map(drop)
    }

    /// Clicks on what a CSS selector finds.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.driver.post(&format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Clicks on the link of that text.
    pub fn follow(&self, link: &str) -> Result<()> {
        let element = self.find("link text", link)?;
        self.driver.post(&format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Presses keys one after another, wherever the page has the focus.
    pub fn types(&self, keys: &str) -> Result<()> {
        let presses = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key.to_string() }))
        });
        let presses: Vec<Value> = presses.collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": presses });
        self.driver.post("/actions", &json!({ "actions": [keyboard] })).map(drop)
    }

    /// Value of an attribute of what has the focus.
    pub fn focused(&self, attribute: &str) -> Result<String> {
        let active = self.driver.get("/element/active")?;
        let element = active[ELEMENT].as_str().context("nothing has the focus")?;
        text(&self.driver.get(&format!("/element/{element}/attribute/{attribute}"))?)
    }

    /// Forgets every cookie.
    pub fn forget(&self) -> Result<()> {
        self.driver.devtools("Network.clearBrowserCookies", &json!({}))
    }

    /// Errors that the page made: what its policy forbids, too.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let all = self.driver.post("/se/log", &json!({ "type": "browser" }))?;
        let all = all.as_array().context("no list")?;
        all.iter().map(|entry| text(&entry["message"])).collect()
    }

    /// Keeps what it shows as `NAME-light.png`, `-dark` and `-phone`, where somebody wants
    /// to look at it.
    pub fn show(&self, name: &str) -> Result<()> {
        for (kind, scheme, size) in
            [("light", "light", LARGE), ("dark", "dark", LARGE), ("phone", "light", (360, 640))]
        {
            self.window(size, scheme)?;
            self.keep(&format!("{name}-{kind}"))?;
        }
        self.window(LARGE, "light")
    }

    /// Keeps what it shows as `NAME.png`, where somebody wants to look at it.
    pub fn keep(&self, name: &str) -> Result<()> {
        let Some(folder) = std::env::var_os(SCREENSHOTS).map(PathBuf::from) else {
            return Ok(());
        };
        fs::create_dir_all(&folder)?;
        let picture = text(&self.driver.get("/screenshot")?)?;
        fs::write(folder.join(format!("{name}.png")), STANDARD.decode(picture)?)?;
        Ok(())
    }

    /// What the body of a function returns, run in the page.
    pub fn run(&self, body: &str) -> Result<Value> {
        self.driver.post("/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// What the body of an `async` function comes to, run in the page.
    pub fn await_script(&self, body: &str) -> Result<Value> {
        let done = format!(
            "const done = arguments[arguments.length - 1]; \
             (async () => {{ {body} }})().then(done, (error) => done(String(error)));"
        );
        self.driver.post("/execute/async", &json!({ "script": done, "args": [] }))
    }

    /// Waits until the body of a function returns what is true of the page.
    pub fn waits_until(&self, body: &str) -> Result<()> {
        let holds = || self.run(body).ok().filter(|value| *value == Value::Bool(true));
        eventually(SOON, holds)
            .map(drop)
            .with_context(|| format!("never true: {body}; on {:?}: {:?}", self.url(), self.page()))
    }

    /// Drags over the middle half of what a CSS selector finds.
    pub fn drag(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        let width = format!(
            "return Math.round(document.querySelector({selector:?}).getBoundingClientRect().width)"
        );
        let quarter = self.run(&width)?.as_i64().context("no width")? / 4;
        let origin = json!({ ELEMENT: element });
        let to = |x: i64| json!({ "type": "pointerMove", "origin": origin, "x": x, "y": 0 });
        let button = |what: &str| json!({ "type": what, "button": 0 });
        let moves = [to(-quarter), button("pointerDown"), to(0), to(quarter), button("pointerUp")];
        let mouse = json!({
            "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" },
            "actions": moves,
        });
        self.driver.post("/actions", &json!({ "actions": [mouse] })).map(drop)
    }

    /// Gives it a window of that width and height. `scheme`: `light` or `dark`, as the user
    /// prefers.
    pub fn window(&self, (width, height): (u32, u32), scheme: &str) -> Result<()> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.driver.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }))?;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.driver.devtools("Emulation.setDeviceMetricsOverride", &metrics)
    }

    fn element(&self, selector: &str) -> Result<String> {
        self.find("css selector", selector)
    }

    fn find(&self, using: &str, value: &str) -> Result<String> {
        let found = self.driver.post("/element", &json!({ "using": using, "value": value }))?;
        text(&found[ELEMENT])
    }
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("no text: {value}"))
}
