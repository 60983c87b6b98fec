"""The command line: words that are typed -> settings -> a command; help, completion, and how a command ends."""
