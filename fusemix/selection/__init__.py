"""Which of many candidates to take: greedy choices and quotas over latents of unit length.

Place in the flow: unit latents of candidates -> rows that are chosen, in order of choice. Pure: arrays in, rows out.
Not here: sets on disk and links (wiring/selecting/).
"""
