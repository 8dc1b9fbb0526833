//! A headless Chromium, driven through the pipe of its DevTools: messages are JSON, each ended by a
//! zero byte.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A browser with one page; ends with this value.
pub struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
    /// What the browser said unasked.
    events: Vec<Value>,
}

impl Browser {
    /// Starts it; `folder` takes what it keeps.
    pub fn start(folder: &Path) -> Self {
        // DevTools' pipe is at the descriptors 3 and 4. A browser that hangs is ended.
        let script = "exec timeout 300 chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", "--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--remote-debugging-pipe", "--hide-scrollbars", "--no-first-run"]);
        command.arg(format!("--user-data-dir={}", folder.join("browser").display()));
        let mut process = command
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let to = process.stdin.take().expect("it is piped");
        let from = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut browser = Self { process, to, from, session: None, sent: 0, events: Vec::new() };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({}));
        }
        browser
    }

    /// The result of a method.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        self.to.write_all(&text).expect("the browser listens");
        loop {
            let heard = self.hear();
            if heard["id"] == json!(self.sent) {
                assert!(heard["error"].is_null(), "{method}: {}", heard["error"]);
                return heard["result"].clone();
            }
            self.events.push(heard);
        }
    }

    fn hear(&mut self) -> Value {
        let mut text = Vec::new();
        self.from.read_until(0, &mut text).expect("the browser can be heard");
        assert_eq!(text.pop(), Some(0), "the browser ended; is chromium installed?");
        serde_json::from_slice(&text).expect("it speaks JSON")
    }

    /// Shows a file in a window of this width, in light or dark, and waits until it is loaded.
    pub fn show(&mut self, page: &Path, width: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}),
        );
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        let loaded = |event: &Value| event["method"] == json!("Page.loadEventFired");
        self.events.retain(|event| !loaded(event));
        self.call("Page.navigate", json!({"url": format!("file://{}", page.display())}));
        while !self.events.iter().any(loaded) {
            let event = self.hear();
            self.events.push(event);
        }
    }

    /// The value of an expression.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What has stood in the console so far: messages, warnings and errors.
    pub fn console(&self) -> Vec<&Value> {
        let methods = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"];
        let said = |event: &&Value| methods.iter().any(|method| event["method"] == json!(method));
        self.events.iter().filter(said).collect()
    }

    /// Keeps a picture of the page, from its top to this height at most.
    pub fn picture(&mut self, highest: u32, path: &Path) {
        let size = self.value("[innerWidth, document.documentElement.scrollHeight]");
        let height = size[1].as_u64().unwrap_or(900).min(u64::from(highest));
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1});
        let shot = self.call(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
        );
        let text = shot["data"].as_str().expect("a picture");
        std::fs::write(path, decoded(text)).expect("the folder is writable");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The bytes that base 64 stands for.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').collect();
    let mut bytes = Vec::new();
    for group in letters.chunks(4) {
        let number = group.iter().fold(0_u32, |sum, letter| (sum << 6) | u32::from(digit(*letter)));
        let number = number << (6 * (4 - group.len()));
        bytes.extend_from_slice(&number.to_be_bytes()[1..group.len()]);
    }
    bytes
}

#[test]
fn base_64_is_decoded() {
    assert_eq!(decoded("aGFsbG8="), b"hallo");
    assert_eq!(decoded("aGFsbG8h"), b"hallo!");
    assert_eq!(decoded("/+8="), [0xff, 0xef]);
}
