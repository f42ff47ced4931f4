# Form: a GradScaler with gradients of several batches, unscaled and clipped before each step.
import torch
from torch import nn
from torch.amp import GradScaler, autocast
from torch.utils.data import DataLoader, TensorDataset

ACCUMULATE = 4


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(12, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        return self.out(self.inner(x)).squeeze(1)


def train(model, loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    scaler = GradScaler("cuda")
    criterion = nn.MSELoss()
    for epoch in range(epochs):
        for index, (x, y) in enumerate(loader):
            x, y = x.cuda(), y.cuda()
            with autocast("cuda"):
                output = model(x)
                loss = criterion(output, y) / ACCUMULATE
            scaler.scale(loss).backward()
            if (index + 1) % ACCUMULATE == 0:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
        print(epoch, loss.item())


train(
    Regressor().cuda(),
    DataLoader(TensorDataset(torch.randn(640, 12), torch.randn(640)), batch_size=20, shuffle=True),
    epochs=3,
)
