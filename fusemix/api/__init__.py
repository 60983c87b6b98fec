"""fusemix from Python: the stages as functions that return objects, and `fit` on two arrays in memory.

Place in the flow: a notebook or a script -> settings -> the commands of fusemix/commands -> LatentSet, Run, Report, …
Not here: the command line (cli/). What the caller's process had (random states, logging, …) is left as it was found.
"""
