"""Tables only: what frameworks take over, by the qualified name of their central object."""

from __future__ import annotations

# Objects that step, clear or scale for the script, by constructor.
MANAGERS = {
    "accelerate.Accelerator": "accelerate", "accelerate.accelerator.Accelerator": "accelerate",
    "lightning.Fabric": "fabric", "lightning.fabric.Fabric": "fabric", "lightning.pytorch.lite.LightningLite": "fabric",
    "lightning.pytorch.Trainer": "lightning", "lightning.Trainer": "lightning",
    "lightning.pytorch.trainer.Trainer": "lightning", "transformers.Trainer": "transformers",
    "transformers.Seq2SeqTrainer": "transformers", "transformers.trainer.Trainer": "transformers",
    "opacus.PrivacyEngine": "opacus", "ignite.engine.Engine": "ignite", "trl.SFTTrainer": "transformers",
    "trl.DPOTrainer": "transformers", "catalyst.dl.SupervisedRunner": "catalyst", "catalyst.dl.Runner": "catalyst",
    "composer.Trainer": "composer", "fastai.learner.Learner": "fastai", "fastai.vision.all.Learner": "fastai",
    "skorch.NeuralNetClassifier": "skorch", "skorch.NeuralNet": "skorch", "poutyne.Model": "poutyne",
    "colossalai.booster.Booster": "colossalai", "tianshou.policy.base.BasePolicy": "tianshou",
}  # fmt: skip
# Calls that take a model and an optimizer and hand them back, by the shape of what they return.
INITIALISERS = {
    "deepspeed.initialize": "deepspeed", "apex.amp.initialize": "apex", "colossalai.initialize": "deepspeed",
    "intel_extension_for_pytorch.optimize": "apex", "ipex.optimize": "apex",
    "ignite.distributed.auto_model": "model", "ignite.distributed.auto_optim": "model",
    "horovod.torch.DistributedOptimizer": "model", "torch.distributed.optim.ZeroRedundancyOptimizer": "zero",
    "torch.distributed.optim.DistributedOptimizer": "rpc",
}  # fmt: skip
# Functions that run whole loops with what they are given.
TAKEOVERS = frozenset({
    "ignite.engine.create_supervised_trainer", "ignite.engine.create_supervised_evaluator", "d2l.torch.train_ch3",
    "d2l.torch.train_ch6", "d2l.torch.train_ch8", "d2l.torch.train_ch13", "fastai.callback.schedule.fit_one_cycle",
})  # fmt: skip
