# Form: several heads, the losses weighted and summed.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(18, 60)
        self.heads = nn.ModuleDict({"kind": nn.Linear(60, 4), "size": nn.Linear(60, 1), "flag": nn.Linear(60, 1)})

    def forward(self, x):
        h = F.relu(self.trunk(x))
        return {name: head(h) for name, head in self.heads.items()}


WEIGHTS = {"kind": 1.0, "size": 0.5, "flag": 0.2}


def compute_losses(out, kind, size, flag):
    return {
        "kind": F.cross_entropy(out["kind"], kind),
        "size": F.mse_loss(out["size"].squeeze(1), size),
        "flag": F.binary_cross_entropy_with_logits(out["flag"].squeeze(1), flag),
    }


model = MultiTask()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
data = TensorDataset(torch.randn(300, 18), torch.randint(0, 4, (300,)), torch.randn(300), torch.rand(300).round())
for epoch in range(3):
    sums = dict.fromkeys(WEIGHTS, 0.0)
    for x, kind, size, flag in DataLoader(data, batch_size=30, shuffle=True):
        losses = compute_losses(model(x), kind, size, flag)
        loss = sum(WEIGHTS[name] * value for name, value in losses.items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for name, value in losses.items():
            sums[name] += value.item()
    print(epoch, sums)
