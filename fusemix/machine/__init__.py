"""The machine and its processes: cores, memory, devices, one process or many."""
