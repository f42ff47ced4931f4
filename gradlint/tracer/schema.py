"""The record that one traced run brings back: plain JSON, described as typed dictionaries.

The worker (in the user's interpreter) writes it, the parent reads it; neither torch nor networkx is needed to use it.
Reading it:
- A **round** is what leads to the k-th OptimizerStep of one optimizer (round 0 is the untrained model; with a GAN both
  the discriminator's and the generator's first step are round 0). Nodes carry their round, so the TraceGraph of the
  first step is `[n for n in record["nodes"] if n["round"] == 0]`, and zero-initialised heads are judged in round 1.
- **Gradient statistics are means over elements**: `second_moment` is E[x²]. A norm is √(second_moment · count).
  All are accumulated in float64, because float32 norms of small gradients are exactly 0.
- `None` means "not measured or not there"; 0.0 means measured and zero. Non-finite numbers travel as the strings
  "nan", "inf", "-inf" inside JSON and are turned back into floats by `gradlint.tracer.run`.
- Files are absolute paths of the user's real files (never of the throw-away copy); lines are 1-based.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

SCHEMA_VERSION = 1

Strategy = Literal["run", "files", "pretend-cuda", "batch-cap", "build", "none"]
"""The rung: as it is; missing files materialised; a GPU pretended; batch capped; built without the loop."""

ErrorKind = Literal[
    "script-error",  # the script raised; message is its last line, `place` where
    "script-exit",  # sys.exit / os._exit before a step was seen
    "no-backward",  # the script ended and never called backward
    "no-step",  # backward was seen, an OptimizerStep never (the record is complete otherwise)
    "timeout",  # the wall-clock limit passed
    "memory",  # the memory limit passed
    "processes",  # the script started too many processes
    "crash",  # killed by a signal (segmentation fault …)
    "no-torch",  # the interpreter cannot import torch
    "missing-module",  # the script imports a package that the interpreter does not have
    "missing-data",  # the script needs a file that could not be materialised
    "protocol",  # the worker ended without a readable record
]

Setting: TypeAlias = int | float | bool | str | list[int] | list[float] | None


class Place(TypedDict):
    """A line of the user's code."""

    file: str
    line: int
    function: str


class TraceFailure(TypedDict):
    """Why the record is not complete, in one sentence."""

    kind: ErrorKind
    message: str
    place: Place | None


class Attempt(TypedDict):
    """One start of the script on one rung of the ladder."""

    strategy: Strategy
    elapsed: float  # seconds, wall clock
    outcome: str  # "step", "backward", or the error's kind
    message: str  # "" when it worked


class Assumption(TypedDict):
    """One thing that was not as in the user's own run; verdicts that depend on it are measured under assumptions."""

    kind: Literal[
        "seed",  # random generators seeded before the script started
        "device",  # CUDA calls redirected to the CPU
        "pretended-cuda",
        "synthetic-dataset",  # a torchvision-like data set of random samples
        "synthetic-file",  # a missing file, written with random content
        "stubbed-module",  # a missing import replaced by an inert stand-in
        "loader",  # DataLoader: workers, pinning or prefetch switched off
        "batch-cap",
        "compile",  # torch.compile / jit undone
        "checkpoint",  # reentrant activation checkpoints replaced by the other kind
        "scratch-directory",  # the script ran in a copy of its directory
        "network",  # network cut off, or could not be cut off
        "distributed",
        "built",  # the build strategy: inputs, targets and order are ours
    ]
    message: str  # one plain sentence
    affects: list[str]  # what may differ: "values", "shapes", "data", "device", "speed", "loop", "loss"


class TensorInfo(TypedDict):
    """One tensor at a boundary."""

    shape: list[int]
    dtype: str  # "float32"
    requires_grad: bool


class Statistics(TypedDict):
    """Moments of one tensor."""

    count: int  # elements of the whole tensor
    sampled: int  # elements looked at; == count when exact
    mean: float
    second_moment: float  # E[x²]
    zero_share: float
    nonfinite: int  # NaN and ±Inf, counted on the whole tensor where any was seen, else 0
    max_abs: float


