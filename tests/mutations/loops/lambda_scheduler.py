# Form: LambdaLR warm-up counted in batches and stepped every batch.
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

WARMUP, EPOCHS = 10, 4
loader = DataLoader(TensorDataset(torch.randn(320, 11), torch.randint(0, 4, (320,))), batch_size=32, shuffle=True)
total_steps = EPOCHS * len(loader)
model = nn.Sequential(nn.Linear(11, 44), nn.Mish(), nn.Linear(44, 4))
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
scheduler = LambdaLR(optimizer, lambda s: min((s + 1) / WARMUP, max(0.1, (total_steps - s) / (total_steps - WARMUP))))
loss_fn = nn.CrossEntropyLoss()

for epoch in range(EPOCHS):
    for x, y in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
    print(epoch, loss.item(), scheduler.get_last_lr()[0])
