"""The notebooks as a student meets them: JupyterLab in a browser, all cells run, sliders moved."""

import io
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image
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
    _looked_at_only(page, path)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    assert page.locator('.jp-OutputArea-output[data-mime-type*="error"]').count() == 0
    explorers = page.locator(".explorer")
    if "explore(" in path.read_text(encoding="utf-8"):
        explorers.last.wait_for()
    for number in range(explorers.count()):
        _move(explorers.nth(number), f"{path.stem}, explorer {number + 1}", report)
    if "Photos()" in path.read_text(encoding="utf-8"):
        _upload(page, explorers)
    if folder := os.environ.get("SCREENSHOTS"):
        _screenshots(page, Path(folder) / path.stem)
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    assert errors == []
    page.close()


def _looked_at_only(page, path: Path) -> None:
    """Opening a notebook changes nothing in it, and shows a still for every explorer."""
    page.wait_for_function(
        "jupyterapp.shell.currentWidget.context.model.getMetadata('language_info').version"
    )
    page.wait_for_timeout(500)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    told = notebook["metadata"]["language_info"].get("version")
    # with another Python than the one that ran it JupyterLab writes the version anew
    if told in (None, platform.python_version()):
        assert not page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty").count()
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    texts = ["".join(output.get("data", {}).get("text/plain", "")) for output in outputs]
    assert not [text for text in texts if text.startswith(("Explorer(", "Photos("))]


def _upload(page, explorers) -> None:
    """Add a photo by the button; a menu or slider of the page has one more entry then."""
    picture = io.BytesIO()
    Image.linear_gradient("L").save(picture, "PNG")
    count = "all => all.map(menu => menu.options.length)"
    ends = "all => all.map(slider => slider.ariaValueMax)"
    menus, handles = explorers.locator("select"), explorers.locator("[role=slider]")
    before = menus.evaluate_all(count), handles.evaluate_all(ends)
    with page.expect_file_chooser() as chooser:
        page.locator("button.widget-upload").first.click()
    file = {"name": "own.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    chooser.value.set_files([file])
    page.get_by_text("own.png is now the last entry").wait_for()
    page.wait_for_timeout(1000)
    assert (menus.evaluate_all(count), handles.evaluate_all(ends)) != before
    assert not explorers.locator("b:text-matches('Error:')").count()


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
