"""The notebooks as a student and a room meet them: in a browser, as a page and as slides.

Every slider is moved there by a key. With `SCREENSHOTS=folder` every cell and every slide is kept
as a picture, and the slides of a lecture on one sheet.
"""

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

from lecture_utils import plots
from tests import slides

HERE, ROOT = Path(__file__).parent, Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NO_HOME = "/dev/null/home"  # not even root can make it
PRESSES = int(os.environ.get("PRESSES", 1))  # key presses to and fro measured for each slider
SETTINGS = {
    # a test must not save into the repository
    "docmanager-extension/plugin": '{"autosave": false}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
NO_FLIGHT = '{"default_transition": "none"}'  # as `make present` sets it
SCREEN = {"width": 1280, "height": 720}  # pixels, a projector's
SMALLEST_TEXT, SMALLEST_CODE = 24, 20  # pixels
SMALLEST_PICTURE = 150  # pixels, its longer side

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
  // it does not bubble: on a slide the same key would also turn over to the next one
  handle.dispatchEvent(new KeyboardEvent('keydown', {key, cancelable: true}))
})
"""

# What code prints in the kernel of the notebook, or the error that it ends with
IN_KERNEL = """
code => new Promise(resolve => {
  let said = ''
  const run = jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code})
  run.onIOPub = ({content}) => { said += content.text ?? content.traceback?.join('\\n') ?? '' }
  run.done.then(() => resolve(said))
})
"""

# Resolves when the slide's pictures are decoded and have their place.
DRAWN = """
() => Promise.all([...document.querySelectorAll('.reveal section.present img')].map(
  picture => picture.decode().catch(() => {})
)).then(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))))
"""

# What is wrong with the slide that is shown, as a list of sentences.
FAULTS = """
([text, code, picture]) => {
  const slide = [...document.querySelectorAll('.reveal .slides section.present')].pop()
  const faults = []
  const seen = node => node.checkVisibility() && node.getBoundingClientRect().width > 0
  const {scrollHeight, clientHeight, scrollWidth, clientWidth} = slide
  if (scrollHeight > clientHeight + 1 || scrollWidth > clientWidth + 1)
    faults.push(`${scrollWidth}x${scrollHeight} pixels on ${clientWidth}x${clientHeight}`)
  const pictures = [...slide.querySelectorAll('img')].filter(seen)
  for (const {left, right, top, bottom} of pictures.map(p => p.getBoundingClientRect())) {
    if (Math.max(right - left, bottom - top) < picture)
      faults.push(`a picture of ${Math.round(right - left)}x${Math.round(bottom - top)}`)
    if (left < 0 || top < 0 || right > innerWidth + 1 || bottom > innerHeight + 1)
      faults.push('a picture that is cut')
  }
  for (const printed of [...slide.querySelectorAll('.jp-OutputArea-output pre')].filter(seen)) {
    const lines = printed.textContent.trimEnd().split('\\n').length
    const range = document.createRange()
    range.selectNodeContents(printed)
    const height = parseFloat(getComputedStyle(printed).lineHeight)
    if (range.getBoundingClientRect().height > (lines + 0.5) * height)
      faults.push(`a line too long: ${printed.textContent.slice(0, 40)}`)
  }
  const walker = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT)
  let words = 0
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, said = walker.currentNode.data.trim()
    if (!said || !seen(node) || node.closest('style, aside, select')) continue
    words += 1
    const size = parseFloat(getComputedStyle(node).fontSize)
    const least = node.closest('pre, code, .cm-editor') ? code : text
    if (size < least - 0.01) faults.push(`${size} pixels: ${said.slice(0, 40)}`)
    const box = node.getBoundingClientRect()
    if (box.bottom > innerHeight + 1 || box.right > innerWidth + 1)
      faults.push(`cut: ${said.slice(0, 40)}`)
  }
  if (!words) faults.push('no text')
  return faults
}
"""


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory):
    """One server for all notebooks; gives its address."""
    home = tmp_path_factory.mktemp("jupyter")
    settings = {f"@jupyterlab/{name}": text for name, text in SETTINGS.items()}
    for name, text in (settings | {"sliveshow/plugin": NO_FLIGHT}).items():
        file = home / "settings" / f"{name}.jupyterlab-settings"
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
    places = {f"JUPYTER_{kind}_DIR": str(home / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | places | {"HOME": NO_HOME, "IPYTHONDIR": f"{NO_HOME}/ipython"}
    with open(home / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
        )
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


# The first lecture stands for all in `make test`
LECTURES = [NOTEBOOKS[0], *(pytest.param(path, marks=pytest.mark.slow) for path in NOTEBOOKS[1:])]


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_notebook_in_jupyterlab(path: Path, browser, jupyterlab: str, report: list) -> None:
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
    assert page.evaluate(IN_KERNEL, (HERE / "offline.py").read_text(encoding="utf-8")) == ""
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    assert page.locator('.jp-OutputArea-output[data-mime-type*="error"]').count() == 0
    explorers = page.locator(".explorer")
    if "explore(" in path.read_text(encoding="utf-8"):
        explorers.last.wait_for()
    for number in range(explorers.count()):
        _move(explorers.nth(number), f"{path.stem}, explorer {number + 1}", report)
    _talk(page, path, report)
    if "Photos()" in path.read_text(encoding="utf-8"):
        _upload(page, explorers)
    assert not page.locator(".jp-OutputArea-output", has_text="Traceback").count()
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


def _move(explorer, name: str, report: list) -> None:
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
        keys = ["ArrowRight", "ArrowLeft"] * PRESSES
        times = [slider.evaluate(f"(handle, key) => ({MEASURE})([handle, key])", k) for k in keys]
        times = [value for value in times if value is not None]
        if times:  # a slider may have no effect where another one stands, a share at 0 for instance
            moved.append(label)
            report.append((f"{name}, {label}", statistics.median(times)))
    assert moved or not sliders, f"{name}: no slider changes anything"
    assert not explorer.locator("b:text-matches('Error:')").count(), f"{name} shows an error"


def _talk(page, path: Path, report: list) -> None:
    """Every slide of the lecture: it fits, can be read, says what it should, and moves."""
    page.set_viewport_size(SCREEN)
    page.get_by_role("menuitem", name="Sliveshow").click()
    page.get_by_text("Start from first cell (full screen)").click()
    page.locator(".reveal.ready").wait_for()
    shown = page.locator(".reveal .slides section section.present")
    expected = slides.read(path)
    faults, pictures, folder = [], [], os.environ.get("SCREENSHOTS")
    for number, slide in enumerate(expected, 1):
        name = f"{path.stem}, slide {number}"
        page.evaluate(DRAWN)
        assert shown.locator(":is(h1, h2, h3)").inner_text().split() == slide.heading.split()
        limits = [SMALLEST_TEXT, SMALLEST_CODE, SMALLEST_PICTURE]
        faults += [f"{name}: {fault}" for fault in page.evaluate(FAULTS, limits)]
        for explorer in shown.locator(".explorer").all():
            _move(explorer, name, report)
        if folder:
            pictures.append(Image.open(io.BytesIO(page.screenshot())))
        page.keyboard.press("n")
    if folder:
        _sheet(pictures, Path(folder) / path.stem)
    page.evaluate("jupyterapp.commands.execute('slideshow:exit')")
    page.locator(".reveal").wait_for(state="detached")
    page.set_viewport_size({"width": 1400, "height": 1000})
    assert faults == []


def _sheet(pictures: list[Image.Image], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, 1):
        picture.save(folder / f"slide_{number:02d}.png")
    small = [picture.resize((640, 360)) for picture in pictures]
    sheet = Image.fromarray(plots.beside(small, width=4 * 640 + 3 * 16))
    sheet.save(folder / "slides.png")


def _screenshots(page, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(page.locator(".jp-Cell").all()):
        cell.scroll_into_view_if_needed()
        cell.screenshot(path=folder / f"cell_{number:02d}.png")
