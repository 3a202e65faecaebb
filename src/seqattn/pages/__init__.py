"""The book's results pages, from records that are committed: ``python -m seqattn.pages``.

What was not run reads "not run", with the command that runs it.
"""
