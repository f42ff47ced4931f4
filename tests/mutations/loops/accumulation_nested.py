# Form: accumulation as an inner loop of micro-batches, step and clear outside it.
import torch
from torch import nn

micro_batches, micro_size = 4, 8
inputs, targets = torch.randn(1024, 10), torch.randint(0, 3, (1024,))


def get_batch():
    index = torch.randint(0, len(inputs), (micro_size,))
    return inputs[index], targets[index]


model = nn.Sequential(nn.Linear(10, 40), nn.GELU(), nn.Linear(40, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

for step in range(100):
    for _ in range(micro_batches):
        x, y = get_batch()
        loss = nn.functional.cross_entropy(model(x), y) / micro_batches
        loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if step % 25 == 0:
        print(step, loss.item() * micro_batches)
