"""Pictures of the console for the README: docs/images/*.png, of a platform that runs.

    headrace demo ──► sign in ──► page by page in Chromium ──► 256 colours ──► docs/images

Usage: python -m tools.screenshots --url http://127.0.0.1:8470 --user admin --password '…'
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
BYTES_MAX = 150_000
SETTLE_MS = 3_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]
PRESS = "acme/suzhou/press-shop/line-1/press-2"
TREND = [f"{PRESS}/{name}" for name in ("bearing.vibration", "oil.temperature", "pump.pressure")]
# Name, address, width, height, theme, language.
SHOTS = (
    ("overview", "/", 1440, 900, "light", "en"),
    ("overview-zh", "/", 1440, 900, "light", "zh"),
    ("asset", f"/explore/{PRESS}", 1440, 900, "light", "en"),
    ("trend", f"/trend?p={quote(json.dumps(TREND))}&last=300", 1440, 900, "light", "en"),
    ("trend-dark", f"/trend?p={quote(json.dumps(TREND))}&last=300", 1440, 900, "dark", "en"),
    ("alarms", "/alarms", 1440, 900, "light", "en"),
    ("point", f"/explore/{PRESS}?point={PRESS}/setpoint.pressure", 1440, 900, "light", "en"),
    ("write", f"/explore/{PRESS}", 1440, 900, "light", "en"),
    ("system", "/system?tab=runtime", 1440, 900, "light", "en"),
    ("engineering", "/engineering", 1440, 900, "light", "en"),
    ("operations", "/apps/operations/figures", 1440, 900, "light", "en"),
    ("phone", f"/explore/{PRESS}", 360, 760, "light", "en"),
)
PIXELS = """async (data) => {
  const image = new Image();
  image.src = 'data:image/png;base64,' + data;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const bytes = context.getImageData(0, 0, image.width, image.height).data;
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return [image.width, image.height, btoa(text)];
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8470")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", required=True)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name, path, width, height, scheme, language in SHOTS:
            if options.only and name not in options.only:
                continue
            context = browser.new_context(
                base_url=options.url, viewport={"width": width, "height": height}, reduced_motion="reduce"
            )
            context.add_init_script(
                f"localStorage.setItem('headrace.language', '{language}');"
                f"localStorage.setItem('headrace.scheme', '{scheme}')"
            )
            signed = context.request.post(
                "/api/v1/session",
                data={"user": options.user, "password": options.password},
                headers={"X-Headrace": "1"},
            )
            if not signed.ok:
                raise SystemExit(f"cannot sign in: {signed.text()}")
            page = context.new_page()
            page.goto(path)
            if name == "write":
                write_setpoint(page)
            page.wait_for_timeout(SETTLE_MS)
            small = with_palette(page, page.screenshot())
            (IMAGES / f"{name}.png").write_bytes(small)
            print(f"{name:<14}{len(small) / 1000:6.0f} kB{'  TOO LARGE' if len(small) > BYTES_MAX else ''}")
            context.close()
        browser.close()


def write_setpoint(page: Any) -> None:
    page.get_by_role("button", name="Change Pressure setpoint").click()
    page.get_by_label("New value").fill("185")
    page.get_by_label("Reason").fill("Less force for the thin-walled part")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Send to the device").click()


def with_palette(page: Any, screenshot: bytes) -> bytes:
    """The picture in its 256 colours that matter most; other pixels take the nearest. Source: PNG (ISO 15948)."""
    blank = page.context.new_page()
    width, height, text = blank.evaluate(PIXELS, base64.b64encode(screenshot).decode())
    blank.close()
    pixels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, 4)[:, :3].astype(np.int32)
    colours, index, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    # Frequent ones, and vivid ones before grey ones: an alarm mark is small, and its colour is what it says.
    vivid = (colours.max(axis=1) - colours.min(axis=1)) / 16.0
    palette = colours[np.argsort(-counts * (1.0 + vivid**2))[:256]]
    nearest = np.concatenate(
        [((part[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1) for part in np.array_split(colours, 64)]
    ).astype(np.uint8)
    return png(nearest[index.reshape(-1)].reshape(height, width), palette.astype(np.uint8))


def png(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    height, width = indices.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), indices], axis=1).tobytes()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"PLTE", palette.tobytes()),
        chunk(b"IDAT", zlib.compress(rows, 9)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


if __name__ == "__main__":
    main()
