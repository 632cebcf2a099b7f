"""The portal's texts as they were written, and what they show."""

from billfold_server.portal import markdown

__all__ = ["snippet", "snippets", "source"]


def source(name: str) -> str:
    """Return a text as it was written."""
    return (markdown._FOLDER / f"{name}.md").read_text(encoding="utf-8")


def snippets(name: str) -> list[tuple[str, str]]:
    """Return the snippets of a text, each with its language."""
    return list(markdown.make(source(name)).snippets)


def snippet(name: str, words: str) -> str:
    """Return the one snippet of a text that has some words in it."""
    (found,) = (text for _, text in snippets(name) if words in text)
    return found
