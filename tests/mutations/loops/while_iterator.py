# Form: a while loop over an endless iterator, as in step-counted training.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

max_iters, eval_interval = 120, 40
x, y = torch.randn(600, 10), torch.randint(0, 3, (600,))
train_loader = DataLoader(TensorDataset(x[:500], y[:500]), batch_size=50, shuffle=True)

model = nn.Sequential(nn.Linear(10, 48), nn.LayerNorm(48), nn.GELU(), nn.Dropout(0.1), nn.Linear(48, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)


@torch.no_grad()
def estimate_accuracy():
    model.eval()
    hits = (model(x[500:]).argmax(-1) == y[500:]).float().mean().item()
    model.train()
    return hits


iter_num = 0
data_iter = iter(train_loader)
model.train()
while True:
    if iter_num % eval_interval == 0:
        print(iter_num, estimate_accuracy())
    try:
        inputs, targets = next(data_iter)
    except StopIteration:
        data_iter = iter(train_loader)
        inputs, targets = next(data_iter)
    logits = model(inputs)
    loss = nn.functional.cross_entropy(logits, targets)
    model.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    iter_num += 1
    if iter_num >= max_iters:
        break
