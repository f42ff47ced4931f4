"""Abstract interpretation: a `Program` is run over values instead of data, and leaves facts and event trees behind.

`interpreter` holds the state and runs statements, `expressions` evaluates, `calls` enters local functions and classes,
`library` knows what installed functions do, `methods` what methods of known values do, `tensors` follows the data.
"""
