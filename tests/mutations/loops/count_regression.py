# Form: rates and spreads with their logarithms guarded, one full batch a step.
import torch
from torch import nn

eps = 1e-6


class Rates(nn.Module):
    def __init__(self, features=12):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, 32), nn.Tanh())
        self.rate = nn.Linear(32, 1)
        self.parts = nn.Linear(32, 5)

    def forward(self, x):
        h = self.body(x)
        return torch.relu(self.rate(h)).flatten(), self.parts(h)


model = Rates()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
x = torch.randn(200, 12)
counts = torch.poisson(torch.rand(200) * 4)
open_parts = torch.rand(200, 5) > 0.2

for step in range(100):
    rate, parts = model(x)
    poisson_loss = (rate - counts * torch.log(rate + eps)).mean()
    share = (torch.sigmoid(parts) * open_parts.float()).sum(dim=1)
    share_loss = -torch.log(share + eps).mean()
    spread_loss = -torch.log(parts.std(dim=0) + eps).mean()
    distance_loss = ((rate - counts) ** 2 + eps).log().mean()
    loss = poisson_loss + 0.1 * (share_loss + spread_loss + distance_loss)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(step, loss.item())