class Node(TypedDict):
    """A module call, or a functional operation between module calls."""

    id: str  # "layer4.1.conv2#0" | "AddBackward0#3"; in round k > 0 with "@k" appended
    round: int
    order: int  # position in execution order over all nodes of the record
    kind: Literal["module", "function"]
    fqn: str  # module name as in named_modules() of its root, prefixed "name:" if several roots; "" for the root
    root: int  # index of the root module (network) that the call belongs to; -1 for functions outside any
    call: int  # n-th call of this module in this round
    class_name: str  # "Conv2d"; for a function the grad_fn name without "Backward0": "Add"
    is_leaf: bool  # a call with no child calls; functions are leaves
    parent: str | None  # id of the enclosing module call
    constructed: Place | None  # where the user's code built the module
    called: Place | None  # where the user's code called the module or the function
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    training: bool | None
    grad_enabled: bool
    autocast: str | None  # dtype under autocast, else None
    recomputed: bool  # under activation checkpointing
    settings: dict[str, Setting]  # the constructor's numbers: in_features, stride, p, eps …
    parameters: list[str]  # names of the parameters that this module owns directly
    data: Statistics | None  # of the first input, where it carries no graph and the call has a weight matrix
    activation: Statistics | None  # of the first floating-point output
    activation_kind: str | None  # "relu", "sigmoid", "tanh", "softmax", "gelu" … when the node is an activation
    saturated_share: float | None  # sigmoid/softmax: |φ'| < 1e-3 of its maximum; tanh likewise; relu: output 0
    dead_units: int | None  # units (channels, features) with φ' = 0 for every sample of the batch
    units: int | None
    effective_rank: float | None  # exp(entropy) of the singular values of (batch, features); 1.0 = all units alike
    output_gradient: Statistics | None  # δ: gradient of the loss with respect to the first output
    input_gradient: Statistics | None  # gradient with respect to the first floating-point input
    local_gain: float | None  # E[δ_in²] / E[δ_out²]; its square root is the √G a layer of the closed forms
    backward: int | None  # id of the Backward event that reached it first


class Edge(TypedDict):
    """A tensor that flowed from one node to another."""

    source: str
    target: str
    shape: list[int] | None
    dtype: str | None
    differentiable: bool  # False: seen by identity of the tensor only (no_grad, frozen)


class ParameterStep(TypedDict):
    """What one OptimizerStep saw and did to one parameter."""

    round: int
    optimizer: int | None  # None: reached by a backward, stepped by nobody (manual update loops)
    grad_norm: float | None  # at the moment of the step; None = .grad is None
    grad_nonfinite: int
    weight_norm: float  # before the step
    update_norm: float  # ‖w_after − w_before‖
    update_ratio: float | None  # update_norm / weight_norm; None when the weight norm is 0
    version_moved: bool  # the tensor was written during the step


class Parameter(TypedDict):
    """One parameter (or tensor that requires grad) of the traced modules and optimizers."""

    name: str  # as in named_parameters() of its root; prefixed "name:" if several roots; "<tensor 0>" if in no module
    root: int
    aliases: list[str]  # other names of the same tensor (tied weights)
    shape: list[int]
    dtype: str
    requires_grad: bool
    is_leaf: bool
    registered: bool  # False: used in the graph or held by an optimizer, but in no module's parameters()
    owners: list[str]  # fqns of the modules that hold it
    owner_class: str | None
    nodes: list[str]  # ids of the round-0 nodes that use it
    constructed: Place | None  # where its owner was built
    optimizers: list[int]  # ids of the optimizers that hold it
    groups: list[list[int]]  # (optimizer id, group index), one for every time it is held
    used: bool  # its owner was called, or the graph holds it
    called_without_grad: bool  # the owner was called, and only under no_grad/inference_mode
    reached: bool  # some backward delivered a gradient
    initial_std: float | None  # before the first step; None for one element
    initial_mean: float
    initial_norm: float
    fan_in: int | None
    fan_out: int | None
    identical_rows: float | None  # share of rows of the round-0 weight gradient equal to the first one (matrices only)
    gradient_rank: float | None  # effective rank of the row space of the round-0 weight gradient
    identical_weight_rows: bool  # the weight itself was symmetric before the first step
    zero_by_invariance: str | None  # reason: "bias before BatchNorm", "attention key bias", "padding row" …
    steps: list[ParameterStep]


