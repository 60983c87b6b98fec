"""`python -m fusemix <command>` is the console command `fusemix <command>`."""

from fusemix.cli.run import run

run()
