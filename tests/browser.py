"""Looks at the site in Chromium: ``python tests/browser.py SITE TARGET`` takes screenshots.

A page is shown in a frame of the width of a screen. The frame's page tells whether something is
wider than the screen.
"""

import contextlib
import functools
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

WIDTHS = (1280, 390)
#: On a wider screen, no code scrolls.
WIDE = 1200
HEIGHT = 1400
THEMES = ("light", "dark")
#: The pages of the screenshots.
PAGES = ("index", "quickstart", "fastapi", "configuration", "reference")

#: Shows pages one after the other, and tells how many pixels each is too wide.
FRAME = """<!doctype html>
<style>body { margin: 0 } iframe { border: 0; height: HEIGHTpx }</style>
<pre hidden></pre>
<script>
const query = new URLSearchParams(location.search);
localStorage.setItem("theme", query.get("theme"));
const frame = document.createElement("iframe");
frame.style.width = query.get("width") + "px";
document.body.prepend(frame);
async function show(page) {
  const loaded = new Promise(resolve => frame.onload = resolve);
  frame.src = page + ".html";
  await loaded;
  const root = frame.contentDocument.documentElement;
  // On a phone, code and tables scroll within their boxes.
  const boxes = WIDE < query.get("width") ? frame.contentDocument.querySelectorAll("pre") : [];
  const beyond = [root, ...boxes].map(box => box.scrollWidth - box.clientWidth);
  return Math.max(...beyond);
}
(async () => {
  const wide = {};
  for (const page of query.get("pages").split(",")) wide[page] = await show(page);
  document.querySelector("pre").textContent = JSON.stringify(wide);
})();
</script>
"""


def chromium() -> str | None:
    """Return the path of Chromium, if it is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if not self.path.startswith("/frame?"):
            return super().do_GET()
        body = FRAME.replace("HEIGHT", str(HEIGHT)).replace("WIDE", str(WIDE)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Browser:
    """Chromium, and a server of the site."""

    def __init__(self, url: str, profile: str) -> None:
        self._url = url
        self._command = [
            chromium() or "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=60000",
        ]

    def overflows(self, pages: list[str], width: int) -> dict[str, int]:
        """Return the pages that are wider than a screen, each with the pixels beyond it."""
        output = self._run("--dump-dom", pages=pages, width=width)
        found = re.search(r"<pre[^>]*>(\{.*?\})</pre>", output)
        assert found, output
        wide: dict[str, int] = json.loads(found[1])
        assert set(wide) == set(pages)
        return {page: pixels for page, pixels in wide.items() if pixels > 0}

    def screenshot(self, page: str, width: int, theme: str, target: pathlib.Path) -> None:
        self._run(f"--screenshot={target}", pages=[page], width=width, theme=theme)

    def _run(self, option: str, *, pages: list[str], width: int, theme: str = "light") -> str:
        url = f"{self._url}/frame?width={width}&theme={theme}&pages={','.join(pages)}"
        command = [*self._command, option, f"--window-size={width},{HEIGHT}", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def browse(site: pathlib.Path) -> Iterator[Browser]:
    """Serve a site to Chromium."""
    handler = functools.partial(_Handler, directory=str(site))
    with (
        tempfile.TemporaryDirectory() as profile,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
    ):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Browser(f"http://127.0.0.1:{server.server_port}", profile)
        finally:
            server.shutdown()
            thread.join()


def main(site: pathlib.Path, target: pathlib.Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with browse(site) as browser:
        for page in PAGES:
            for width in WIDTHS:
                for theme in THEMES:
                    file = target / f"{page}-{width}-{theme}.png"
                    browser.screenshot(page, width, theme, file)
                    print(file)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve())
