"""Files and folders behind URLs (s3://, gs://, …), by fsspec: read where they are, fetched, or sent whole.

Place in the flow: a setting that is a URL -> used like a path. Not here: what is a URL, and what is refused (urls.py).
"""
