"""Simulates the ledger's loop under faults, in virtual time: the real dispatcher, reaper, steps, recorder and
ledger, with scripted providers, a scripted Prefect and processes that die at any await.

Every effect of a process on the world outside it passes one gate (`process.py`), where the process can be
killed. The seed decides everything, so a seed that fails will fail again, step by step.
"""
