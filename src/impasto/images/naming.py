"""How errors call a picture: its name, on one line whatever characters are in it."""


def one_line(name: str) -> str:
    """`name` with every character that does not print written as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
