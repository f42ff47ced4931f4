"""Tables only: what a qualified name of torch is. Names are canonical (`canonical` folds the spellings)."""

from __future__ import annotations

from functools import lru_cache

_PREFIXES = (
    ("torch.nn.modules.", "torch.nn."),
    ("torch.nn.parallel.distributed.", "torch.nn.parallel."),
    ("torch.nn.utils.clip_grad.", "torch.nn.utils."),
    ("torch.nn.utils.rnn.", "torch.nn.utils.rnn."),
    ("torch.cuda.amp.grad_scaler.", "torch.cuda.amp."),
    ("torch.amp.grad_scaler.", "torch.amp."),
    ("torch.utils.data.dataloader.", "torch.utils.data."),
    ("torch.utils.data.dataset.", "torch.utils.data."),
    ("torch.autograd.grad_mode.", "torch."),
    ("torch.autograd.no_grad", "torch.no_grad"),
    ("torch.autograd.enable_grad", "torch.enable_grad"),
    ("torch.autograd.set_grad_enabled", "torch.set_grad_enabled"),
    ("torch.nn.parameter.", "torch.nn."),
    ("pytorch_lightning.", "lightning.pytorch."),
    ("lightning.fabric.", "lightning."),
    ("lightning_fabric.", "lightning."),
    ("lightning.pytorch.core.module.", "lightning.pytorch."),
    ("lightning.pytorch.core.lightning.", "lightning.pytorch."),
    ("lightning.pytorch.core.", "lightning.pytorch."),
)


@lru_cache(4096)
def canonical(name: str) -> str:
    """One spelling for each torch name: `torch.nn.modules.linear.Linear` is `torch.nn.Linear`."""
    for prefix, short in _PREFIXES:
        if name.startswith(prefix):
            name = short + name[len(prefix) :]
            break
    parts = name.split(".")
    if name.startswith("torch.optim.") and not name.startswith(("torch.optim.lr_scheduler", "torch.optim.swa_utils")):
        return f"torch.optim.{parts[-1]}" if len(parts) > 3 and parts[-1][:1].isupper() else name
    if name.startswith("torch.nn.") and len(parts) == 4 and parts[-1][:1].isupper() and parts[2].islower():
        return name if parts[2] in ("utils", "parallel", "init", "functional") else f"torch.nn.{parts[-1]}"
    return name


# What the loss function expects as its input, and its parameter for the target.
LOSSES = {
    "CrossEntropyLoss": "logits", "NLLLoss": "log_probabilities", "NLLLoss2d": "log_probabilities",
    "BCEWithLogitsLoss": "logits01", "BCELoss": "probabilities", "KLDivLoss": "log_probabilities",
    "CTCLoss": "log_probabilities", "MSELoss": "values", "L1Loss": "values", "SmoothL1Loss": "values",
    "HuberLoss": "values", "PoissonNLLLoss": "values", "GaussianNLLLoss": "values", "MultiMarginLoss": "scores",
    "MultiLabelMarginLoss": "scores", "MultiLabelSoftMarginLoss": "logits01", "SoftMarginLoss": "scores",
    "HingeEmbeddingLoss": "scores", "CosineEmbeddingLoss": "embeddings", "MarginRankingLoss": "scores",
    "TripletMarginLoss": "embeddings", "TripletMarginWithDistanceLoss": "embeddings",
}  # fmt: skip
FUNCTIONAL_LOSSES = {
    "cross_entropy": "CrossEntropyLoss", "nll_loss": "NLLLoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss", "binary_cross_entropy": "BCELoss", "kl_div": "KLDivLoss",
    "ctc_loss": "CTCLoss", "mse_loss": "MSELoss", "l1_loss": "L1Loss", "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss", "poisson_nll_loss": "PoissonNLLLoss", "gaussian_nll_loss": "GaussianNLLLoss",
    "multi_margin_loss": "MultiMarginLoss", "multilabel_margin_loss": "MultiLabelMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss", "soft_margin_loss": "SoftMarginLoss",
    "hinge_embedding_loss": "HingeEmbeddingLoss", "cosine_embedding_loss": "CosineEmbeddingLoss",
    "margin_ranking_loss": "MarginRankingLoss", "triplet_margin_loss": "TripletMarginLoss",
}  # fmt: skip

# Activations, modules and functions alike, by the name of what they do.
ACTIVATIONS = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "ReLU": "relu", "ReLU6": "relu6", "LeakyReLU": "leaky_relu", "PReLU": "prelu",
    "ELU": "elu", "SELU": "selu", "CELU": "celu", "GELU": "gelu", "SiLU": "silu", "Mish": "mish",
    "Softplus": "softplus", "Softsign": "softsign", "Hardtanh": "hardtanh", "Hardsigmoid": "hardsigmoid",
    "Hardswish": "hardswish", "LogSigmoid": "logsigmoid", "Tanhshrink": "tanhshrink", "RReLU": "rrelu",
    "Softmax": "softmax", "Softmax2d": "softmax", "LogSoftmax": "log_softmax", "Softmin": "softmin",
    "Threshold": "threshold", "GLU": "glu", "Softshrink": "softshrink", "Hardshrink": "hardshrink",
}  # fmt: skip
FUNCTIONAL_ACTIVATIONS = frozenset(ACTIVATIONS.values()) | {"swish", "gumbel_softmax", "relu_", "tanh_", "sigmoid_"}