class Optimizer(TypedDict):
    """An optimizer object that the script built."""

    id: int
    class_name: str
    module: str  # "torch.optim.adam"
    constructed: Place | None
    groups: list[OptimizerGroup]
    used_but_not_held: list[str]  # parameters reached by a backward and held by no optimizer
    held_but_unused: list[str]  # held here, never reached by a backward
    steps: int
    needs_closure: bool


class OptimizerGroup(TypedDict):
    """One param group: names and hyperparameters (lr, momentum, betas, eps, weight_decay, …)."""

    parameters: list[str]
    settings: dict[str, Setting]


class Range(TypedDict):
    """What the values fed to a loss look like; a share is of rows along the class dimension."""

    minimum: float
    maximum: float
    in_unit_interval: bool
    all_nonpositive: bool
    rows_sum_to_one: float  # share of rows with |Σ − 1| < 1e-3
    rows_logsumexp_zero: float  # share of rows with |logsumexp| < 1e-3: log-probabilities


class LossCall(TypedDict):
    """One call of a loss: a class of torch.nn, its functional form, or the last operation before backward."""

    id: int
    round: int
    name: str  # "cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "custom"
    class_name: str | None  # "CrossEntropyLoss" when called through a module
    constructed: Place | None
    called: Place | None
    reduction: str | None
    input: TensorInfo | None
    target: TensorInfo | None
    output: TensorInfo | None
    value: float | None
    input_range: Range | None
    target_range: Range | None
    target_is_class_index: bool
    target_max: float | None
    target_values: int | None  # distinct values of the kept rows if all are whole numbers, else None
    broadcast: bool  # input and target differ in shape and were broadcast against each other
    target_requires_grad: bool
    class_dim: int | None  # dimension that holds the classes
    fed_by: list[str]  # grad_fn names from the input backwards through views: ["Softmax", "Addmm"]
    fed_by_dim: int | None  # `dim` of the softmax/log_softmax in fed_by, if any, as a non-negative index
    fed_by_place: Place | None
    input_node: str | None  # id of the node that made the input
    gradient_ratio: float | None  # ‖∂L/∂input‖ over that of the fitting loss on the same values


class Event(TypedDict):
    """Fields of every event; `order` is the true order over the run (nodes have an order of their own)."""

    order: int
    round: int
    place: Place | None
    stack: list[Place]  # the user's frames, innermost first, at most 8


class ForwardEvent(Event):
    kind: Literal["forward"]
    node: str  # root module call; "" in rounds whose nodes are not measured
    fqn: str
    class_name: str
    training: bool
    grad_enabled: bool
    modes: dict[str, bool]  # mode-dependent submodules (Dropout, BatchNorm): fqn -> training


class BackwardEvent(Event):
    kind: Literal["backward", "autograd_grad"]
    id: int
    loss: int | None  # id of the LossCall nearest above it in the graph
    value: float | None
    shape: list[int]
    requires_grad: bool  # False: this very call raises
    retain_graph: bool
    create_graph: bool
    under_autocast: bool
    scaled: bool  # through GradScaler.scale
    reached: list[str]  # names of the parameters that received a gradient
    graph_nodes: int  # autograd nodes below the loss
    kept_graphs: int  # reached leaves whose .grad already carried a graph when the backward began
    written: int | None  # reached leaves written since the backward before; None if none was reached before
    saved_bytes: int | None  # bytes held for backward (CPU: graph's saved tensors; CUDA: allocator)
    nonfinite_producer: str | None  # id of the first node (forward order) whose output was not finite


class ClearEvent(Event):
    kind: Literal["zero_grad"]
    how: Literal["optimizer", "module", "manual"]  # manual: .grad = None / .grad.zero_() seen between events
    optimizer: int | None
    parameters: int  # how many had a gradient
    discarded_norm: float | None  # gradient norm thrown away


