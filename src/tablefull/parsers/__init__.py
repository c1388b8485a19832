"""Text into facts: one parser a format, whoever supplied the text. Nothing here opens a file."""
