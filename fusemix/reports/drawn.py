"""What a folder of drawn pictures is known by: the file that `fusemix generate` writes and `eval_generation` reads.

Place in the flow: wiring/generating/pictures.py -> generated.json -> wiring/evaluation/pairs.py.
"""

GENERATED = "generated.json"
FORMAT, VERSION = "fusemix.generated", 1
