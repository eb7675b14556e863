"""The fault lab: the runtime's own core in a simulated, hostile and repeatable world.

Owns: the simulator, its faults, its oracles and its reports. May not know: real clocks,
entropy, threads, sockets or files, except where a plan is replayed on real processes.
Source: design 'The fault lab'.
"""