class ClipEvent(Event):
    kind: Literal["clip"]
    how: Literal["norm", "value"]
    max_norm: float
    norm_before: float | None  # total norm over the parameters given (√Σ, order 2) when called
    norm_after: float | None
    parameters: int
    with_gradient: int
    names: list[str]
    scaled: bool  # gradients still carried the GradScaler's factor
    since_step: int  # backwards since the last OptimizerStep; 0 = before backward or after the step


class UnscaleEvent(Event):
    kind: Literal["unscale"]
    optimizer: int | None
    scale: float


class ScalerEvent(Event):
    kind: Literal["scaler_step", "scaler_update"]
    optimizer: int | None
    scale: float
    skipped: bool  # scaler_step: the step was skipped because of non-finite gradients


class OptimizerStepEvent(Event):
    kind: Literal["optimizer_step"]
    optimizer: int
    count: int  # n-th step of this optimizer, from 0
    grad_norm: float | None  # over all parameters that have a gradient
    with_gradient: int
    without_gradient: int
    backwards: int  # backward calls since its last step that reached its parameters
    stale: bool  # a gradient from before its previous step was still in .grad (accumulated over a step)
    stale_parameters: list[str]
    cleared_since_backward: bool  # the gradients were cleared between the last backward and this step
    closure: bool
    scale: float | None  # GradScaler factor still in the gradients, else None
    lr: list[float]  # of each param group


class SchedulerEvent(Event):
    kind: Literal["scheduler_step"]
    class_name: str
    optimizer: int | None
    lr: list[float]  # after it


class ClosureEvent(Event):
    kind: Literal["closure"]
    optimizer: int
    evaluation: int  # n-th evaluation within this OptimizerStep
    value: float | None
    backwards: int


class ModeEvent(Event):
    kind: Literal["mode"]
    fqn: str
    class_name: str
    training: bool


class StateDictEvent(Event):
    kind: Literal["state_dict"]
    fqn: str
    class_name: str
    alive_at_step: bool  # after the last OptimizerStep a tensor that the call handed out was still alive
    aliased: bool | None  # such a tensor shared storage with a stepped parameter; None: no OptimizerStep came after


AnyEvent: TypeAlias = (
    ForwardEvent
    | BackwardEvent
    | ClearEvent
    | ClipEvent
    | UnscaleEvent
    | ScalerEvent
    | OptimizerStepEvent
    | SchedulerEvent
    | ClosureEvent
    | ModeEvent
    | StateDictEvent
)


class Recurrent(TypedDict):
    """The profile over time of one recurrent module (or of a cell called in a loop)."""

    node: str
    fqn: str
    class_name: str
    time_steps: int
    layers: int
    batch_first: bool
    input_shape: list[int]
    hidden_size: int
    packed: bool
    input_gradient: list[float]  # norm of the gradient with respect to the input, by time index 0 … T−1
    decades_per_step: float | None  # slope of log10 norm from the last index back, of a gradient that enters there
    sigma_max: list[float]  # largest singular value of each recurrent weight (each gate block by itself for LSTM/GRU)
    spectral_radius: list[float]
    hidden_requires_grad: bool  # the initial hidden state still carried a graph
    loss_positions: str  # "last", "all", "unknown": where δ enters along time


class Curvature(TypedDict):
    """lr · λmax by Lanczos iteration on Hessian-vector products; > 2 diverges on a quadratic."""

    optimizer: int
    lr: float
    lambda_max: float
    lr_lambda_max: float
    preconditioned: bool
    iterations: int
    relative_change: float  # of the last iteration
    message: str  # "" or why it could not be measured


class SameBatchLoss(TypedDict):
    """The loss on the same batch, same random state, before and after real OptimizerSteps."""

    optimizer: int
    before: float
    after: list[float]  # after step 1, 2, …


class Growth(TypedDict):
    """Graph and memory at the backward of each round."""

    graph_nodes: list[int]
    saved_bytes: list[int]
    resident_bytes: list[int]
    live_losses: int  # earlier rounds whose loss is still held by a living tensor when the trace ends
    live_graphs: int  # earlier rounds of whose graph a living tensor still holds at least a part
    holders: list[str]  # names of the variables that hold them


