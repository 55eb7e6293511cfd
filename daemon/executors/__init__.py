"""Where jobs run: one folder per executor behind the protocol of `adapter.py`."""
