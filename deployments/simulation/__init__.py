"""The ledger's loop under faults, in virtual time: the real dispatcher, reaper, steps, recorder and ledger,
with scripted providers, a scripted Prefect and processes that die at any await.

Everything a process does to the world outside it passes one gate (`process.py`), which is where it can be
killed. A seed decides all there is to decide, so a seed that fails fails again, step by step.
"""
