"""What the console, the scripts and Python run: each command a module with `main(config)`.

Place in the flow: settings -> wiring/ -> the work, told step by step. Not here: how words become settings (cli/).
"""
