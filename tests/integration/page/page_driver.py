"""What whoever sits before the page does and sees."""

from __future__ import annotations

from playwright.sync_api import Page

from backfilld.daemon.executors.adapter import Job
from tests.simulation.world import Work

COUNT_TOUCHED = """
window.touched = 0;
const ours = (one) => one.target.nodeName !== "TIME";  // ages go on by themselves
const everything = { subtree: true, childList: true, attributes: true, characterData: true };
new MutationObserver((all) => { touched += all.filter(ours).length; }).observe(document.body, everything);
"""


def failing(job: Job) -> Work:
    return Work(code=1)


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def press(page: Page, name: str, reason: str | None = None) -> None:
    """Press a button once the page's script is there, and confirm its dialog.

    A dialog that wants a reason stays open without one.
    """
    page.locator("html[data-polls]").wait_for()
    page.get_by_role("button", name=name, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    if dialog.is_visible() and (reason is not None or not dialog.get_by_label("Reason").is_visible()):
        if reason:
            dialog.get_by_label("Reason").fill(reason)
        dialog.locator("[value=go]").click()
