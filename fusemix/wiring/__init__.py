"""From settings to wired objects, one room a use; no room imports another.

Place in the flow: config -> the objects that commands run. Functions here join parts that do not know one another.
"""
