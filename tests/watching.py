"""What a page in a browser says and asks for while a test has it open."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Page, Request


@dataclass
class Watched:
    """Errors and warnings of a page, and every URL that it asked for, in order."""

    wrong: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    @classmethod
    def on(cls, page: Page) -> Watched:
        """Watch from now on."""
        watched = cls()

        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                watched.wrong.append(message.text)

        def wanted(request: Request) -> None:
            watched.asked.append(request.url)

        page.on("console", said)
        page.on("pageerror", lambda error: watched.wrong.append(str(error)))
        page.on("request", wanted)
        return watched
