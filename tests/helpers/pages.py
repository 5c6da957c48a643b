"""What tests do on the page where images are classified."""

import time
from typing import Any

from helpers.browser import Tab

DROP = """(() => {
  const carried = new DataTransfer();
  for (const [name, data] of %s)
    carried.items.add(new File([Uint8Array.from(atob(data), (char) => char.charCodeAt(0))], name));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
})()"""
IS_DONE = "/classified\\.$|^\\d+ images?\\b.*\\.$/.test(document.getElementById('status').textContent)"


def wait(tab: Tab, condition: str) -> None:
    for _ in range(200):
        if tab.run(condition):
            return
        time.sleep(0.05)
    raise AssertionError(f"not true after 10 s: {condition}; {tab.run('document.body.innerText')}")


def rows(tab: Tab) -> list[list[Any]]:
    return tab.run("[...document.querySelectorAll('#rows tr')].map(r => [...r.cells].map(c => c.innerText.trim()))")