class NonFinite(TypedDict):
    """The first producer of a NaN or Inf, forward or backward."""

    node: str
    round: int
    direction: Literal["forward", "backward"]
    count: int
    input_finite: bool  # its own inputs were finite: it is the producer
    autocast: bool
    place: Place | None


class CustomFunction(TypedDict):
    """A user's autograd.Function compared with central differences in float64."""

    class_name: str
    module: str
    defined: Place | None
    called: Place | None
    inputs: list[TensorInfo]
    agrees: bool | None  # None: could not be checked
    max_error: float | None
    message: str


class Loader(TypedDict):
    """A DataLoader whose data set has a length."""

    constructed: Place | None
    samples: int  # an epoch's, as its sampler counts them
    batch_size: int
    drop_last: bool


class Distribution(TypedDict):
    """A torch.distributions object that the script built."""

    class_name: str
    constructed: Place | None
    argument: str | None  # "probs" or "logits", for Categorical and Bernoulli
    given: Range | None  # what that argument was
    sampled: Place | None  # of the first `sample()`
    cut: bool  # `sample()` left out the gradient of parameters that carry a graph, where `rsample()` exists
    scored: bool  # `log_prob` was called: the score function needs no gradient through the sample


class Root(TypedDict):
    """A top-level module that the script called, or whose parameters an optimizer holds."""

    index: int
    class_name: str
    name: str  # "" when it is the only one; else a prefix of all its fqns
    constructed: Place | None
    parameters: int  # elements
    uncalled: list[str]  # fqns of submodules with parameters that were never called


class Verification(TypedDict):
    """`--verify`: the traced run against an untraced one at the same stop point, compared bit for bit."""

    identical: bool
    differences: list[str]  # "parameter fc.weight", "rng torch", "hooks on layer1" …
    compared: int


class Timing(TypedDict):
    """Seconds."""

    start: float  # until the script's first line
    first_step: float  # until the end of the first OptimizerStep
    total: float


class TraceRecord(TypedDict):
    """Everything one trace brings back."""

    schema_version: int
    script: str
    arguments: list[str]
    strategy: Strategy
    attempts: list[Attempt]
    steps: int  # OptimizerSteps seen
    rounds: int
    device: str  # "cpu", "cuda:0 (NVIDIA …)"
    python_version: str
    torch_version: str | None
    seed: int
    assumptions: list[Assumption]
    error: TraceFailure | None
    elapsed: float
    timing: Timing | None
    roots: list[Root]
    nodes: list[Node]
    edges: list[Edge]
    parameters: list[Parameter]
    events: list[AnyEvent]
    optimizers: list[Optimizer]
    losses: list[LossCall]
    recurrent: list[Recurrent]
    curvature: list[Curvature]
    same_batch: list[SameBatchLoss]
    loaders: list[Loader]
    distributions: list[Distribution]
    growth: Growth | None
    nonfinite: list[NonFinite]
    functions: list[CustomFunction]
    verification: Verification | None
    stdout: str  # last 20,000 characters
    stderr: str


def empty_record(script: str, arguments: list[str]) -> TraceRecord:
    """A record with nothing measured: what an attempt that never reached torch returns."""
    return {
        "schema_version": SCHEMA_VERSION,
        "script": script,
        "arguments": arguments,
        "strategy": "none",
        "attempts": [],
        "steps": 0,
        "rounds": 0,
        "device": "cpu",
        "python_version": "",
        "torch_version": None,
        "seed": 0,
        "assumptions": [],
        "error": None,
        "elapsed": 0.0,
        "timing": None,
        "roots": [],
        "nodes": [],
        "edges": [],
        "parameters": [],
        "events": [],
        "optimizers": [],
        "losses": [],
        "recurrent": [],
        "curvature": [],
        "same_batch": [],
        "loaders": [],
        "distributions": [],
        "growth": None,
        "nonfinite": [],
        "functions": [],
        "verification": None,
        "stdout": "",
        "stderr": "",
    }
