# Form: a batch whose loss is not finite is counted and skipped, too many end the run.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

model = nn.Sequential(nn.Linear(10, 30), nn.ReLU(), nn.Linear(30, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
x = torch.randn(400, 10)
loader = DataLoader(TensorDataset(x, x.pow(2).sum(1, keepdim=True)), batch_size=40, shuffle=True)

bad_batches = 0
for epoch in range(3):
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = nn.functional.huber_loss(model(inputs), targets)
        if not torch.isfinite(loss):
            bad_batches += 1
            if bad_batches > 10:
                raise RuntimeError(f"{bad_batches} batches gave a loss that is not finite")
            continue
        loss.backward()
        optimizer.step()
    print(epoch, bad_batches)
