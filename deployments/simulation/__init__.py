"""Simulates workers under faults, in virtual time: the real slots, loops, dispatcher, reaper, steps and
recorder, with scripted providers, a scripted Prefect, a database in memory, and processes that die at any
await.

Every effect of a process on the world outside it passes one gate (`process.py`), where the process can be
killed. The seed decides everything, so a seed that fails will fail again, step by step.
"""
