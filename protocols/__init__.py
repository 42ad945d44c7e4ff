"""The vocabulary of Portillon: bytes, codes and rules that phone, gate and cloud share.

No input or output, no clock: `now` is always an argument. It imports nothing of ours.
"""
