"""`python -m fusemix <command>` is the console command `fusemix <command>`."""

from fusemix.cli import run

run()
