"""From settings to wired objects, one file a stage: the only package that knows all stages.

Place in the flow: config -> the objects that commands run. It is the map of the system: every function
here joins parts that do not know one another.
"""
