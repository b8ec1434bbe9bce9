"""The notebooks as a student meets them: JupyterLab in a browser, all cells run, sliders moved."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PRESSES = 4  # key presses measured for each slider
SETTINGS = {
    # a test must not save into the repository
    "docmanager-extension/plugin": '{"autosave": false}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}

# Resolves with the milliseconds from the key press to the last change of a picture or text that
# it brought about, pictures decoded, or with null if nothing changed within three seconds.
MEASURE = """
([handle, key]) => new Promise(resolve => {
  const explorer = handle.closest('.explorer')
  let start, last = null, pending = 0, quiet
  const settle = () => {
    clearTimeout(quiet)
    quiet = setTimeout(finish, last === null ? 3000 : 120)
  }
  const finish = () => {
    if (pending) return settle()
    watcher.disconnect()
    resolve(last === null ? null : last - start)
  }
  const watcher = new MutationObserver(changes => {
    for (const {target} of changes) {
      if (target.closest?.('.widget-slider')) continue  // the slider itself
      last = performance.now()
      if (target.tagName === 'IMG') {
        pending += 1
        target.decode().catch(() => {}).then(() => { pending -= 1; last = performance.now() })
      }
    }
    settle()
  })
  const changes = {subtree: true, childList: true, attributes: true, attributeFilter: ['src']}
  watcher.observe(explorer, changes)
  settle()
  start = performance.now()
  handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}))
})
"""


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory):
    """One server for all notebooks; gives its address."""
    home = tmp_path_factory.mktemp("jupyter")
    for name, text in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", f"--ServerApp.root_dir={ROOT}", "--allow-root"]
    command += ["--IdentityProvider.token="]
    command += [
        "--LabApp.expose_app_in_browser=True",
        f"--LabApp.user_settings_dir={home}/settings",
    ]
    command += [f"--LabApp.workspaces_dir={home}/workspaces"]
    with open(home / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (home / "log").read_text(encoding="utf-8")
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path  # what `playwright install chromium` brings
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which(own)
        if found is None:
            # an integration machine must not pass because it looked at nothing
            stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            stop("no Chromium on this computer: `python -m playwright install chromium` brings one")
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_in_jupyterlab(path: Path, browser, jupyterlab: str, report: list[str]) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(240_000)
    errors = []
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else 0
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    # a workspace of its own: the default one would open the notebooks tested before as well
    page.goto(f"{jupyterlab}/lab/workspaces/{path.stem}/tree/notebooks/{path.name}")
    page.wait_for_selector(".jp-NotebookPanel-toolbar")
    page.wait_for_function(
        "jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    assert page.locator('.jp-OutputArea-output[data-mime-type*="error"]').count() == 0
    explorers = page.locator(".explorer")
    if "explore(" in path.read_text(encoding="utf-8"):
        explorers.last.wait_for()
    for number in range(explorers.count()):
        _move(explorers.nth(number), f"{path.stem}, explorer {number + 1}", report)
    if folder := os.environ.get("SCREENSHOTS"):
        _screenshots(page, Path(folder) / path.stem)
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    assert errors == []
    page.close()


def _move(explorer, name: str, report: list[str]) -> None:
    explorer.scroll_into_view_if_needed()
    assert explorer.locator("img.widget-image, .widget-html").count()
    moved = []
    sliders = explorer.locator("[role=slider]").element_handles()
    for slider in sliders:
        label = slider.evaluate(
            "handle => handle.closest('.widget-inline-hbox').querySelector('label').textContent"
        )
        assert label, f"{name}: a slider without a label"
        slider.focus()
        keys = ["ArrowRight", "ArrowLeft"] * (PRESSES // 2)
        times = [slider.evaluate(f"(handle, key) => ({MEASURE})([handle, key])", k) for k in keys]
        times = [value for value in times if value is not None]
        if times:  # a slider may have no effect where another one stands, a share at 0 for instance
            moved.append(label)
            report.append(f"{name}, {label}: median {statistics.median(times):.0f} ms")
    assert moved or not sliders, f"{name}: no slider changes anything"
    assert not explorer.locator("b:text-matches('Error:')").count(), f"{name} shows an error"


def _screenshots(page, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(page.locator(".jp-Cell").all()):
        cell.scroll_into_view_if_needed()
        cell.screenshot(path=folder / f"cell_{number:02d}.png")
