"""What people read: report.html, tables, pictures, comparisons; and report.json, which they are made of.

Place in the flow: numbers of retrieval/ -> reports/ -> files for people. Not here: how the numbers come about.
"""
