# Form: LBFGS with a closure defined in the loop (neural style transfer).
import torch
from torch import nn


class GramLoss(nn.Module):
    def __init__(self, target):
        super().__init__()
        self.register_buffer("target", self.gram(target).detach())

    @staticmethod
    def gram(features):
        flat = features.flatten(1)
        return flat @ flat.t() / flat.numel()

    def forward(self, features):
        return nn.functional.mse_loss(self.gram(features), self.target)


features = nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False)
style = torch.rand(1, 3, 16, 16)
style_loss = GramLoss(features(style)[0])
canvas = torch.rand(1, 3, 16, 16, requires_grad=True)
optimizer = torch.optim.LBFGS([canvas], lr=1, max_iter=10)

for run in range(3):

    def closure():
        optimizer.zero_grad()
        loss = style_loss(features(canvas)[0])
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    with torch.no_grad():
        canvas.clamp_(0, 1)
    print(run, loss.item())