# Layers with weights, by how they mix their inputs.
LINEAR = frozenset({"Linear", "LazyLinear", "Bilinear"})
CONVOLUTIONS = frozenset({
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "LazyConv1d", "LazyConv2d",
    "LazyConv3d",
})  # fmt: skip
RECURRENT = frozenset({"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "RNNBase"})
NORMS = frozenset({
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm1d",
    "InstanceNorm2d", "InstanceNorm3d", "RMSNorm", "LocalResponseNorm", "LazyBatchNorm1d", "LazyBatchNorm2d",
})  # fmt: skip
MODE_DEPENDENT = frozenset({
    "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "BatchNorm1d",
    "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d", "LazyBatchNorm2d", "RReLU",
})  # fmt: skip
BATCH_NORMED = ("resnet", "resnext", "efficientnet", "densenet", "mobilenet", "regnet", "inception", "xception")
EMBEDDINGS = frozenset({"Embedding", "EmbeddingBag"})
ATTENTION = frozenset({
    "MultiheadAttention", "Transformer", "TransformerEncoder", "TransformerDecoder", "TransformerEncoderLayer",
    "TransformerDecoderLayer",
})  # fmt: skip
PARAMETRIC = LINEAR | CONVOLUTIONS | RECURRENT | NORMS - {"LocalResponseNorm"} | EMBEDDINGS | ATTENTION | {"PReLU"}
CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
WRAPPERS = frozenset({
    "torch.nn.DataParallel", "torch.nn.parallel.DataParallel", "torch.nn.parallel.DistributedDataParallel",
    "torch.compile", "torch.jit.script", "torch.distributed.fsdp.FullyShardedDataParallel", "torch.fx.symbolic_trace",
    "apex.parallel.DistributedDataParallel", "torch.nn.SyncBatchNorm.convert_sync_batchnorm", "torch.jit.trace",
    "apex.parallel.convert_syncbn_model", "torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm",
    "torch.nn.utils.parametrizations.weight_norm", "torch.nn.utils.parametrizations.spectral_norm",
    "torch.nn.utils.parametrizations.orthogonal", "torch.quantization.prepare_qat",
})  # fmt: skip

# Tensor operations that keep the meaning of the values (logits stay logits).
SHAPING = frozenset({
    "view", "reshape", "squeeze", "unsqueeze", "flatten", "permute", "transpose", "contiguous", "clone", "float",
    "double", "half", "to", "cuda", "cpu", "type", "type_as", "t", "T", "mT", "expand", "expand_as", "repeat",
    "unflatten", "swapaxes", "movedim", "view_as", "reshape_as", "bfloat16", "requires_grad_", "retain_grad", "unbind",
    "chunk", "split", "index_select", "gather", "unfold", "narrow", "select", "roll", "flip", "real",
})  # fmt: skip
REDUCTIONS = frozenset(
    {"sum", "mean", "nanmean", "nansum", "logsumexp", "norm", "max", "min", "amax", "amin", "std", "var", "prod"}
)
# Results carry no gradient.
CUTTING_METHODS = {
    "detach": "detach", "detach_": "detach", "item": "item", "numpy": "numpy", "asnumpy": "numpy", "tolist": "tolist",
}  # fmt: skip
NON_DIFFERENTIABLE = frozenset({
    "argmax", "argmin", "round", "floor", "ceil", "sign", "trunc", "eq", "ne", "gt", "lt", "ge", "le", "long", "int",
    "bool", "byte", "short", "multinomial", "bernoulli", "heaviside", "argsort", "nonzero", "isnan", "isinf",
    "isfinite", "logical_and", "logical_or", "logical_not", "searchsorted", "bucketize", "one_hot", "any", "all",
    "unique", "zeros_like", "ones_like", "rand_like", "randn_like", "empty_like", "full_like",
})  # fmt: skip
FACTORIES = frozenset({
    "zeros", "ones", "rand", "randn", "empty", "full", "arange", "linspace", "eye", "randint", "randperm", "from_numpy",
    "zeros_like", "ones_like", "rand_like", "randn_like", "empty_like", "full_like", "normal", "as_tensor", "tensor",
    "logspace", "Tensor", "FloatTensor", "LongTensor", "load",
})  # fmt: skip

ACCUMULATING_WRAPPERS = frozenset({"list", "tuple", "sorted", "reversed", "set"})
STEP_NEEDS_CLOSURE = frozenset({"torch.optim.LBFGS"})
OPTIMIZER_PREFIXES = (
    "torch.optim.", "torch_optimizer.", "apex.optimizers.", "bitsandbytes.optim.", "transformers.AdamW",
    "transformers.Adafactor", "transformers.optimization.AdamW", "transformers.optimization.Adafactor",
    "pytorch_pretrained_bert.BertAdam", "pytorch_pretrained_bert.optimization.BertAdam", "timm.optim.",
    "lion_pytorch.Lion", "deepspeed.ops.adam.", "madgrad.MADGRAD", "adabelief_pytorch.AdaBelief", "radam.RAdam",
    "prodigyopt.Prodigy", "dadaptation.", "pytorch_optimizer.", "torch_xla.amp.syncfree.", "schedulefree.",
    "transformers.optimization.AdamWeightDecay",
)  # fmt: skip
NOT_OPTIMIZERS = frozenset({"torch.optim.lr_scheduler", "torch.optim.swa_utils", "torch.optim.optimizer"})
SCHEDULER_PREFIXES = (
    "torch.optim.lr_scheduler.",
    "torch.optim.swa_utils.SWALR",
    "timm.scheduler.",
    "warmup_scheduler.",
)
SCHEDULER_FACTORIES = frozenset({
    "get_scheduler", "get_linear_schedule_with_warmup", "get_cosine_schedule_with_warmup", "get_constant_schedule",
    "get_constant_schedule_with_warmup", "get_cosine_with_hard_restarts_schedule_with_warmup", "WarmupLinearSchedule",
    "get_polynomial_decay_schedule_with_warmup", "get_inverse_sqrt_schedule", "get_wsd_schedule",
    "WarmupCosineSchedule", "WarmupConstantSchedule",
})  # fmt: skip
SCALERS = frozenset({
    "torch.cuda.amp.GradScaler", "torch.amp.GradScaler", "torch.xpu.amp.GradScaler", "torch.cpu.amp.GradScaler",
    "torch_xla.amp.GradScaler", "torch.distributed.fsdp.sharded_grad_scaler.ShardedGradScaler",
    "lightning.pytorch.plugins.precision.GradScaler",
})  # fmt: skip
AUTOCAST = frozenset(
    {
        "torch.cuda.amp.autocast",
        "torch.amp.autocast",
        "torch.autocast",
        "torch.cpu.amp.autocast",
        "torch_xla.amp.autocast",
    }
)
CLIPPERS = {
    "torch.nn.utils.clip_grad_norm_": "norm", "torch.nn.utils.clip_grad_norm": "norm",
    "torch.nn.utils.clip_grad_value_": "value", "torch.nn.utils.clip_grads_with_norm_": "norm",
    "timm.utils.dispatch_clip_grad": "norm", "timm.utils.clip_grad.dispatch_clip_grad": "norm",
    "timm.utils.adaptive_clip_grad": "norm", "mup.clip_grad_norm_": "norm",
}  # fmt: skip
MODULE_BASES = frozenset({
    "torch.nn.Module", "torch.jit.ScriptModule", "transformers.PreTrainedModel",
    "transformers.modeling_utils.PreTrainedModel", "huggingface_hub.PyTorchModelHubMixin",
}) | {f"torch.nn.{name}" for name in PARAMETRIC | CONTAINERS | set(LOSSES) | set(ACTIVATIONS)}  # fmt: skip
LIGHTNING_BASES = frozenset({"lightning.pytorch.LightningModule", "lightning.LightningModule"})
# Calls that look at what they are given and change nothing that concerns gradients.
HARMLESS_PREFIXES = (
    "print", "len", "isinstance", "id", "repr", "str", "type", "hasattr", "getattr", "float", "int", "sum", "max",
    "min", "tqdm", "wandb.", "logging.", "torch.save", "torch.numel", "torch.cuda.", "torchsummary.", "torchinfo.",
    "time.", "numpy.", "sklearn.", "matplotlib.", "os.", "json.", "torchvision.utils.", "torch.utils.tensorboard.",
    "tensorboardX.", "torchmetrics.", "math.", "random.", "pickle.", "PIL.", "warnings.", "torch.isnan",
    "torch.isfinite", "torch.distributed.", "copy.", "thop.", "ptflops.", "fvcore.", "mlflow.", "torch.manual_seed",
    "torch.backends.", "datetime.", "gc.", "sys.", "torch.onnx.", "torchviz.", "functools.", "itertools.",
    "collections.", "re.", "pathlib.", "shutil.", "pandas.", "torch.profiler.", "scipy.", "seaborn.", "cv2.",
    "evaluate.", "nltk.", "sacrebleu.", "rich.", "loguru.", "typing.", "dataclasses.", "abc.", "enum.", "argparse.",
    "yaml.", "csv.", "visdom.", "imageio.", "einops.", "torch.random.",
)  # fmt: skip
