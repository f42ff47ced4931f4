"""Abstract interpretation: a `Program` is run over values instead of data, and leaves facts and event trees behind.

`interpreter` holds the state and runs statements (`branching`, `looping` and `context_managers` those with a body),
`expressions` evaluates, `calls` finds out what is called, `functions` enters those of the project, `classes` builds
instances, `library` knows what installed functions do (each kind with its table: `training_functions`,
`torch_functions`, `python_functions`), `methods` what methods of known values do (`training_methods`,
`module_methods`, `tensor_methods`, `unknown_methods`), `tensors` follows the data.
"""
