"""The commands of ``poplin``, one module a subject: each parses, calls, prints, and decides nothing.

`base` has what they share. A module is loaded only when its command is used, so that ``--help`` stays quick.
"""
